/** The Nodes that Routy is measured on. */
import { execFileSync } from 'node:child_process';

/** One Node, and the name under which Routy on it stands in the table. */
export interface Runtime {
  readonly name: string;
  /** The executable. */
  readonly path: string;
  /** `24.21.0`. */
  readonly version: string;
}

const VERSION_TIMEOUT_MS = 10_000;

/**
 * Asks each executable for its version.
 * @throws with a message for the user when one is no Node, or is given twice.
 */
export function findRuntimes(paths: readonly string[]): readonly Runtime[] {
  const found = paths.map((path) => ({ path, version: versionOf(path) }));
  const names = runtimeNames(found.map(({ version }) => version));
  return found.map((node, index) => ({ ...node, name: names[index]! }));
}

/**
 * The first is `routy`, which ratios and targets always had; others are `routy@24`, by their whole
 * version where another has the same major one.
 * @throws when a version is there twice: the two could not be told apart.
 */
export function runtimeNames(versions: readonly string[]): readonly string[] {
  const twice = versions.find((version, index) => versions.indexOf(version) !== index);
  if (twice !== undefined) throw new Error(`--node: Node ${twice} is given twice`);
  const majorOf = (version: string) => version.split('.')[0]!;
  const alone = (version: string) =>
    versions.filter((other) => majorOf(other) === majorOf(version)).length === 1;
  return versions.map((version, index) => {
    if (index === 0) return 'routy';
    return `routy@${alone(version) ? majorOf(version) : version}`;
  });
}

/** Whether a peer is Routy as it is built now, on whichever Node. */
export function isRouty(peer: string): boolean {
  return peer === 'routy' || peer.startsWith('routy@');
}

function versionOf(path: string): string {
  let said: string;
  try {
    said = execFileSync(path, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: VERSION_TIMEOUT_MS,
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`--node: ${path} cannot be run; give the path of a node executable (${why})`);
  }
  const version = /^v(\d+\.\d+\.\d+)\n$/.exec(said)?.[1];
  if (version === undefined)
    throw new Error(
      `--node: ${path} is no Node: --version says ${JSON.stringify(said.split('\n')[0])}`,
    );
  return version;
}
