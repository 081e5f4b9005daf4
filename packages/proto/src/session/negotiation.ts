import { type Agreement, parseAccept } from '../wire/payload.ts';
import { utf8Encode } from '../wire/text.ts';

/** What one end can speak: of a protocol, or of the session protocol itself. */
export interface Offer {
  /** 1..65535, at most 32, in any order. */
  readonly versions: readonly number[];
  /** Names of optional parts, each at most 64 characters, at most 64. */
  readonly capabilities: readonly string[];
}

/** The first version of a protocol, and nothing optional: what `tcp` streams have. */
export const PLAIN: Agreement = Object.freeze({ version: 1, capabilities: Object.freeze([]) });

/**
 * The highest version that both ends speak, and the capabilities that both name; undefined when
 * there is no such version. Which end asks makes no difference but for the order of capabilities.
 */
export function negotiate(offer: Offer, own: Offer): Agreement | undefined {
  let version = 0;
  for (const each of offer.versions) {
    if (each > version && own.versions.includes(each)) version = each;
  }
  if (version === 0) return undefined;
  const capabilities = commonNames(offer.capabilities, own.capabilities);
  return version === 1 && capabilities.length === 0 ? PLAIN : { version, capabilities };
}

function commonNames(offered: readonly string[], own: readonly string[]): readonly string[] {
  if (offered.length === 0 || own.length === 0) return PLAIN.capabilities;
  return [...new Set(offered.filter((name) => own.includes(name)))];
}

/** The sentence with which `own` refuses `offer` for want of a common version. */
export function noCommonVersion(protocol: string, offer: Offer, own: Offer): string {
  return `${protocol}: ${versionsText(own.versions)} here, ${versionsText(offer.versions)} at the peer`;
}

/** The same for a stream: both of its ends are shown it, and `here` would be another end to each. */
export function notSpoken(protocol: string, asked: Offer, spoken: Offer): string {
  const [wanted, there] = [versionsText(asked.versions), versionsText(spoken.versions)];
  return `${protocol} was asked for in ${wanted}, and is spoken in ${there}`;
}

/** Why `picked` is no answer to `offer`; undefined when it is one. */
export function agreementFault(offer: Offer, picked: Agreement): string | undefined {
  if (!offer.versions.includes(picked.version)) {
    return `version ${picked.version} was not offered: ${versionsText(offer.versions)} were`;
  }
  const unknown = picked.capabilities.find((name) => !offer.capabilities.includes(name));
  return unknown === undefined ? undefined : `capability ${unknown} was not offered`;
}

/** `version 1`, `versions 1, 2`, `no version`. */
function versionsText(versions: readonly number[]): string {
  if (versions.length === 0) return 'no version';
  return `${versions.length === 1 ? 'version' : 'versions'} ${versions.join(', ')}`;
}

/** {@link PLAIN} as ACCEPT says it here: the one that every forwarded connection has. */
const PLAIN_BYTES = utf8Encode(JSON.stringify(PLAIN));

/** ACCEPT's payload. */
export function acceptPayload(picked: Agreement): Uint8Array {
  return picked === PLAIN ? PLAIN_BYTES : utf8Encode(JSON.stringify(picked));
}

/**
 * Reads ACCEPT's payload.
 *
 * @throws ProtocolError `frame-payload`
 */
export function readAccept(payload: Uint8Array): Agreement {
  const isPlain =
    payload.length === PLAIN_BYTES.length &&
    PLAIN_BYTES.every((byte, index) => payload[index] === byte);
  return isPlain ? PLAIN : parseAccept(payload);
}

/** Whether two agreements are the same. */
export function sameAgreement(one: Agreement, other: Agreement): boolean {
  if (one === other) return true;
  const { capabilities } = one;
  return (
    one.version === other.version &&
    capabilities.length === other.capabilities.length &&
    capabilities.every((name, index) => other.capabilities[index] === name)
  );
}
