import { LinkError } from '../transport/link-error.ts';
import { expectObject, type KeysOf } from '../arguments/arguments.ts';
import { type Candidate, isPeer } from './candidate.ts';
import {
  formatIp,
  type IpPrefix,
  overlap,
  parseIp,
  parsePrefix,
  prefixOf,
  widthOf,
} from './ip-prefix.ts';

/** One address, or one network of the same size on both sides: `10.0.0.0/24` is seen as another. */
export interface NatRule {
  /** An address or `address/length`, as the machines behind the translation have it. */
  readonly inside: string;
  /** What those before it dial. */
  readonly outside: string;
  /** For whom: a site, or a node, `site/node`; everybody when left out. */
  readonly peer?: string;
}

interface ParsedRule {
  readonly rule: NatRule;
  readonly inside: IpPrefix;
  readonly outside: IpPrefix;
}

type Side = 'inside' | 'outside';

/** Rules of one peer, or of everybody, by `family/length/bits` of one side. */
type RuleIndex = Readonly<Record<Side, ReadonlyMap<string, ParsedRule>>>;

/**
 * Static address translation: which address stands for which, seen by whom. The rule with the longest
 * inside prefix counts; of those as long, that of the node before that of its site, and that before
 * everybody's. Outside, no two rules that
 * a peer sees may overlap: an address there stands for one inside. So what was translated to the
 * outside is always translated back to itself.
 */
export class NatMap {
  readonly #everybody: RuleIndex;
  readonly #peers = new Map<string, RuleIndex>();
  /** Lengths that occur, the longest first, by family. */
  readonly #lengths: Readonly<Record<4 | 6, readonly number[]>>;

  /** @throws LinkError `argument-invalid`, or `nat-map-invalid`, which names the rules and says what is wrong */
  constructor(rules: readonly NatRule[]) {
    const parsed = rules.map(parseRule);
    for (const [index, rule] of parsed.entries()) {
      for (const earlier of parsed.slice(0, index)) refuseConflict(earlier, rule);
    }
    this.#everybody = indexOf(parsed.filter(({ rule }) => rule.peer === undefined));
    for (const peer of new Set(rules.flatMap((rule) => rule.peer ?? []))) {
      this.#peers.set(peer, indexOf(parsed.filter(({ rule }) => rule.peer === peer)));
    }
    this.#lengths = { 4: lengthsOf(parsed, 4), 6: lengthsOf(parsed, 6) };
  }

  /** What `peer` dials to reach an inside address; undefined when no rule speaks of it. */
  toOutside(address: string, peer?: string): string | undefined {
    return this.#translate(address, peer, 'inside', 'outside');
  }

  /** What an address that `peer` dials stands for inside; undefined when no rule speaks of it. */
  toInside(address: string, peer?: string): string | undefined {
    return this.#translate(address, peer, 'outside', 'inside');
  }

  /** Candidates as `peer` has to dial them; those no rule speaks of stay as they are. */
  candidatesFor(peer: string, candidates: readonly Candidate[]): Candidate[] {
    return candidates.map((candidate) => this.#translated(candidate, peer));
  }

  /** A candidate as the peer that it names, or anybody, has to dial it. */
  translated(candidate: Candidate): Candidate {
    return this.#translated(candidate, candidate.peer);
  }

  #translated(candidate: Candidate, peer: string | undefined): Candidate {
    const { address } = candidate;
    if (typeof address === 'string' || address.kind !== 'tcp') return candidate;
    const host = this.toOutside(address.host, peer);
    return host === undefined ? candidate : { ...candidate, address: { ...address, host } };
  }

  #translate(text: string, peer: string | undefined, from: Side, to: Side): string | undefined {
    const address = parseIp(text);
    if (address === undefined) return undefined;
    const { family, bits } = address;
    const width = widthOf(family);
    const seen = [...this.#rulesOf(peer), this.#everybody];
    for (const length of this.#lengths[family]) {
      const key = keyOf({ family, length, bits: prefixOf(bits, length, width) });
      const found = seen.find((rules) => rules[from].has(key))?.[from].get(key);
      if (found !== undefined) {
        const rest = bits - found[from].bits;
        return formatIp(family, found[to].bits + rest);
      }
    }
    return undefined;
  }

  /** Of the node, then of its site. */
  #rulesOf(peer: string | undefined): RuleIndex[] {
    if (peer === undefined) return [];
    return [this.#peers.get(peer), this.#peers.get(siteOf(peer))].filter(
      (found) => found !== undefined,
    );
  }
}

/** `site` of `site/node`; a site is its own. */
function siteOf(peer: string): string {
  return peer.split('/', 1)[0]!;
}

/** Some peer sees the rules of both. */
function areSeenTogether(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return true;
  return a === b || siteOf(a) === b || siteOf(b) === a;
}

const RULE_KEYS: KeysOf<NatRule> = { inside: true, outside: true, peer: true };

function parseRule(rule: NatRule, index: number): ParsedRule {
  expectObject(`nat rule ${index}`, rule, RULE_KEYS);
  if (rule.peer !== undefined && !isPeer(rule.peer)) {
    throw invalid(`${ruleText(rule)}: the peer is neither a site nor one of its nodes`, {
      hint: "write 'gray' or 'gray/gray1', or leave it out where all see the rule",
    });
  }
  const inside = parsePrefix(rule.inside);
  const outside = parsePrefix(rule.outside);
  if (inside === undefined) throw notPrefix(rule, rule.inside);
  if (outside === undefined) throw notPrefix(rule, rule.outside);
  if (inside.family !== outside.family) {
    throw invalid(`${ruleText(rule)} leads from one address family to the other`);
  }
  if (inside.length !== outside.length) {
    throw invalid(`${ruleText(rule)} has prefixes of ${inside.length} and ${outside.length} bits`, {
      hint: 'both sides need as many addresses; give two prefixes of the same length',
    });
  }
  return { rule, inside, outside };
}

/** Two rules that some peer sees both. */
function refuseConflict(a: ParsedRule, b: ParsedRule): void {
  if (!areSeenTogether(a.rule.peer, b.rule.peer)) return;
  const samePeer = a.rule.peer === b.rule.peer;
  if (samePeer && keyOf(a.inside) === keyOf(b.inside)) {
    throw invalid(`${ruleText(a.rule)} and ${ruleText(b.rule)} translate the same inside prefix`, {
      hint: 'leave one of them out, or give it to another peer',
    });
  }
  if (overlap(a.outside, b.outside)) {
    throw invalid(`${ruleText(a.rule)} and ${ruleText(b.rule)} overlap outside`, {
      hint: 'an address outside must stand for one inside: give prefixes that do not overlap',
    });
  }
}

function notPrefix(rule: NatRule, text: string): LinkError {
  return invalid(`${ruleText(rule)}: ${text} is neither an IP address nor a prefix`, {
    hint: 'write 10.0.0.5 or 10.0.0.0/24, with no bits set after the prefix',
  });
}

function ruleText({ inside, outside, peer }: NatRule): string {
  return `${inside} -> ${outside}${peer === undefined ? '' : ` for ${peer}`}`;
}

function invalid(text: string, options: { hint?: string } = {}): LinkError {
  return new LinkError('nat-map-invalid', text, options);
}

function indexOf(rules: readonly ParsedRule[]): RuleIndex {
  return {
    inside: new Map(rules.map((rule) => [keyOf(rule.inside), rule])),
    outside: new Map(rules.map((rule) => [keyOf(rule.outside), rule])),
  };
}

function lengthsOf(rules: readonly ParsedRule[], family: 4 | 6): readonly number[] {
  const lengths = rules.flatMap(({ inside }) => (inside.family === family ? inside.length : []));
  return [...new Set(lengths)].sort((a, b) => b - a);
}

function keyOf({ family, length, bits }: IpPrefix): string {
  return `${family}/${length}/${bits}`;
}
