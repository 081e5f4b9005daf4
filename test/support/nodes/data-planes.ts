import { before, describe } from 'node:test';
import { NativeSockets } from '../../../packages/linux/src/sockets/native-sockets.ts';
import { planeMissing, testPlane } from '../linux/native-plane.ts';

type Plane = 'portable' | 'native';

/** What the nodes of either site run on. */
interface Planes {
  readonly red: Plane;
  readonly gray: Plane;
}

let current: Planes | undefined;

/**
 * The plane that a site's nodes run on, in the tests at hand. Where they do not say it is
 * `ROUTY_TEST_DATA_PLANE`, so that any test file can be run on the native plane, or else the default.
 */
export function planeOf(site: string): string {
  if (current === undefined) return process.env.ROUTY_TEST_DATA_PLANE ?? 'auto';
  return site === 'gray' ? current.gray : current.red;
}

/** Sockets of the plane that the tests at hand are for; undefined for those of Node. */
export function planeSockets(): NativeSockets | undefined {
  return planeOf('red') === 'native' ? new NativeSockets(testPlane()) : undefined;
}

/** Runs tests on the planes that this machine has, one after the other. */
export function onEachPlane(tests: () => void): void {
  on({ red: 'portable', gray: 'portable' }, 'on the portable plane', tests);
  on({ red: 'native', gray: 'native' }, 'on the native plane', tests);
}

/** Runs tests between nodes of which one is on the native plane and the other is not. */
export function onMixedPlanes(tests: () => void): void {
  on({ red: 'native', gray: 'portable' }, 'red native, gray portable', tests);
  on({ red: 'portable', gray: 'native' }, 'red portable, gray native', tests);
}

function on(planes: Planes, name: string, tests: () => void): void {
  const isNative = Object.values(planes).includes('native');
  describe(name, { skip: isNative ? planeMissing : undefined }, () => {
    before(() => {
      current = planes;
    });
    tests();
  });
}
