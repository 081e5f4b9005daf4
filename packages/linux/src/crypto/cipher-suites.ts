/** A cipher suite of TLS 1.3 (RFC 8446 B.4) and what its keys need. */
export interface CipherSuite {
  /** As in RFC 8446 B.4, and as node:tls names it. */
  readonly name: string;
  /** As node:crypto names it. */
  readonly cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
  readonly hash: 'sha256' | 'sha384';
  /** Of a traffic secret. */
  readonly hashBytes: number;
  readonly keyBytes: number;
  /**
   * How many records one key may protect, RFC 8446 §5.5: 2^24.5 full ones for AES-GCM, here a round
   * number below. ChaCha20-Poly1305 has no limit of its own; its sequence numbers stay exact in a number.
   */
  readonly recordsMax: number;
}

const AES_GCM_RECORDS_MAX = 2 ** 24;
const CHACHA20_RECORDS_MAX = 2 ** 48;

const SUITES: readonly CipherSuite[] = [
  {
    name: 'TLS_AES_128_GCM_SHA256',
    cipher: 'aes-128-gcm',
    hash: 'sha256',
    hashBytes: 32,
    keyBytes: 16,
    recordsMax: AES_GCM_RECORDS_MAX,
  },
  {
    name: 'TLS_AES_256_GCM_SHA384',
    cipher: 'aes-256-gcm',
    hash: 'sha384',
    hashBytes: 48,
    keyBytes: 32,
    recordsMax: AES_GCM_RECORDS_MAX,
  },
  {
    name: 'TLS_CHACHA20_POLY1305_SHA256',
    cipher: 'chacha20-poly1305',
    hash: 'sha256',
    hashBytes: 32,
    keyBytes: 32,
    recordsMax: CHACHA20_RECORDS_MAX,
  },
];

/** The suite of that name; undefined for one that is not spoken here. */
export function cipherSuite(name: string): CipherSuite | undefined {
  return SUITES.find((suite) => suite.name === name);
}
