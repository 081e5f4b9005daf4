import type { Agreement } from '../wire/payload.ts';

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
  const common = offer.versions.filter((version) => own.versions.includes(version));
  if (common.length === 0) return undefined;
  const capabilities = offer.capabilities.filter((name) => own.capabilities.includes(name));
  const version = Math.max(...common);
  if (version === 1 && capabilities.length === 0) return PLAIN;
  return { version, capabilities: [...new Set(capabilities)] };
}

/** The sentence with which `own` refuses `offer` for want of a common version. */
export function noCommonVersion(protocol: string, offer: Offer, own: Offer): string {
  return `${protocol}: ${versionsText(own.versions)} here, ${versionsText(offer.versions)} at the peer`;
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
