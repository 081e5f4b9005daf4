import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Draft } from './draft.ts';
import type { TomlDocument } from './toml/document.ts';
import { didYouMean } from './toml/nearest.ts';
import type { ConfigProblem } from './toml/problems.ts';

/** Names of the fabric as far as this machine knows them. */
export interface KnownSites {
  readonly sites: ReadonlySet<string>;
  /** By site: `site/node` of every certificate issued. */
  readonly nodes: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Sites and nodes the CA on this machine has issued certificates for, or invited, and the sites
 * this node's forwards lead to. Undefined on a node without a CA, which cannot know.
 */
export function knownSites(draft: Draft): KnownSites | undefined {
  if (draft.node === undefined) return undefined;
  const journal = textOf(join(draft.node.state, 'ca', 'issued.jsonl'));
  if (journal === undefined) return undefined;
  const records = [...journal.split('\n'), ...invitesOf(draft.node.state)].map(namesIn);
  const sites = new Set(draft.forwards.map(({ value }) => value.to.site));
  const nodes = new Map<string, Set<string>>();
  for (const { site, node } of records) {
    if (site !== undefined) sites.add(site);
    if (site === undefined || node === undefined) continue;
    nodes.set(site, (nodes.get(site) ?? new Set()).add(`${site}/${node}`));
  }
  return { sites, nodes };
}

/** Entries of `allow` that name nobody. */
export function unknownAllowEntries(
  document: TomlDocument,
  draft: Draft,
  known: KnownSites | undefined,
): ConfigProblem[] {
  if (known === undefined) return [];
  // Many services have the same entries; what one misses is looked for once.
  const problems = new Map<string, ReturnType<typeof unknownEntry>>();
  return draft.services.flatMap(({ path, value }) =>
    value.allow.flatMap((entry, index) => {
      if (!problems.has(entry)) problems.set(entry, unknownEntry(entry, known, draft.node?.site));
      const problem = problems.get(entry);
      return problem === undefined ? [] : [document.atValue([...path, 'allow', index], problem)];
    }),
  );
}

function unknownEntry(
  entry: string,
  known: KnownSites,
  ownSite: string | undefined,
): { message: string; hint: string } | undefined {
  const [site, node] = entry.split('/');
  // One's own site in `allow` is another problem, reported as such.
  if (site === ownSite) return undefined;
  if (!known.sites.has(site!)) {
    const others = [...known.sites].filter((name) => name !== ownSite);
    const meant = didYouMean(site!, others);
    return {
      message: `unknown site "${site}" in allow: it has neither a certificate nor an invitation${meant}`,
      hint: `sites known here: ${listOf(others)}; a new one is invited with \`routy invite ${site}\``,
    };
  }
  const nodes = known.nodes.get(site!);
  if (node === undefined || nodes === undefined || nodes.has(entry)) return undefined;
  const siblings = [...nodes];
  return {
    message: `unknown node "${entry}" in allow: it has no certificate${didYouMean(entry, siblings)}`,
    hint: `nodes of site ${site}: ${listOf(siblings)}`,
  };
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'none yet' : [...names].sort().join(', ');
}

function invitesOf(state: string): string[] {
  try {
    const directory = join(state, 'invites');
    const files = readdirSync(directory).filter((file) => file.endsWith('.json'));
    return files.map((file) => textOf(join(directory, file)) ?? '');
  } catch {
    return [];
  }
}

/** Site and node in one JSON record; nothing from a line that is not one. */
function namesIn(json: string): { site?: string; node?: string } {
  try {
    const record: unknown = JSON.parse(json);
    if (typeof record !== 'object' || record === null) return {};
    const { site, node } = record as Record<string, unknown>;
    return {
      ...(typeof site === 'string' ? { site } : {}),
      ...(typeof node === 'string' ? { node } : {}),
    };
  } catch {
    return {};
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
