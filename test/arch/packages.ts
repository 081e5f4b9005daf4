import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** In the order in which they import each other. */
export const PACKAGES = ['proto', 'link', 'linux', 'routy'];

export interface SourceFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly layer: string;
  readonly text: string;
}

/** The source files of all packages. */
export const files: readonly SourceFile[] = PACKAGES.flatMap(filesOf);

function filesOf(name: string): SourceFile[] {
  const src = join(root, 'packages', name, 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({
      path: `packages/${name}/src/${path}`,
      layer: layerOf(`packages/${name}/src/${path}`),
      text: readFileSync(join(src, path), 'utf8'),
    }));
}

/** `packages/link/src/driver/pings.ts` is of `link/driver`. */
export function layerOf(path: string): string {
  const [, name, , folder] = path.split('/');
  return `${name}/${folder}`;
}
