import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { laneResources } from '../../../packages/linux/src/lanes/lane-resources.ts';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import { loadNativePlane } from '../../../packages/linux/src/sockets/native-plane.ts';
import { loadSystem, type SystemSurroundings } from '../../../packages/linux/src/system/system.ts';
import { FakeLibrary, type FakeLibraryOptions } from '../../support/linux/fake-library.ts';

/** A machine on which nothing is missing, but for what is said; no call of it reaches the system. */
function planeOf(surroundings: Partial<SystemSurroundings>, library = new FakeLibrary()) {
  const whole = { library: { library }, architecture: 'x64', isMainThread: true };
  return loadNativePlane({ system: loadSystem({ ...whole, ...surroundings }) });
}

function missing(surroundings: Partial<SystemSurroundings>, library?: FakeLibrary): string {
  const loaded = planeOf(surroundings, library);
  return 'missing' in loaded ? loaded.missing : assert.fail('nothing is missing');
}

const koffi = (load: () => unknown) => ({ library: loadProcessLibrary(load, 'linux') });
const lacks = (options: FakeLibraryOptions) => missing({}, new FakeLibrary(options));

/** The plane of a machine on which nothing is missing. */
function wholePlane(library: FakeLibrary) {
  const loaded = planeOf({}, library);
  return 'plane' in loaded ? loaded.plane : assert.fail(loaded.missing);
}

/** Every symbol that a plane looks up. */
function symbolsOfPlane(): string[] {
  const library = new FakeLibrary();
  wholePlane(library).close();
  return library.symbols;
}

describe('what keeps a machine from the native plane is said in one line', () => {
  test('koffi is not installed', () => {
    const text = "Cannot find module 'koffi'\nRequire stack:\n- /usr/lib/routy/x.js";
    const error = Object.assign(new Error(text), { code: 'MODULE_NOT_FOUND' });
    const surroundings = koffi(() => {
      throw error;
    });
    assert.equal(
      missing(surroundings),
      'koffi is not installed: npm leaves it out with --omit=optional',
    );
  });

  test('koffi throws when it is loaded, or is something else', () => {
    const throwing = (error: unknown) =>
      koffi(() => {
        throw error;
      });
    const text = 'Cannot find the native Koffi module; did you bundle it correctly?';
    assert.equal(missing(throwing(new Error(text))), `koffi does not load: ${text}`);
    assert.equal(missing(throwing('odd\nand so on')), 'koffi does not load: odd');
    assert.equal(missing(throwing(new Error(''))), 'koffi does not load: it does not say why');
    for (const other of [undefined, null, {}, { load: () => undefined }]) {
      assert.match(missing(koffi(() => other)), /./);
    }
  });

  test('another system, another processor, another thread', () => {
    for (const platform of ['darwin', 'win32', 'freebsd']) {
      const library = loadProcessLibrary(() => assert.fail('koffi was loaded'), platform);
      assert.equal(missing({ library }), `not on ${platform}`);
    }
    for (const architecture of ['ia32', 'arm', 'ppc64', 's390x', 'riscv64']) {
      assert.equal(missing({ architecture }), `not on ${architecture}`);
    }
    assert.equal(missing({ isMainThread: false }), 'only on the main thread');
  });

  test('a symbol, whichever it is', () => {
    const symbols = symbolsOfPlane();
    assert.ok(symbols.includes('accept4') && symbols.includes('uv_is_active'));
    for (const without of symbols) {
      assert.equal(lacks({ without }), `Cannot find function '${without}' in shared library`);
    }
  });

  test('epoll is refused, or libuv refuses to watch it; no descriptor is left behind', () => {
    const refusals = [
      { call: 'epoll_create1', code: 'EPERM' },
      { call: 'epoll_create1', code: 'EMFILE' },
      { call: 'uv_poll_init', code: 'EPERM' },
    ] as const;
    for (const refused of refusals) {
      const library = new FakeLibrary({ refused });
      assert.equal(missing({}, library), `${refused.call} ${refused.code}`);
      const made = library.calls.filter((call) => call === 'epoll_create1').length;
      const closed = library.calls.filter((call) => call === 'close').length;
      assert.equal(closed, refused.call === 'uv_poll_init' ? made : 0);
    }
  });
});

test('a process that does not show its OpenSSL has the plane, with the ciphers of node:crypto', () => {
  const whole = new FakeLibrary();
  assert.notEqual(laneResources(wholePlane(whole)).aead, nodeAead);
  const ciphers = whole.symbols.filter((name) => name.startsWith('EVP_'));
  assert.ok(ciphers.length > 5);
  for (const without of ciphers) {
    assert.equal(laneResources(wholePlane(new FakeLibrary({ without }))).aead, nodeAead, without);
  }
});
