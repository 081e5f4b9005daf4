import type { SendTraffic } from '../../../packages/linux/src/tls/traffic.ts';
import { record } from './record-pair.ts';

const ALERT = 21;
const HANDSHAKE = 22;
const DATA = 23;

/** Content type and content, in hex. */
type Content = readonly [number, string];

/** Records with right tags that no honest peer sends. */
export interface CrookedRecords {
  /** `a record …` */
  readonly what: string;
  /** What RFC 8446 answers it with. */
  readonly alert: string;
  /** What OpenSSL answers it with, where that is something else; `none` where it takes them. */
  readonly openssl?: string;
  readonly contents: readonly Content[];
}

const KEY_UPDATE: Content = [HANDSHAKE, '1800000100'];
/** As many in a row as may bring nothing for the application, and one more. */
const TOO_MANY = 33;

export const CROOKED_RECORDS: readonly CrookedRecords[] = [
  { what: 'without content type', alert: 'unexpected_message', contents: [[0, '']] },
  { what: 'of an unknown content type', alert: 'unexpected_message', contents: [[24, '00']] },
  { what: 'with change_cipher_spec inside', alert: 'unexpected_message', contents: [[20, '01']] },
  {
    what: 'of handshake without content',
    alert: 'unexpected_message',
    contents: [[HANDSHAKE, '']],
  },
  { what: 'of alert without content', alert: 'unexpected_message', contents: [[ALERT, '']] },
  {
    what: 'with a KeyUpdate of two bytes',
    alert: 'decode_error',
    openssl: 'illegal_parameter',
    contents: [[HANDSHAKE, '180000020000']],
  },
  {
    what: 'with a KeyUpdate of no bytes',
    alert: 'decode_error',
    contents: [[HANDSHAKE, '18000000']],
  },
  {
    what: 'with a KeyUpdate that is neither',
    alert: 'illegal_parameter',
    contents: [[HANDSHAKE, '1800000102']],
  },
  {
    what: 'with a KeyUpdate and more',
    alert: 'unexpected_message',
    contents: [[HANDSHAKE, '180000010018']],
  },
  {
    what: 'with a ClientHello',
    alert: 'unexpected_message',
    contents: [[HANDSHAKE, '0100000100']],
  },
  {
    what: 'with a Finished',
    alert: 'unexpected_message',
    contents: [[HANDSHAKE, `14000020${'00'.repeat(32)}`]],
  },
  { what: 'with an empty ticket', alert: 'decode_error', contents: [[HANDSHAKE, '04000000']] },
  {
    what: 'of data within a message',
    alert: 'unexpected_message',
    contents: [
      [HANDSHAKE, '1800'],
      [DATA, '00'],
    ],
  },
  {
    what: 'of an alert within a message',
    alert: 'unexpected_message',
    contents: [
      [HANDSHAKE, '1800'],
      [ALERT, '0100'],
    ],
  },
  {
    what: 'with half an alert',
    alert: 'decode_error',
    openssl: 'unexpected_message',
    contents: [[ALERT, '01']],
  },
  {
    what: 'with two alerts',
    alert: 'decode_error',
    openssl: 'unexpected_message',
    contents: [[ALERT, '01000100']],
  },
  {
    what: 'with a byte too much',
    alert: 'record_overflow',
    contents: [[DATA, '00'.repeat(16_385)]],
  },
  {
    what: 'without data, again and again',
    alert: 'unexpected_message',
    contents: new Array<Content>(TOO_MANY).fill([DATA, '']),
  },
  {
    what: 'with KeyUpdates again and again',
    alert: 'unexpected_message',
    openssl: 'none',
    contents: new Array<Content>(TOO_MANY).fill(KEY_UPDATE),
  },
];

/** Made with the key at hand, and with the next behind each KeyUpdate. */
export function crookedRecords(traffic: SendTraffic, { contents }: CrookedRecords): Buffer[] {
  return contents.map(([type, hex]) => {
    const bytes = record(traffic, type, Buffer.from(hex, 'hex'));
    if (hex === KEY_UPDATE[1]) traffic.update();
    return bytes;
  });
}
