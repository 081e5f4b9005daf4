import { isIP } from 'node:net';
import { type Address, isName } from '@routy/proto/base';
import { alternatingFamilies } from '../transport/names/families.ts';
import { unixPathFault } from '../transport/plain/unix-path.ts';

/** One way to a destination: a transport by its name, and where it is to go. */
export interface Candidate {
  /**
   * Name of the transport, 1 to 64 characters: `tls`, `tcp`, `unix`, or one that `createLink` was
   * given.
   */
  readonly transport: string;
  /** Text is for the transport alone to read. */
  readonly address: Address | string;
  /** Who must be there: a node, `site/node`, or any node of a `site`; whoever answers when left out. */
  readonly peer?: string;
}

/** Candidates of one answer: more are a defect of the locator, not a choice. */
export const CANDIDATES_MAX = 256;

/** Of the name of a transport. */
export const TRANSPORT_CHARS_MAX = 64;
const ADDRESS_CHARS_MAX = 1024;

/** A copy of what a locator answered, or what is wrong with it. */
export function checkedCandidates(answer: unknown): readonly Candidate[] | string {
  if (!Array.isArray(answer)) return `not an array but ${typeof answer}`;
  if (answer.length > CANDIDATES_MAX) {
    return `${answer.length} candidates; at most ${CANDIDATES_MAX} are taken`;
  }
  const candidates: Candidate[] = [];
  for (const [index, item] of answer.entries()) {
    const candidate = checkedCandidate(item);
    if (typeof candidate === 'string') return `candidate ${index}: ${candidate}`;
    candidates.push(candidate);
  }
  return candidates;
}

function checkedCandidate(item: unknown): Candidate | string {
  if (typeof item !== 'object' || item === null) return 'it is not { transport, address, peer? }';
  const { transport, address, peer, ...more } = item as Record<string, unknown>;
  // A misspelt peer would be nobody's: whoever answers would be taken.
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) return `it has ${unknown}, and is { transport, address, peer? }`;
  if (!isText(transport, TRANSPORT_CHARS_MAX)) return 'its transport is no name, as tls';
  const checked = checkedAddress(address);
  if (checked === undefined) return `its address is none of ${ADDRESSES}`;
  if (peer === undefined) return { transport, address: checked };
  return isPeer(peer)
    ? { transport, address: checked, peer }
    : 'its peer is neither a site nor a site/node';
}

const ADDRESSES =
  "{ kind: 'tcp', host, port } with a port from 1 to 65535, { kind: 'unix', path } with an absolute path, a text";

function checkedAddress(address: unknown): Address | string | undefined {
  if (isText(address, ADDRESS_CHARS_MAX)) return address;
  if (typeof address !== 'object' || address === null) return undefined;
  const { kind, host, port, path } = address as Record<string, unknown>;
  if (kind === 'unix') {
    return unixPathFault(path) === undefined ? { kind, path: path as string } : undefined;
  }
  if (kind !== 'tcp' || !isText(host, ADDRESS_CHARS_MAX) || !isPort(port)) return undefined;
  return { kind, host, port };
}

/** A site, or a node of one. */
export function isPeer(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const names = value.split('/');
  return names.length <= 2 && names.every(isName);
}

function isText(value: unknown, charsMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= charsMax;
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}

/**
 * In the order to be tried: the families in turn, so that one that leads nowhere costs one step of
 * the race, not one for each of its addresses. What is no IP address, as a host name or a unix
 * socket, counts as of the family that is not preferred.
 */
export function inFamilyOrder(
  candidates: readonly Candidate[],
  preferred: 'ipv4' | 'ipv6',
): Candidate[] {
  return alternatingFamilies(candidates, familyOf, preferred === 'ipv4' ? 4 : 6);
}

function familyOf({ address }: Candidate): number {
  return typeof address === 'object' && address.kind === 'tcp' ? isIP(address.host) : 0;
}
