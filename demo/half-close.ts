import { createHash, randomBytes } from 'node:crypto';
import { RoutyError } from '@routy/proto/base';
import { askChecksum } from './checksum.ts';
import type { World } from './setup.ts';

const BYTES = 10_000_000;

/** A client that has finished sending still gets the whole answer. */
export async function showHalfClose({ stage, story, ports }: World): Promise<void> {
  story.heading('A half-closed connection');
  story.tell(
    `A client at gray connects to 127.0.0.1:${ports.grayToChecksum}, which leads to red/checksum, sends`,
    `${BYTES / 1e6} MB and shuts its sending side; only then does the service answer with their SHA-256.`,
  );
  const bytes = randomBytes(BYTES);
  const startMs = performance.now();
  const answer = await askChecksum(stage, ports.grayToChecksum, bytes);
  const tookMs = Math.round(performance.now() - startMs);
  if (answer !== createHash('sha256').update(bytes).digest('hex')) {
    throw new RoutyError('demo-contradicted', `the answer is wrong: "${answer}"`);
  }
  story.tell(`The answer came whole and is right: ${answer.slice(0, 16)}..., after ${tookMs} ms.`);
}
