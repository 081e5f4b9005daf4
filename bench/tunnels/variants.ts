/** The Nodes and data planes that Routy is measured on. */
import { execFileSync } from 'node:child_process';
import type { Plane } from '../options.ts';

/** Routy on one Node and one data plane. */
export interface Variant {
  /** Under which it stands in the table. */
  readonly name: string;
  /** The executable of the Node. */
  readonly node: string;
  /** `24.21.0`. */
  readonly version: string;
  /** Undefined: the one that a node chooses by itself. */
  readonly plane: Plane | undefined;
}

type Unnamed = Omit<Variant, 'name'>;

const VERSION_TIMEOUT_MS = 10_000;

/**
 * Each Node with each plane, after each executable was asked for its version.
 * @throws with a message for the user when one is no Node, or is given twice.
 */
export function findVariants(
  nodes: readonly string[],
  planes: readonly Plane[],
): readonly Variant[] {
  const found = nodes.map((node) => ({ node, version: versionOf(node) }));
  const chosen = planes.length === 0 ? [undefined] : planes;
  const variants = found.flatMap((each) => chosen.map((plane) => ({ ...each, plane })));
  const names = variantNames(variants);
  return variants.map((each, index) => ({ ...each, name: names[index]! }));
}

/**
 * The first is `routy`, which ratios and targets always had; others say in what they differ from it:
 * `routy@24` in the Node, by its whole version where another has the same major one,
 * `routy-native` in the plane, `routy@24-native` in both.
 * @throws when two could not be told apart.
 */
export function variantNames(
  variants: readonly Pick<Unnamed, 'version' | 'plane'>[],
): readonly string[] {
  const [first] = variants;
  const versions = [...new Set(variants.map(({ version }) => version))];
  const names = variants.map(({ version, plane }) => {
    const node = version === first!.version ? '' : `@${shortest(version, versions)}`;
    return `routy${node}${plane === first!.plane ? '' : `-${plane}`}`;
  });
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index);
  if (twice !== -1) throw new Error(`--node: Node ${variants[twice]!.version} is given twice`);
  return names;
}

/** Whether a peer is Routy as it is built now, on whichever Node and plane. */
export function isRouty(peer: string): boolean {
  return /^routy($|[@-])/.test(peer);
}

/** The major version where it is the only one of these, else the whole. */
function shortest(version: string, versions: readonly string[]): string {
  const majorOf = (text: string) => text.split('.')[0]!;
  const same = versions.filter((other) => majorOf(other) === majorOf(version));
  return same.length === 1 ? majorOf(version) : version;
}

function versionOf(node: string): string {
  let said: string;
  try {
    said = execFileSync(node, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: VERSION_TIMEOUT_MS,
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`--node: ${node} cannot be run; give the path of a node executable (${why})`);
  }
  const version = /^v(\d+\.\d+\.\d+)\n$/.exec(said)?.[1];
  if (version === undefined)
    throw new Error(
      `--node: ${node} is no Node: --version says ${JSON.stringify(said.split('\n')[0])}`,
    );
  return version;
}
