/** The site that has the values, and can only dial out. See README.md beside this file. */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { LinkStream } from '@routy/link';
import { startNode } from '../shared/node.ts';
import { CODECS, type Head, KEY } from './messages.ts';

const USAGE = `examples/proxy-get/inside: serves the files of --data to who asks for them, by their names

It opens a stream towards whoever asks: nobody needs to be able to dial it.`;

const { link, data } = await startNode(USAGE);
link.protocol({
  name: 'get',
  class: 'proxy-get',
  reply: (stream, _peer, key) => sendValue(stream, key),
});
console.log('serving');

/** A value that stays the same one until it is closed, whatever becomes of its name. */
interface Value {
  readonly file: FileHandle;
  readonly head: Head;
}

/** Sends the value of a key, from the byte on that the other end says. */
async function sendValue(stream: LinkStream, key: string): Promise<void> {
  const messages = stream.messages({ codecs: CODECS });
  const first = await messages.receive();
  if (first.done || !('from' in first.value)) throw new Error('where to begin was not said');
  const { from } = first.value;
  const value = await openValue(key);
  try {
    await messages.send(value?.head ?? { missing: true });
    for await (const piece of piecesOf(value, from)) await messages.send(piece);
  } finally {
    await value?.file.close();
  }
  messages.end();
  console.log(`sent ${key} from ${from}`);
  // Until the other end is done with it, too.
  await messages.receive();
}

/** Undefined: there is none. */
async function openValue(key: string): Promise<Value | undefined> {
  if (!KEY.test(key)) return undefined;
  // What is no file might have to be waited for otherwise.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(join(data, key), flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const stats = await file?.stat();
  if (file !== undefined && stats?.isFile()) return { file, head: headOf(stats) };
  await file?.close();
  return undefined;
}

function headOf({ size, mtimeMs, ino }: Stats): Head {
  return { size, version: `${size}-${mtimeMs}-${ino}` };
}

async function* piecesOf(value: Value | undefined, from: number): AsyncGenerator<Buffer> {
  if (value === undefined || from >= value.head.size) return;
  const end = value.head.size - 1;
  yield* value.file.createReadStream({ start: from, end, autoClose: false });
}
