import { isIP } from 'node:net';
import { formatAddress, formatDuration, formatSize } from '@routy/proto/base';
import type { Draft } from './draft.ts';
import { valueAt } from './explain.ts';
import { ClaimedAddresses, type ListeningAddress, listeningAddresses } from './listening.ts';
import { readName } from './schema/fields.ts';
import { tableName } from './schema/shape.ts';
import type { KeyPath, TomlDocument } from './toml/document.ts';
import type { ConfigProblem } from './toml/problems.ts';

type Rule = (document: TomlDocument, draft: Draft) => ConfigProblem[];

/** What the schema cannot say because it takes several keys together. Looks at the file alone. */
export function crossCheck(document: TomlDocument, draft: Draft): ConfigProblem[] {
  return RULES.flatMap((rule) => rule(document, draft));
}

const serviceNames: Rule = (document) => {
  const services = valueAt(document.value, ['service']);
  if (typeof services !== 'object' || services === null || Array.isArray(services)) return [];
  return Object.keys(services).flatMap((name) => {
    const checked = readName(name);
    if (!('error' in checked)) return [];
    return [document.atKey(['service', name], { message: `service name ${checked.error}` })];
  });
};

const peerAddresses: Rule = (document) => {
  const peers = valueAt(document.value, ['peer']);
  if (!Array.isArray(peers)) return [];
  return peers.flatMap((peer, index) => {
    const has = (key: string) => valueAt(peer, [key]) !== undefined;
    if (has('address') && has('addresses')) {
      const message = '[[peer]] has both "address" and "addresses"';
      const hint = 'keep one: address = "host:port", or addresses = ["host:port", ...]';
      return [document.atKey(['peer', index, 'addresses'], { message, hint })];
    }
    if (has('address') || has('addresses')) return [];
    const hint = 'add address = "gray.example:7443"';
    return [
      document.atKey(['peer', index], { message: 'missing key "address" in [[peer]]', hint }),
    ];
  });
};

const duplicateListening: Rule = (document, draft) => {
  const problems: ConfigProblem[] = [];
  const taken = new ClaimedAddresses<ListeningAddress>();
  for (const entry of listeningAddresses(draft)) {
    const other = taken.claim(entry);
    if (other === undefined) continue;
    const here = formatAddress(entry.address);
    const there = formatAddress(other.address);
    const where = `${tableName(other.path.slice(0, -1))} on line ${document.lineOf(other.path)}`;
    const why =
      here === there ? `is already taken by ${where}` : `collides with ${there} of ${where}`;
    const hint =
      entry.address.kind === 'unix' ? 'choose another path' : 'choose another port for one of them';
    problems.push(document.atValue(entry.path, { message: `${here} ${why}`, hint }));
  }
  return problems;
};

const duplicatePeers: Rule = (document, draft) => {
  const problems: ConfigProblem[] = [];
  const seen = new Set<string>();
  for (const { path, value } of draft.peers) {
    for (const [index, address] of value.addresses.entries()) {
      const text = formatAddress(address);
      const key = `${text} ${value.via ?? ''}`;
      if (seen.has(key)) {
        const message = `peer address ${text} is given twice`;
        problems.push(document.atValue(addressPath(document, path, index), { message }));
      }
      seen.add(key);
    }
  }
  return problems;
};

function addressPath(document: TomlDocument, peer: KeyPath, index: number): KeyPath {
  const single = [...peer, 'address'];
  return valueAt(document.value, single) === undefined ? [...peer, 'addresses', index] : single;
}

const dialsItself: Rule = (document, draft) => {
  const own = draft.listen?.address;
  if (own === undefined) return [];
  return draft.peers.flatMap(({ path, value }) => {
    const index = value.addresses.findIndex((one) => formatAddress(one) === formatAddress(own));
    if (index < 0) return [];
    const message = `this node would dial itself: ${formatAddress(own)} is its own [listen] address`;
    const hint = 'a [[peer]] is another node';
    return [document.atValue(addressPath(document, path, index), { message, hint })];
  });
};

const forwardToOwnSite: Rule = (document, draft) =>
  draft.forwards
    .filter(({ value }) => value.to.site === draft.node?.site)
    .map(({ path, value }) =>
      document.atValue([...path, 'to'], {
        message: `forward to ${value.to.site}/${value.to.service}, but this node itself stands in site "${value.to.site}"`,
        hint: 'a forward leads to another site; connect to a service of the own site directly',
      }),
    );

const forwardToItself: Rule = (document, draft) => {
  const forwards = new Map<string, (typeof draft.forwards)[number]>();
  for (const forward of draft.forwards) {
    const listen = formatAddress(forward.value.listen);
    if (!forwards.has(listen)) forwards.set(listen, forward);
  }
  return draft.services.flatMap(({ path, value }) => {
    const forward = forwards.get(formatAddress(value.target));
    if (forward === undefined || (value.target.kind === 'tcp' && value.target.port === 0))
      return [];
    const message = `target ${formatAddress(value.target)} is the [[forward]] on line ${document.lineOf(forward.path)}`;
    const hint = 'give the address of the service itself, not of the way to the other site';
    return [document.atValue([...path, 'target'], { message, hint, severity: 'warning' })];
  });
};

/** A setting that would silently do nothing is a mistake. */
const kindsOfAddress: Rule = (document, draft) => [
  ...draft.forwards.flatMap(({ path, value }) => {
    const unix = value.listen.kind === 'unix';
    const { owner, group, mode } = value.socket;
    const given = [
      ['clients', value.clients, !unix],
      ['socket_owner', owner, unix],
      ['socket_group', group, unix],
      ['socket_mode', mode, unix],
    ] as const;
    return given
      .filter(([, setting, counts]) => setting !== undefined && !counts)
      .map(([key]) => {
        const [kind, other] = unix ? ['TCP', 'a unix socket'] : ['unix sockets', 'a TCP address'];
        const message = `"${key}" counts for ${kind}, and this forward listens on ${other}`;
        return document.atKey([...path, key], { message, hint: 'leave it out' });
      });
  }),
  ...draft.services.flatMap(({ path, value }) => {
    const { source, target } = value;
    if (source === undefined) return [];
    const at = (message: string, hint: string) => [
      document.atValue([...path, 'source'], { message, hint }),
    ];
    if (target.kind === 'unix') {
      return at('"source" counts for TCP, and this target is a unix socket', 'leave it out');
    }
    const family = isIP(target.host);
    if (family === 0 || family === isIP(source)) return [];
    return at(`source ${source} cannot reach ${formatAddress(target)}`, 'take two of one family');
  }),
];

const allowEntries: Rule = (document, draft) =>
  draft.services.flatMap(({ path, value }) =>
    value.allow.flatMap((entry, index) => {
      if (draft.node === undefined || entry.split('/')[0] !== draft.node.site) return [];
      const message = `allow of service "${value.name}" names this node's own site "${draft.node.site}"`;
      const hint = 'allow names other sites: who reaches the service through Routy';
      return [document.atValue([...path, 'allow', index], { message, hint })];
    }),
  );

const bufferSizes: Rule = (document, draft) => {
  if (draft.limits === undefined) return [];
  const { streamWindow, sessionBuffer, processBuffer } = draft.limits;
  const problems: ConfigProblem[] = [];
  if (streamWindow > sessionBuffer) {
    const message = `stream_window ${formatSize(streamWindow)} is larger than session_buffer ${formatSize(sessionBuffer)}`;
    problems.push(document.atKey(['limits', 'stream_window'], { message }));
  }
  if (sessionBuffer > processBuffer) {
    const message = `session_buffer ${formatSize(sessionBuffer)} is larger than process_buffer ${formatSize(processBuffer)} and can never be used up`;
    const problem = { message, severity: 'warning' } as const;
    problems.push(document.atKey(['limits', 'session_buffer'], problem));
  }
  return problems;
};

const heartbeatTimes: Rule = (document, draft) => {
  if (draft.fabric === undefined) return [];
  const { heartbeatIntervalMs, heartbeatMisses, resumeTimeMs } = draft.fabric;
  const deadAfterMs = heartbeatIntervalMs * heartbeatMisses;
  // Both count from the last byte heard, so what is left for dialling anew is the difference.
  if (resumeTimeMs === 0 || deadAfterMs < resumeTimeMs) return [];
  const message = `a lane that falls silent is given up after heartbeat_interval x heartbeat_misses = ${formatDuration(deadAfterMs)}, when resume_time ${formatDuration(resumeTimeMs)} is already over`;
  const hint = 'its streams would be reset before another lane is dialled; raise resume_time';
  const problem = { message, hint, severity: 'warning' } as const;
  return [document.atKey(['fabric', 'resume_time'], problem)];
};

const RULES: readonly Rule[] = [
  serviceNames,
  peerAddresses,
  duplicateListening,
  duplicatePeers,
  dialsItself,
  forwardToOwnSite,
  forwardToItself,
  kindsOfAddress,
  allowEntries,
  bufferSizes,
  heartbeatTimes,
];
