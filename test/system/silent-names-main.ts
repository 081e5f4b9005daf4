import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { formatAddress, type TcpAddress } from '../../packages/proto/src/base/address.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../support/nodes/node-lab.ts';
import { dial, echo, serve, until } from '../support/sockets/loopback.ts';

// Run in namespaces of its own by silent-names.test.ts: this machine's name server is deaf.
const nameServer = createSocket('udp4');
let asked = 0;
nameServer.on('message', () => {
  asked += 1;
});
nameServer.bind(53, '127.9.9.9');
await once(nameServer, 'listening');

const target = await serve(echo);
const gray = await LabNode.start(
  await credentials('gray'),
  LISTEN +
    service('slow', `db.deaf.test:${target.port}`, 'red', 'connect_timeout = "3s"') +
    service('local', `localhost:${target.port}`, 'red'),
);
// The peer is dialled by a name too.
const peer = peerTo(gray).replace('127.0.0.1', 'localhost');
const red = await LabNode.start(
  await credentials('red'),
  peer + forward('127.0.0.1:0', 'gray/slow') + forward('127.0.0.2:0', 'gray/local'),
);
const slow = (await red.reach('gray/slow')) as TcpAddress;
const local = (await red.reach('gray/local')) as TcpAddress;

const waiting = Array.from({ length: 8 }, () => dial(slow).on('error', () => undefined));
await until('the name server was asked', () => asked > 0);
for (let count = 0; count < 4; count++) {
  const socket = dial(local);
  socket.write('hello');
  const [data] = await once(socket, 'data');
  assert.equal(String(data), 'hello');
  socket.destroy();
}
assert.equal(red.forward('gray/slow').refused, 0, `${formatAddress(local)} had to wait`);
await until('all are told', () => red.forward('gray/slow').refused === 8);
assert.equal(
  red.forward('gray/slow').last?.detail,
  'name-timeout: the name server did not answer for db.deaf.test within 3000 ms',
);
for (const socket of waiting) socket.destroy();
await red.stop();
await gray.stop();
await target.close();
nameServer.close();
console.log('as it should be');
// The lookup goes on for as long as getaddrinfo wants, and nobody waits for it.
process.exit(0);
