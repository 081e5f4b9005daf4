import type { ByteReceiver, ByteStream } from '../../../packages/link/src/streams/byte-stream.ts';
import type { Identity } from '../../../packages/proto/src/base/identity.ts';

/** The session's side of a stream without a session: notes what its receiver says. */
export class FakeByteStream implements ByteStream {
  readonly id = 1;
  readonly peer: Identity = { fabric: 'f', site: 'gray', node: 'gray1' };
  readonly protocol = 'tcp';
  readonly service = 'db';
  readonly receiver: ByteReceiver;
  /** It takes more than one chunk. */
  open = true;
  text = '';
  bytes = 0;
  bytesDelivered = 0;
  /** `end` and the codes of resets, in order. */
  readonly told: string[] = [];

  constructor(receiver: ByteReceiver) {
    this.receiver = receiver;
    receiver.attach(this);
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    this.text += Buffer.from(chunk).toString('latin1');
    return this.open;
  }

  end(): void {
    this.told.push('end');
  }

  reset(code: string): void {
    this.told.push(code);
  }

  delivered(bytes: number): void {
    this.bytesDelivered += bytes;
  }

  finDelivered(): void {}

  flushLater(): void {
    setImmediate(() => this.receiver.flush());
  }
}

/** Gives back what it is told, as a session with an echo at its other end. */
export class EchoStream extends FakeByteStream {
  override write(chunk: Uint8Array): boolean {
    this.receiver.data(chunk);
    return true;
  }

  override end(): void {
    this.receiver.fin();
  }

  override finDelivered(): void {
    this.receiver.finished();
  }
}
