import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyHeader } from '../../../packages/routy/src/services/proxy-protocol.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const v4 = { address: '192.168.0.1', port: 56324 };
const v4To = { address: '192.168.0.11', port: 443 };

test('v1 names family, addresses and ports on one line', () => {
  assert.equal(
    text(proxyHeader('v1', v4, v4To)),
    'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n',
  );
  assert.equal(
    text(
      proxyHeader('v1', { address: '2001:db8::1', port: 1 }, { address: 'fe80::2%eth0', port: 2 }),
    ),
    'PROXY TCP6 2001:db8::1 fe80::2 1 2\r\n',
  );
});

test('v2 is signature, PROXY command, family, length, addresses, ports', () => {
  assert.equal(
    hex(proxyHeader('v2', v4, v4To)),
    `${SIGNATURE}2111000c${'c0a80001'}${'c0a8000b'}${'dc04'}${'01bb'}`,
  );
  assert.equal(
    hex(
      proxyHeader('v2', { address: '2001:db8::1', port: 1 }, { address: '::10.0.0.7', port: 258 }),
    ),
    `${SIGNATURE}21210024${'20010db8000000000000000000000001'}${'0000000000000000000000000a000007'}${'0001'}${'0102'}`,
  );
  assert.equal(
    hex(
      proxyHeader('v2', { address: '1:2:3:4:5:6:7:8', port: 1 }, { address: 'fe80::', port: 1 }),
    ).slice(32, 96),
    `${'00010002000300040005000600070008'}${'fe800000000000000000000000000000'}`,
  );
});

test('IPv4 mapped into IPv6 is sent as IPv4', () => {
  assert.equal(
    text(proxyHeader('v1', { address: '::ffff:10.1.2.3', port: 5 }, v4To)),
    'PROXY TCP4 10.1.2.3 192.168.0.11 5 443\r\n',
  );
});

test('what is not known is UNKNOWN and LOCAL', () => {
  const unusable = [
    undefined,
    { address: '2001:db8::1', port: 1 },
    { address: '10.0.0.1 10.0.0.2 1 2\r\nGET', port: 1 },
    { address: '10.0.0.1', port: 70000 },
    { address: '10.0.0.1', port: 1.5 },
  ];
  for (const source of unusable) {
    assert.equal(text(proxyHeader('v1', source, v4To)), 'PROXY UNKNOWN\r\n');
    assert.equal(hex(proxyHeader('v2', source, v4To)), `${SIGNATURE}20000000`);
  }
  assert.equal(text(proxyHeader('v1', v4, undefined)), 'PROXY UNKNOWN\r\n');
});
