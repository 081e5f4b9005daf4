/** One end of a library's connection, a process of its own: it serves, or connects and makes load. */
import { readFileSync } from 'node:fs';
import type { TlsCredentials } from '../../packages/link/src/transport/tls/credentials.ts';
import { serveCommands } from '../load/commands.ts';
import type { Library, LibraryName, LinkClient } from './library.ts';
import { type Load, type LoadResult, runLoad } from './loads.ts';

/** `credentials` names a file of JSON. */
export type EndCommand =
  | { readonly kind: 'serve'; readonly library: LibraryName; readonly credentials: string }
  | {
      readonly kind: 'connect';
      readonly library: LibraryName;
      readonly credentials: string;
      readonly port: number;
    }
  | Load;

export interface EndStarted {
  readonly pid: number;
  /** Where it serves; of the one that connects, where it did. */
  readonly port: number;
}

/** No end loads what it does not use. */
const LIBRARIES: Readonly<Record<LibraryName, () => Promise<Library>>> = {
  routy: async () => (await import('./libraries/routy.ts')).routy,
  'routy-native': async () => (await import('./libraries/routy.ts')).routyNative,
  http2: async () => (await import('./libraries/http2.ts')).http2,
  grpc: async () => (await import('./libraries/grpc.ts')).grpc,
  yamux: async () => (await import('./libraries/yamux.ts')).yamux,
  tls: async () => (await import('./libraries/plain-tls.ts')).plainTls,
};

let client: LinkClient | undefined;

serveCommands(run);

async function run(command: EndCommand): Promise<EndStarted | LoadResult> {
  if (command.kind !== 'serve' && command.kind !== 'connect') return runLoad(client!, command);
  const credentials = JSON.parse(readFileSync(command.credentials, 'utf8')) as TlsCredentials;
  const library = await LIBRARIES[command.library]();
  const { pid } = process;
  if (command.kind === 'serve') return { pid, port: await library.serve(credentials) };
  client = await library.connect(credentials, command.port);
  return { pid, port: command.port };
}
