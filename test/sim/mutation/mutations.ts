import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A bug that is put into a copy of the source on purpose. */
export interface Mutation {
  readonly name: string;
  /** Relative to the root of the repository. */
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** Bugs that would cost bytes, memory or safety, each in a place where it is easily made. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'a replay begins one byte late',
    file: 'packages/proto/src/session/resume/resync.ts',
    find: 'this.#rewind(stream, Math.max(peer.received, stream.send.acked));',
    replace:
      'this.#rewind(stream, Math.min(stream.send.everSent, Math.max(peer.received, stream.send.acked) + 1));',
  },
  {
    name: 'a replay sends other bytes than the first time',
    file: 'packages/proto/src/session/flow/send-buffer.ts',
    find: 'this.#cursorSkip = offset - start;',
    replace: 'this.#cursorSkip = Math.max(0, offset - start - 1);',
  },
  {
    name: 'the window of a stream that is gone is not given back',
    file: 'packages/proto/src/session/streams/stream-table.ts',
    find: '    stream.receive.close();\n',
    replace: '',
  },
  {
    name: 'credit is granted twice over',
    file: 'packages/proto/src/session/flow/receive-window.ts',
    find: 'this.#limit = this.#delivered + this.#window;',
    replace: 'this.#limit = this.#delivered + 2 * this.#window;',
  },
  {
    name: 'a stale epoch is accepted',
    file: 'packages/proto/src/session/lanes/lane-admission.ts',
    find: 'if (this.#isStale(epoch)) {',
    replace: 'if (this.#isStale(epoch) && epoch < 0) {',
  },
  {
    name: 'a lane without the right proof is accepted',
    file: 'packages/proto/src/session/lanes/lane-admission.ts',
    find: 'if (proof !== undefined && sameText(',
    replace: 'if (proof !== undefined || sameText(proof ?? epoch.toString(), ',
  },
  {
    name: 'a reset goes before the bytes that came before it',
    file: 'packages/proto/src/session/streams/stream-receiver.ts',
    find: 'stream.finalSize = size;\n    stream.resetByPeer = reset;',
    replace: 'stream.finalSize = stream.receive.received;\n    stream.resetByPeer = reset;',
  },
  {
    name: 'what was not sent before a reset is dropped',
    file: 'packages/proto/src/session/streams/stream-commands.ts',
    find: 'else if (stream.drained) this',
    replace: 'else if (stream.send.heldBytes >= 0) this',
  },
  {
    name: 'a reset is not said again after its lane was lost',
    file: 'packages/proto/src/session/resume/resync.ts',
    find: 'this.#sender.sayReset(stream);\n    this.#receiver',
    replace: 'this.#receiver',
  },
];

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Copies what the simulation is made of to `directory`. */
export function copySimulation(directory: string): void {
  const registry = 'packages/link/src/peers/session-registry.ts';
  for (const part of ['packages/proto/src', registry, 'test/sim']) {
    cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  }
  // Says where the packages are: in the copy.
  cpSync(join(ROOT, 'tsconfig.json'), join(directory, 'tsconfig.json'));
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }\n');
}

/** Throws unless what is to be replaced is there exactly once: the source has moved on. */
export function mutate(directory: string, { name, file, find, replace }: Mutation): void {
  const path = join(directory, file);
  const parts = readFileSync(path, 'utf8').split(find);
  if (parts.length !== 2) {
    throw new Error(`${name}: found ${parts.length - 1} times instead of once in ${file}: ${find}`);
  }
  writeFileSync(path, parts.join(replace));
}
