/** Echo service: sends back what it gets, at once. */
import { announce, listenWithBuffer } from './accept.ts';

const BUFFER_BYTES = 64 * 1024;

const { port } = await listenWithBuffer(BUFFER_BYTES, () => (bytes, socket) => {
  socket.write(Uint8Array.from(bytes));
});
announce(port);
