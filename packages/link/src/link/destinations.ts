import { identityUri, isName as isNameText, nodeName } from '@routy/proto/base';
import { expectObject, type KeysOf } from '../arguments/arguments.ts';
import { type Candidate, checkedCandidates, inFamilyOrder } from '../locators/candidate.ts';
import type { Locators } from '../locators/locators.ts';
import { kindAndValue, type LogicalName } from '../locators/logical-name.ts';
import { NatMap, type NatRule } from '../locators/nat-map.ts';
import type { Lane } from '../transport/lane.ts';
import { invalidArgument, LinkError } from '../transport/link-error.ts';
import { raceCandidates } from '../transport/race.ts';
import type { Transports } from './transports.ts';

/** Where a link dials: candidates, or a name that locators turn into candidates at each attempt. */
export type Destination = Candidate | readonly Candidate[] | LogicalName;

/** How a link dials what it is told to; all of it has defaults. */
export interface DiallingOptions {
  /**
   * Addresses that are translated on the way: those inside are dialled as those outside. A rule with a
   * `peer` holds for candidates that name that peer, or its site; the others hold for all.
   */
  readonly nat?: readonly NatRule[];
  /** Family of IP addresses that is tried first, the other in turn with it; `ipv6` by default. */
  readonly preferredFamily?: 'ipv4' | 'ipv6';
  /**
   * Before the next candidate is tried beside those before it, in ms: 10 to 10,000, 250 by default
   * (RFC 8305, section 5: Connection Attempt Delay).
   */
  readonly attemptDelayMs?: number;
}

const KEYS: KeysOf<DiallingOptions> = { nat: true, preferredFamily: true, attemptDelayMs: true };

const DELAY_MS_MIN = 10;
const DELAY_MS_MAX = 10_000;

/** How one destination is dialled. */
export interface DialHow {
  readonly insecure: boolean;
  /** Tried first when it is among the candidates: where the session that is to be resumed was. */
  readonly first: Candidate | undefined;
  readonly signal: AbortSignal;
}

/** What a dial has led to. */
interface DialledLane {
  readonly lane: Lane;
  readonly candidate: Candidate;
  /** Its peer has proven who it is. */
  readonly isProven: boolean;
}

/** From where a link wants to go to a lane that leads there. */
export class Destinations {
  readonly #locators: Locators;
  readonly #transports: Transports;
  readonly #nat: NatMap;
  readonly #preferredFamily: 'ipv4' | 'ipv6';
  readonly #attemptDelayMs: number | undefined;

  /** @throws LinkError `nat-map-invalid`, `argument-invalid` */
  constructor(locators: Locators, transports: Transports, options: DiallingOptions = {}) {
    expectObject('dialling', options, KEYS);
    const { nat = [], preferredFamily = 'ipv6', attemptDelayMs } = options;
    if (!Array.isArray(nat))
      throw invalidArgument('dialling.nat', 'a list of { inside, outside, peer }', nat);
    if (preferredFamily !== 'ipv4' && preferredFamily !== 'ipv6')
      throw invalidArgument('dialling.preferredFamily', "'ipv4' or 'ipv6'", preferredFamily);
    if (attemptDelayMs !== undefined && !isDelay(attemptDelayMs))
      throw invalidArgument('dialling.attemptDelayMs', DELAY_TEXT, attemptDelayMs);
    this.#locators = locators;
    this.#transports = transports;
    this.#nat = new NatMap(nat);
    this.#preferredFamily = preferredFamily;
    this.#attemptDelayMs = attemptDelayMs;
  }

  /**
   * A lane to whichever candidate answers first, as RFC 8305 races them.
   *
   * @throws LinkError as `Locators.resolve`, `raceCandidates` and the transports say;
   *   `peer-not-verified` where another peer answers than the candidate names
   */
  async dial(destination: Destination, { insecure, first, signal }: DialHow): Promise<DialledLane> {
    const found = await this.#candidatesOf(destination, signal);
    const candidates = withFirst(inFamilyOrder(found, this.#preferredFamily), first);
    const attempt = async (candidate: Candidate, own: AbortSignal) => {
      const { transport, address } = candidate;
      const found = this.#transports.get(transport, insecure);
      const lane = expected(await found.dial(address, own), candidate);
      return { lane, candidate, isProven: found.isProven };
    };
    const discard = ({ lane }: DialledLane) => lane.destroy();
    return raceCandidates(candidates, attempt, { signal, discard, delayMs: this.#attemptDelayMs });
  }

  /**
   * Candidates of which no attempt could ever dial one are refused where they are given: with what is
   * wrong with the first. Those of a locator are not known then, and fail their attempt.
   *
   * @throws LinkError `transport-unknown`, `insecure-not-allowed`, `address-invalid`
   */
  expectDialable(destination: Destination, insecure: boolean): void {
    if (isName(destination)) return;
    const faults = listOf(destination).map((candidate) => this.#faultOf(candidate, insecure));
    const [first] = faults;
    if (faults.every((fault) => fault !== undefined)) throw first as Error;
  }

  #faultOf({ transport, address }: Candidate, insecure: boolean): unknown {
    try {
      this.#transports.get(transport, insecure).checkAddress?.(address);
      return undefined;
    } catch (fault) {
      return fault;
    }
  }

  async #candidatesOf(
    destination: Destination,
    signal: AbortSignal,
  ): Promise<readonly Candidate[]> {
    const found = isName(destination)
      ? await this.#locators.resolve(destination, { signal })
      : listOf(destination);
    return found.map((candidate) => this.#nat.translated(candidate));
  }
}

/**
 * What `link.dial` was given, as its own copy.
 *
 * @throws LinkError `argument-invalid`, `locate-name-invalid`
 */
export function checkedDestination(destination: unknown): Destination {
  if (typeof destination !== 'object' || destination === null)
    throw invalidArgument('destination', DESTINATION_TEXT, destination);
  if (!isCandidates(destination)) {
    const [kind, value] = kindAndValue(destination as LogicalName);
    return { [kind]: value };
  }
  const checked = checkedCandidates(listOf(destination as Candidate | readonly Candidate[]));
  if (typeof checked === 'string')
    throw new LinkError('argument-invalid', `this is no destination: ${checked}`, {
      hint: `a destination is ${DESTINATION_TEXT}`,
    });
  if (checked.length === 0) throw invalidArgument('destination', DESTINATION_TEXT, destination);
  return checked;
}

/** @throws LinkError `argument-invalid` unless it is `site/node` */
export function expectNodeName(given: unknown): void {
  const names = typeof given === 'string' ? given.split('/') : [];
  if (names.length === 2 && names.every(isNameText)) return;
  throw invalidArgument('the name of a peer', "'site/node', as 'red/red1'", given);
}

const DESTINATION_TEXT =
  "{ transport, address }, a list of one to 256 of them, or a logical name such as { cluster: 'north' }";

const DELAY_TEXT = `a number of ms from ${DELAY_MS_MIN} to ${DELAY_MS_MAX}`;

function isDelay(ms: number): boolean {
  return typeof ms === 'number' && ms >= DELAY_MS_MIN && ms <= DELAY_MS_MAX;
}

function isCandidates(destination: object): boolean {
  return Array.isArray(destination) || 'transport' in destination || 'address' in destination;
}

function isName(destination: Destination): destination is LogicalName {
  return !isCandidates(destination);
}

function listOf(destination: Candidate | readonly Candidate[]): readonly Candidate[] {
  return Array.isArray(destination) ? destination : [destination as Candidate];
}

/** Whoever sent us there meant this one: another takes nothing that was meant for it. */
function expected(lane: Lane, { peer: wanted }: Candidate): Lane {
  const { site } = lane.peer;
  if (wanted === undefined || wanted === site || wanted === nodeName(lane.peer)) return lane;
  lane.destroy();
  const text = `${lane.remoteAddress} is ${identityUri(lane.peer)}, and ${wanted} was to be there`;
  throw new LinkError('peer-not-verified', text, {
    hint: 'correct the address, or leave the peer of the candidate out where anybody will do',
  });
}

function withFirst(candidates: readonly Candidate[], first: Candidate | undefined): Candidate[] {
  const isFirst = (each: Candidate) => first !== undefined && sameCandidate(each, first);
  return [...candidates.filter(isFirst), ...candidates.filter((each) => !isFirst(each))];
}

function sameCandidate(one: Candidate, other: Candidate): boolean {
  return (
    one.transport === other.transport &&
    JSON.stringify(one.address) === JSON.stringify(other.address)
  );
}
