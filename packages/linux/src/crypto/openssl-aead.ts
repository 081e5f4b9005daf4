import type { ProcessLibrary } from '../native/process-library.ts';
import { type Aead, type Opener, type Sealer, TAG_BYTES } from './aead.ts';
import type { CipherSuite } from './cipher-suites.ts';

// EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of openssl/evp.h.
const GET_TAG = 16;
const SET_TAG = 17;

/**
 * The ciphers by the OpenSSL that Node itself runs on, called as functions of the process: a record is
 * sealed and opened where it lies, and costs no object. Whoever has no such symbols uses `nodeAead`.
 *
 * @throws when Node was built without them
 */
export function opensslAead(library: ProcessLibrary): Aead {
  const evp = bind(library);
  return {
    sealer: (suite, key) => new EvpSealer(evp, suite, key),
    opener: (suite, key) => new EvpOpener(evp, suite, key),
  };
}

type Evp = ReturnType<typeof bind>;

function bind(library: ProcessLibrary) {
  const init = '(size_t, size_t, size_t, size_t, size_t)';
  const update = '(size_t, size_t, size_t, size_t, int)';
  const final = '(size_t, size_t, size_t)';
  const length = new Int32Array(new ArrayBuffer(8));
  return {
    addresses: new Addresses(library),
    /** Where OpenSSL says how much it wrote, which is what went in; kept alive from here. */
    length,
    lengthAt: library.addressOf(length.buffer),
    ciphers: {
      'aes-128-gcm': library.func('size_t EVP_aes_128_gcm()'),
      'aes-256-gcm': library.func('size_t EVP_aes_256_gcm()'),
      'chacha20-poly1305': library.func('size_t EVP_chacha20_poly1305()'),
    },
    newContext: library.func('size_t EVP_CIPHER_CTX_new()'),
    freeContext: library.func('void EVP_CIPHER_CTX_free(size_t)'),
    control: library.func('int EVP_CIPHER_CTX_ctrl(size_t, int, int, size_t)'),
    encryptInit: library.func(`int EVP_EncryptInit_ex${init}`),
    encryptUpdate: library.func(`int EVP_EncryptUpdate${update}`),
    encryptFinal: library.func(`int EVP_EncryptFinal_ex${final}`),
    decryptInit: library.func(`int EVP_DecryptInit_ex${init}`),
    decryptUpdate: library.func(`int EVP_DecryptUpdate${update}`),
    decryptFinal: library.func(`int EVP_DecryptFinal_ex${final}`),
  };
}

/** Addresses of views. Asking for one costs as much as a call, and data comes in few, large buffers. */
class Addresses {
  readonly #library: ProcessLibrary;
  readonly #known = new WeakMap<ArrayBufferLike, number>();

  constructor(library: ProcessLibrary) {
    this.#library = library;
  }

  of(view: Uint8Array): number {
    const { buffer } = view;
    let start = this.#known.get(buffer);
    if (start === undefined) {
      start = this.#library.addressOf(buffer);
      this.#known.set(buffer, start);
    }
    return start + view.byteOffset;
  }
}

/** One context of OpenSSL with its key; only the nonce is set for each record. */
class EvpContext {
  protected readonly evp: Evp;
  #context: number;

  constructor(evp: Evp, suite: CipherSuite, key: Uint8Array, init: Evp['encryptInit']) {
    this.evp = evp;
    this.#context = evp.newContext();
    if (this.#context === 0) throw new Error('OpenSSL has no memory for a key');
    if (key.length !== suite.keyBytes) throw new Error(`a key of ${key.length} bytes`);
    must(init(this.#context, evp.ciphers[suite.cipher](), 0, evp.addresses.of(key), 0));
  }

  /** OpenSSL is never called with a context that it was given back. */
  protected get context(): number {
    if (this.#context === 0) throw new Error('the key was cleared');
    return this.#context;
  }

  destroy(): void {
    const context = this.#context;
    this.#context = 0;
    if (context !== 0) this.evp.freeContext(context);
  }
}

class EvpSealer extends EvpContext implements Sealer {
  constructor(evp: Evp, suite: CipherSuite, key: Uint8Array) {
    super(evp, suite, key, evp.encryptInit);
  }

  begin(nonce: Uint8Array, additional: Uint8Array): void {
    const { evp, context } = this;
    must(evp.encryptInit(context, 0, 0, 0, evp.addresses.of(nonce)));
    const from = evp.addresses.of(additional);
    must(evp.encryptUpdate(context, 0, evp.lengthAt, from, additional.length));
  }

  update(piece: Uint8Array, out: Uint8Array, at: number): void {
    const { evp } = this;
    if (at + piece.length > out.length) throw new RangeError('no room for a piece of a record');
    if (piece.length === 0) return;
    const to = evp.addresses.of(out) + at;
    const from = evp.addresses.of(piece);
    must(evp.encryptUpdate(this.context, to, evp.lengthAt, from, piece.length));
  }

  finish(out: Uint8Array, at: number): void {
    const { evp, context } = this;
    if (at + TAG_BYTES > out.length) throw new RangeError('no room for the tag of a record');
    const to = evp.addresses.of(out) + at;
    must(evp.encryptFinal(context, to, evp.lengthAt));
    must(evp.control(context, GET_TAG, TAG_BYTES, to));
  }
}

class EvpOpener extends EvpContext implements Opener {
  constructor(evp: Evp, suite: CipherSuite, key: Uint8Array) {
    super(evp, suite, key, evp.decryptInit);
  }

  open(nonce: Uint8Array, additional: Uint8Array, sealed: Uint8Array): boolean {
    const { evp, context } = this;
    const length = sealed.length - TAG_BYTES;
    if (length <= 0) throw new RangeError('a record is longer than its tag');
    const at = evp.addresses.of(sealed);
    const from = evp.addresses.of(additional);
    must(evp.decryptInit(context, 0, 0, 0, evp.addresses.of(nonce)));
    must(evp.control(context, SET_TAG, TAG_BYTES, at + length));
    must(evp.decryptUpdate(context, 0, evp.lengthAt, from, additional.length));
    must(evp.decryptUpdate(context, at, evp.lengthAt, at, length));
    if (evp.decryptFinal(context, at + length, evp.lengthAt) === 1) return true;
    sealed.fill(0, 0, length);
    return false;
  }
}

function must(result: number): void {
  if (result !== 1) throw new Error('OpenSSL refused a call that never fails');
}
