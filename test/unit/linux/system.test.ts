import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import {
  decodeAddress,
  encodeAddress,
  placeText,
} from '../../../packages/linux/src/system/socket-address.ts';
import { systemError } from '../../../packages/linux/src/system/system-error.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('addresses are as the kernel has them', () => {
  // The family in the order of the machine, port and address in that of the network.
  assert.equal(
    hex(encodeAddress({ host: '127.0.0.2', port: 0x1234 })),
    `020012347f000002${'00'.repeat(8)}`,
  );
  assert.equal(
    hex(encodeAddress({ host: '2001:db8::7', port: 443 })),
    '0a0001bb0000000020010db8000000000000000000000007' + '00000000',
  );
  assert.equal(hex(encodeAddress({ path: '/a' })), '01002f6100');
});

for (const host of [
  '::',
  '::1',
  '1::',
  'fe80::1',
  '::ffff:10.0.0.1',
  '1:2:3:4:5:6:7:8',
  '64:ff9b::192.0.2.1',
]) {
  test(`${host} is the same after it was encoded`, () => {
    const place = decodeAddress(encodeAddress({ host, port: 65535 }));
    const again = decodeAddress(encodeAddress(place!));
    assert.deepEqual(place, again);
    assert.equal(hex(encodeAddress({ host, port: 65535 })), hex(encodeAddress(place!)));
  });
}

test('a zone is the number of its interface', () => {
  const [name] = Object.entries(networkInterfaces()).find(([, all]) =>
    all?.some(({ family, scopeid }) => family === 'IPv6' && scopeid),
  ) ?? ['7'];
  const bytes = encodeAddress({ host: `fe80::1%${name}`, port: 1 });
  assert.notEqual(new DataView(bytes.buffer).getUint32(24, true), 0);
  assert.deepEqual(decodeAddress(bytes), { host: `fe80::1%${name}`, port: 1 });
});

test('what is no address is refused', () => {
  assert.throws(() => encodeAddress({ host: 'localhost', port: 1 }), /not an IP address/);
  assert.throws(() => encodeAddress({ host: 'fe80::1%none9', port: 1 }), /no interface none9/);
  assert.throws(() => encodeAddress({ path: 'x'.repeat(108) }), /1 to 107 bytes/);
  assert.throws(() => encodeAddress({ path: '' }), /1 to 107 bytes/);
  assert.equal(encodeAddress({ path: 'x'.repeat(107) }).length, 110);
});

test('a socket without a name has no address', () => {
  assert.equal(decodeAddress(Uint8Array.of(1, 0)), undefined);
  assert.equal(decodeAddress(new Uint8Array(0)), undefined);
});

test('addresses in messages, and errors in the shape of Node', () => {
  assert.equal(placeText({ host: '::1', port: 5 }), '[::1]:5');
  const error = systemError('connect', -111, placeText({ host: '10.0.0.1', port: 5 }));
  assert.deepEqual(
    [error.message, error.code, error.errno, error.syscall],
    ['connect ECONNREFUSED 10.0.0.1:5', 'ECONNREFUSED', -111, 'connect'],
  );
});
