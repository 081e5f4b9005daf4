export { type Aead, type Opener, type Sealer, TAG_BYTES } from './aead.ts';
export { type CipherSuite, cipherSuite } from './cipher-suites.ts';
export { hkdfExpandLabel, IV_BYTES, nextTrafficSecret, trafficKeys } from './key-schedule.ts';
export { nodeAead } from './node-aead.ts';
export { opensslAead } from './openssl-aead.ts';
