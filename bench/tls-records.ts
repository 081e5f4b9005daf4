/**
 * `node --import tsx bench/tls-records.ts`: what sealing and opening a record of 16 KiB costs, by each
 * implementation of the ciphers. One processor, no socket.
 */
import { randomBytes } from 'node:crypto';
import { type CipherSuite, cipherSuite } from '../packages/linux/src/crypto/cipher-suites.ts';
import { nodeAead } from '../packages/linux/src/crypto/node-aead.ts';
import { opensslAead } from '../packages/linux/src/crypto/openssl-aead.ts';
import { loadProcessLibrary } from '../packages/linux/src/native/process-library.ts';
import { RecordLayer } from '../packages/linux/src/tls/record-layer.ts';

const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
const CALL_BYTES = 131_072;
const ROUNDS = 4000;

function main(): void {
  const loaded = loadProcessLibrary();
  const aeads = [
    ['node:crypto', nodeAead] as const,
    ...('library' in loaded ? [['OpenSSL', opensslAead(loaded.library)] as const] : []),
  ];
  for (const name of SUITES) {
    for (const [by, aead] of aeads) {
      const { sealSeconds, openSeconds } = measure(cipherSuite(name)!, aead);
      process.stdout.write(
        `${name.padEnd(30)}${by.padEnd(14)}seal ${sealSeconds.toFixed(3)} s/GB  open ${openSeconds.toFixed(3)} s/GB\n`,
      );
    }
  }
}

function measure(suite: CipherSuite, aead: typeof nodeAead) {
  const secret = randomBytes(suite.hashBytes);
  const layer = (isClient: boolean) =>
    new RecordLayer({
      ...{ isClient, aead, suite },
      ...{ sendSecret: Uint8Array.from(secret), receiveSecret: Uint8Array.from(secret) },
    });
  const [sender, receiver] = [layer(true), layer(false)];
  const content = randomBytes(CALL_BYTES);
  const out = Buffer.alloc(sender.sealedBytesMax(CALL_BYTES));
  let sealNs = 0n;
  let openNs = 0n;
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    const length = sender.seal([content], out);
    const sealed = process.hrtime.bigint();
    receiver.receive(out.subarray(0, length), (piece) => {
      bytes += piece.length;
    });
    openNs += process.hrtime.bigint() - sealed;
    sealNs += sealed - start;
  }
  if (bytes !== ROUNDS * CALL_BYTES) throw new Error('not all of it was opened');
  return { sealSeconds: Number(sealNs) / bytes, openSeconds: Number(openNs) / bytes };
}

main();
