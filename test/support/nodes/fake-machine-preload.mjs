/**
 * Preloaded by Node (`NODE_OPTIONS=--import=…`): the process finds a machine that lacks what the native
 * data plane needs, as `ROUTY_TEST_MACHINE` says. What that leaves to others is as it is.
 */
import Module from 'node:module';
import { constants } from 'node:os';

const load = Module._load;

/** What is found instead of koffi. */
function insteadOfKoffi(find) {
  Module._load = function (request, ...rest) {
    return request === 'koffi'
      ? find(() => load.call(this, request, ...rest))
      : load.call(this, request, ...rest);
  };
}

/** Koffi, with another way to look symbols up. */
function lookingUp(change) {
  insteadOfKoffi((real) => {
    const koffi = real();
    const state = { errno: undefined };
    const own = (library) => ({
      func: (prototype) => change(prototype, () => library.func(prototype), state),
      symbol: (name, type) => library.symbol(name, type),
    });
    return {
      load: (path) => own(koffi.load(path)),
      address: koffi.address,
      errno: () => state.errno ?? koffi.errno(),
    };
  });
}

const MACHINES = {
  'no-koffi': () =>
    insteadOfKoffi(() => {
      const text = "Cannot find module 'koffi'\nRequire stack:\n- nowhere";
      throw Object.assign(new Error(text), { code: 'MODULE_NOT_FOUND' });
    }),
  'broken-koffi': () =>
    insteadOfKoffi(() => {
      throw new Error('koffi.node: invalid ELF header');
    }),
  'no-accept4': () =>
    lookingUp((prototype, real) => {
      if (!prototype.includes(' accept4(')) return real();
      throw new Error("Cannot find function 'accept4' in shared library");
    }),
  'no-epoll': () =>
    lookingUp((prototype, real, state) => {
      if (!prototype.includes(' epoll_create1(')) return real();
      return () => {
        state.errno = constants.errno.EPERM;
        return -1;
      };
    }),
  darwin: () => Object.defineProperty(process, 'platform', { value: 'darwin' }),
  riscv64: () => Object.defineProperty(process, 'arch', { value: 'riscv64' }),
};

MACHINES[process.env.ROUTY_TEST_MACHINE]();
