import { createHash } from 'node:crypto';

/** Bytes are made and sent in pieces of this size. */
export const PIECE_BYTES = 64 * 1024;

const NOISE_BYTES = 1024 * 1024;
const noise = makeNoise();

function makeNoise(): Buffer {
  const bytes = Buffer.allocUnsafe(NOISE_BYTES + PIECE_BYTES);
  let state = 0x9e3779b9;
  for (let at = 0; at < bytes.length; at += 4) {
    // xorshift32 (G. Marsaglia, 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes;
}

/**
 * Piece `index` of an endless content; every piece differs from every other, and the contents of
 * two seeds from each other, so that a byte lost, doubled, moved or mixed in changes the digest.
 */
export function pieceOf(seed: number, index: number): Buffer {
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  noise.copy(piece, 0, (index * 4099) % NOISE_BYTES, ((index * 4099) % NOISE_BYTES) + PIECE_BYTES);
  for (let at = 0; at < PIECE_BYTES; at += 4096) {
    piece.writeUInt32LE(seed, at);
    piece.writeDoubleLE(index * PIECE_BYTES + at, at + 4);
  }
  return piece;
}

/** SHA-256 in hex of the first `bytes` of a content. */
export function contentDigest(seed: number, bytes: number): string {
  const digest = createHash('sha256');
  for (let at = 0, index = 0; at < bytes; at += PIECE_BYTES, index += 1) {
    digest.update(pieceOf(seed, index).subarray(0, Math.min(PIECE_BYTES, bytes - at)));
  }
  return digest.digest('hex');
}
