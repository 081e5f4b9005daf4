import { tomlString } from '../toml/text-tables.ts';
import {
  forwardLines,
  type NewForward,
  type NewPeer,
  type NewService,
  peerLines,
  serviceLines,
} from './edit.ts';

/** What a fresh `routy.toml` is made of; values as written in the file. */
export interface InitialConfig {
  readonly name: string;
  readonly site: string;
  /** Absolute. */
  readonly state: string;
  /** `host:port`; undefined for a node that only dials. */
  readonly listen?: string | undefined;
  /** Where newcomers dial it; only with `listen`. */
  readonly advertise?: readonly string[] | undefined;
  readonly peers?: readonly NewPeer[];
  readonly services?: readonly NewService[];
  readonly forwards?: readonly NewForward[];
}

/**
 * A commented `routy.toml` for init, join and adoption. Sections without a value hold an example in
 * comments. The values are not judged: validate with `parseConfig` before writing.
 */
export function renderConfig(initial: InitialConfig): string {
  const { listen, peers = [], services = [], forwards = [] } = initial;
  const sections = [
    ['# Routy, one file a node. `routy check` looks at it, `routy reload` applies changes.'],
    [
      '[node]',
      `name = ${tomlString(initial.name)}`,
      `site = ${tomlString(initial.site)}`,
      `state = ${tomlString(initial.state)}`,
    ],
    [
      '# Where other nodes dial this one.',
      ...(listen === undefined
        ? ['# [listen]', '# address = "0.0.0.0:7443"']
        : ['[listen]', `address = ${tomlString(listen)}`, ...advertiseLines(initial.advertise)]),
    ],
    ...section('# Whom this node dials: one [[peer]] for each.', peers.map(peerLines), [
      '# [[peer]]',
      '# address = "gray.example:7443"',
    ]),
    ...section("# What this node's site offers, and who may open it.", services.map(serviceLines), [
      '# [service.postgres]',
      '# target = "127.0.0.1:5432"',
      '# allow = ["gray"]',
    ]),
    ...section('# What this node reaches elsewhere.', forwards.map(forwardLines), [
      '# [[forward]]',
      '# listen = "127.0.0.1:6432"',
      '# to = "gray/postgres"',
    ]),
    [
      '# Must be equal on every node of the fabric; compared at every handshake.',
      '[fabric]',
      'heartbeat_interval = "5s"',
      'heartbeat_misses = 3',
      'resume_time = "60s"',
    ],
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function advertiseLines(advertise: readonly string[] = []): string[] {
  if (advertise.length === 0) return [];
  return [`advertise = [${advertise.map(tomlString).join(', ')}]`];
}

/**
 * A heading with its tables, or with an example. The empty line between heading and tables keeps
 * the heading when the first table is removed: a comment right above a table goes with it.
 */
function section(heading: string, tables: string[][], example: string[]): string[][] {
  return tables.length > 0 ? [[heading], ...tables] : [[heading, ...example]];
}
