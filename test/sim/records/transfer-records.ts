/**
 * `npm run soak:records -- [--bytes 50G] [--update 1G] [--suite NAME]` sends so many bytes through one pair of
 * record layers of TLS, in memory, with a KeyUpdate forced every so often, and compares SHA-256.
 */
import { parseArgs } from 'node:util';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../../../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';
import { RecordTransfer } from './record-transfer.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };
const PROGRESS = 10e9;

function main(): number {
  const options = readOptions();
  if (options === undefined) return 2;
  const { bytes, updateBytes, suiteName } = options;
  const loaded = loadProcessLibrary();
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  let shown = 0;
  const result = new RecordTransfer({
    aead: 'library' in loaded ? opensslAead(loaded.library) : nodeAead,
    ...{ suiteName, bytes, updateBytes },
    onUpdate: (sent) => {
      if (sent - shown < PROGRESS) return;
      shown = sent;
      process.stderr.write(`${(sent / 1e9).toFixed(1)} GB in ${seconds().toFixed(0)} s\n`);
    },
  }).run();
  const [sent, answered] = result.keyUpdates;
  process.stdout.write(
    `${result.bytes} bytes in ${result.records} records, ${sent} keys updated, ${answered} on request\n`,
  );
  process.stdout.write(
    `${seconds().toFixed(1)} s, ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB at most\n`,
  );
  process.stdout.write(`SHA-256 sent     ${result.sent}\nSHA-256 received ${result.received}\n`);
  if (result.sent === result.received) return 0;
  process.stdout.write('FAILED: what has come is not what was sent\n');
  return 1;
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        bytes: { type: 'string', default: '50G' },
        update: { type: 'string', default: '1G' },
        suite: { type: 'string', default: 'TLS_AES_128_GCM_SHA256' },
      },
    });
    const { bytes, update, suite } = values;
    return { bytes: bytesOf(bytes), updateBytes: bytesOf(update), suiteName: suite };
  } catch (error) {
    process.stderr.write(`soak:records: ${(error as Error).message}\n`);
    process.stderr.write(
      'usage: npm run soak:records -- [--bytes 50G] [--update 1G] [--suite NAME]\n',
    );
    return undefined;
  }
}

/** A number with an optional k, M or G, which are powers of ten. */
function bytesOf(text: string): number {
  const [, digits, unit] = /^(\d+)([kMG]?)$/.exec(text) ?? [];
  const bytes = Number(digits) * UNITS[unit ?? '']!;
  if (bytes > 0) return bytes;
  throw new Error(`"${text}" is no number of bytes; write 500M or 50G`);
}

process.exitCode = main();
