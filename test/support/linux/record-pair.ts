import { randomBytes } from 'node:crypto';
import type { Aead } from '../../../packages/linux/src/crypto/aead.ts';
import { cipherSuite } from '../../../packages/linux/src/crypto/cipher-suites.ts';
import { nodeAead } from '../../../packages/linux/src/crypto/node-aead.ts';
import { RecordLayer } from '../../../packages/linux/src/tls/record-layer.ts';
import { SendTraffic } from '../../../packages/linux/src/tls/traffic.ts';

export interface RecordPairOptions {
  readonly aead?: Aead;
  readonly suiteName?: string;
  readonly recordsMax?: number;
}

/**
 * A client's and a server's record layer with the same secrets, and the bare traffic of the server, to
 * send what no record layer would. That and the server's layer share a key: use one of them.
 */
export function recordPair(options: RecordPairOptions = {}) {
  const { aead = nodeAead, suiteName = 'TLS_AES_128_GCM_SHA256', recordsMax } = options;
  const suite = cipherSuite(suiteName)!;
  const client = randomBytes(suite.hashBytes);
  const server = randomBytes(suite.hashBytes);
  const copy = (secret: Uint8Array) => Uint8Array.from(secret);
  const common = { aead, suite, ...(recordsMax === undefined ? {} : { recordsMax }) };
  return {
    client: new RecordLayer({
      ...common,
      isClient: true,
      sendSecret: copy(client),
      receiveSecret: copy(server),
    }),
    server: new RecordLayer({
      ...common,
      isClient: false,
      sendSecret: copy(server),
      receiveSecret: copy(client),
    }),
    crooked: new SendTraffic({ aead, suite, secret: copy(server), sequence: 0 }),
  };
}

/** One record of whatever content and type, with `padding` zeros. */
export function record(
  traffic: SendTraffic,
  type: number,
  content: Uint8Array,
  padding = 0,
): Buffer {
  const out = Buffer.alloc(content.length + padding + 22);
  if (padding === 0) {
    traffic.begin(content.length, out, 0);
    traffic.add(content, out);
    traffic.finish(type, out);
    return out;
  }
  // The type is followed by zeros: all but the last of them are content to the sender.
  traffic.begin(content.length + padding, out, 0);
  traffic.add(Buffer.concat([content, Buffer.of(type), Buffer.alloc(padding - 1)]), out);
  traffic.finish(0, out);
  return out;
}

/** Seals pieces, or what there is to say without any. */
export function sealed(layer: RecordLayer, ...pieces: Uint8Array[]): Buffer {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const out = Buffer.alloc(layer.sealedBytesMax(length));
  return out.subarray(0, layer.seal(pieces, out));
}

/** Takes bytes in parts of at most `stride` and keeps what is incomplete, as the reader of a socket does. */
export function received(layer: RecordLayer, bytes: Uint8Array, stride = bytes.length): Buffer {
  const pieces: Uint8Array[] = [];
  let waiting = Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at += stride) {
    waiting = Buffer.concat([waiting, bytes.subarray(at, at + stride)]);
    const used = layer.receive(waiting, (piece) => pieces.push(Uint8Array.from(piece)));
    waiting = waiting.subarray(used);
  }
  return Buffer.concat(pieces);
}
