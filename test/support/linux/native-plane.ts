import {
  loadNativePlane,
  type NativePlane,
} from '../../../packages/linux/src/sockets/native-plane.ts';

/** Why this machine has no native plane; undefined where it has. */
export const planeMissing = missingReason();

let shared: NativePlane | undefined;

/** The one of this test file; what it has read is overwritten. */
export function testPlane(): NativePlane {
  shared ??= newPlane();
  return shared;
}

function newPlane(): NativePlane {
  const loaded = loadNativePlane({ poisonsReads: true });
  if ('missing' in loaded) throw new Error(loaded.missing);
  return loaded.plane;
}

function missingReason(): string | undefined {
  const loaded = loadNativePlane();
  if ('missing' in loaded) return loaded.missing;
  loaded.plane.close();
  return undefined;
}
