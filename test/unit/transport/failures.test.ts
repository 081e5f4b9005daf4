import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  connectFailure,
  laneFailure,
  resolveFailure,
  unixConnectFailure,
} from '../../../packages/link/src/transport/failures.ts';
import { handshakeFault } from '../../../packages/link/src/transport/tls/handshake-failure.ts';

const system = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

test('why a connection did not come about', () => {
  const expected = {
    ECONNREFUSED: 'dial-refused',
    ETIMEDOUT: 'dial-timeout',
    EHOSTUNREACH: 'dial-unreachable',
    ENETUNREACH: 'dial-unreachable',
    EPERM: 'dial-unreachable',
    EADDRNOTAVAIL: 'dial-unreachable',
    EMFILE: 'dial-exhausted',
    ENFILE: 'dial-exhausted',
    ENOBUFS: 'dial-exhausted',
    ECONNRESET: 'dial-failed',
    ESOMETHING: 'dial-failed',
  };
  for (const [code, wanted] of Object.entries(expected)) {
    const error = connectFailure('gray.example:7443', system(code));
    assert.equal(error.code, wanted, code);
    assert.equal(error.message, `cannot connect to gray.example:7443: connect ${code}`);
  }
  assert.equal(connectFailure('x', 'a string').code, 'dial-failed');
});

test('why a unix socket was not connected to, and what to do about each cause', () => {
  const expected = {
    ENOENT: ['dial-refused', /no socket at that path: start the other end/],
    ENOTDIR: ['dial-refused', /no socket at that path/],
    ECONNREFUSED: ['dial-refused', /nobody listens there: start the other end/],
    ENOTSOCK: ['dial-refused', /is no socket/],
    EACCES: ['dial-refused', /run as the user of the other end/],
    EPERM: ['dial-refused', /run as the user of the other end/],
    EAGAIN: ['dial-refused', /does not accept its connections/],
    EMFILE: ['dial-exhausted', /LimitNOFILE/],
    ESOMETHING: ['dial-failed', undefined],
  } as const;
  for (const [code, [wanted, hint]] of Object.entries(expected)) {
    const error = unixConnectFailure('/run/gray', system(code));
    assert.equal(error.code, wanted, code);
    assert.equal(error.message, `cannot connect to unix:/run/gray: connect ${code}`);
    if (hint === undefined) assert.equal(error.hint, undefined);
    else assert.match(error.hint ?? '', hint, code);
  }
});

test('why a name was not resolved', () => {
  assert.match(resolveFailure('gray', system('ENOTFOUND')).hint ?? '', /spelling/);
  assert.match(resolveFailure('gray', system('EAI_AGAIN')).hint ?? '', /name servers/);
  assert.equal(resolveFailure('gray', system('EAI_AGAIN')).code, 'dial-resolve');
  assert.equal(
    resolveFailure('gray', system('EAI_AGAIN')).message,
    'the name server did not answer for gray',
  );
  assert.equal(resolveFailure('gray', system('EMFILE')).code, 'dial-exhausted');
});

test('why a lane broke', () => {
  const expected = {
    ECONNRESET: 'lane-reset',
    EPIPE: 'lane-reset',
    ETIMEDOUT: 'lane-timeout',
    EHOSTUNREACH: 'lane-unreachable',
    ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 'lane-corrupt',
    ESOMETHING: 'lane-failed',
  };
  for (const [code, wanted] of Object.entries(expected)) {
    const error = laneFailure('192.0.2.1:7443', system(code));
    assert.equal(error.code, wanted, code);
    assert.match(error.message, /^lane to 192\.0\.2\.1:7443 /);
  }
});

test('what went wrong in a handshake', () => {
  assert.equal(handshakeFault(system('ERR_SSL_HTTP_REQUEST')), 'not-tls');
  assert.equal(handshakeFault(system('ERR_SSL_UNSUPPORTED_PROTOCOL')), 'tls-version');
  assert.equal(handshakeFault(system('ERR_SSL_NO_APPLICATION_PROTOCOL')), 'alpn');
  assert.equal(handshakeFault(system('ECONNRESET')), 'closed');
  assert.equal(handshakeFault(system('ERR_SSL_SOMETHING')), 'tls-failed');
  assert.equal(handshakeFault(undefined), 'tls-failed');
});
