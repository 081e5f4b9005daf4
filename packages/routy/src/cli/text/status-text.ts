import type {
  ForwardStatus,
  LaneStatus,
  LastResult,
  NodeStatus,
  PeerStatus,
  ServiceStatus,
  SessionStatus,
} from '../../status/status.ts';
import { bytesText, columns, countText, msText, spanText } from './table.ts';

/** A clock that is wrong by more than this makes certificates and logs disagree, in ms. */
const CLOCK_OFFSET_MS_MAX = 2_000;

/** What `routy status` prints for people: what is up, and why not when it is not. */
export function statusText(status: NodeStatus, nowMs: number): string {
  const sections = [
    overview(status, nowMs),
    section('Peers', status.peers.length, peerLines(status.peers, nowMs), peerAdvice(status)),
    section(
      'Services',
      status.services.length,
      serviceLines(status.services, nowMs),
      'none: this node offers nothing; add one with "routy service add NAME TARGET --allow SITE"',
    ),
    section(
      'Forwards',
      status.forwards.length,
      forwardLines(status.forwards, nowMs),
      'none: nothing leads to other sites; add one with "routy forward add LISTEN SITE/SERVICE"',
    ),
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function overview(status: NodeStatus, nowMs: number): string[] {
  const { listening, buffers, log } = status;
  const listens =
    listening === null
      ? 'no: this node only dials'
      : listening.error === null
        ? listening.address
        : `${listening.address} FAILED: ${listening.error}`;
  const expiresMs = Date.parse(status.certificateExpiresAt) - nowMs;
  return columns([
    ['node', `${status.site}/${status.node} of ${status.fabric}`],
    ['state', stateText(status, nowMs)],
    ['process', `pid ${status.pid}, routy ${status.version}`],
    ['listens', listens],
    ['data plane', dataPlaneText(status)],
    ...(log.lostLines === 0 ? [] : [['log', lostText(log, nowMs)]]),
    ['buffers', `${bytesText(buffers.usedBytes)} of ${bytesText(buffers.budgetBytes)}`],
    [
      'certificate',
      expiresMs > 0
        ? `until ${status.certificateExpiresAt.slice(0, 10)} (${spanText(expiresMs)} left)`
        : `EXPIRED on ${status.certificateExpiresAt}`,
    ],
    ...(status.certificateWarning === null
      ? []
      : [['', `${status.certificateWarning}: renew it with "routy cert renew"`]]),
    ...status.troubles.map(({ what, since, reason, hint }) => [
      'TROUBLE',
      `${what} for ${ago(since, nowMs)}: ${reason}${hint === null ? '' : `; ${hint}`}`,
    ]),
    ...(status.restartRequired.length === 0
      ? []
      : [['RESTART', `changed in the file, not in force: ${status.restartRequired.join(', ')}`]]),
  ]);
}

function dataPlaneText({ dataPlane: { configured, inUse, reason } }: NodeStatus): string {
  return reason === null
    ? `${inUse} (configured: ${configured})`
    : `${inUse}, NOT ${configured} as configured: ${reason}`;
}

function lostText({ lostLines, losingSince }: NodeStatus['log'], nowMs: number): string {
  const lost = `${countText(lostLines, 'line')} LOST: its reader did not take them`;
  return losingSince === null ? lost : `${lost}, and does not for ${ago(losingSince, nowMs)}`;
}

function stateText(status: NodeStatus, nowMs: number): string {
  const lasted = `${status.state} for ${ago(status.startedAt, nowMs)}`;
  return status.ready ? lasted : `${lasted}, NOT READY: ${status.notReady.join('; ')}`;
}

function section(title: string, count: number, lines: readonly string[], none: string): string[] {
  return [`${title} (${count})`, ...(count === 0 ? [`  ${none}`] : lines)];
}

function peerAdvice(status: NodeStatus): string {
  return status.listening === null
    ? 'none: nobody to dial; add [[peer]] with the address of another node'
    : 'none: no node has dialled this one yet';
}

function peerLines(peers: readonly PeerStatus[], nowMs: number): string[] {
  const heads = columns(
    peers.map((peer) => [
      peer.name ?? peer.addresses.join(', '),
      peer.session?.silent === true && peer.state === 'up' ? 'up (SILENT)' : peer.state,
      `for ${ago(peer.since, nowMs)}`,
      peerFigures(peer),
    ]),
    '  ',
  );
  return peers.flatMap((peer, index) => [heads[index]!, ...peerDetails(peer)]);
}

function peerFigures({ session, attempts, nextAttemptInMs }: PeerStatus): string {
  if (session === null) {
    const next = nextAttemptInMs === null ? '' : `, next in ${spanText(nextAttemptInMs)}`;
    return attempts === 0 ? '' : `${countText(attempts, 'failed attempt')}${next}`;
  }
  return [
    session.rttMs === null ? 'rtt unknown' : `rtt ${msText(session.rttMs)}`,
    ...(session.lastHeardMsAgo === null
      ? []
      : [`last heard ${msText(session.lastHeardMsAgo)} ago`]),
    session.clockOffsetMs === null ? 'clock unknown' : clockText(session.clockOffsetMs),
    lanesText(session.lanes),
    countText(session.streams, 'stream'),
    `sent ${bytesText(session.bytesSent)}, received ${bytesText(session.bytesReceived)}`,
  ].join(', ');
}

function lanesText(lanes: readonly LaneStatus[]): string {
  const silent = lanes.filter((lane) => lane.silent).length;
  return `${countText(lanes.length, 'lane')}${silent === 0 ? '' : ` (${silent} SILENT)`}`;
}

function clockText(offsetMs: number): string {
  const sign = offsetMs > 0 ? '+' : '';
  const warning = Math.abs(offsetMs) > CLOCK_OFFSET_MS_MAX ? ' (CLOCKS DIFFER)' : '';
  return `clock ${sign}${msText(offsetMs)}${warning}`;
}

function peerDetails(peer: PeerStatus): string[] {
  const { session } = peer;
  const lines: string[] = [];
  if (session !== null) {
    const { direction } = peer;
    lines.push(
      `${direction} ${session.remoteAddress}, ${session.security}; offers ${offersText(session)}`,
    );
    if (session.offersLeftOut > 0) {
      const services = countText(session.offersLeftOut, 'service');
      lines.push(`NOT TOLD of ${services} it may open: a list has no room for more`);
    }
    lines.push(holds(session));
  } else if (peer.name !== null) {
    lines.push(`${peer.direction} ${peer.addresses.join(', ')}`);
  }
  return [...lines, ...why(peer.reason, peer.hint)].map((line) => `      ${line}`);
}

function offersText({ offers, offersCount }: SessionStatus): string {
  if (offersCount === 0) return 'nothing to this node';
  const more = offersCount - offers.length;
  return `${offers.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** What the session has of the buffers, and how often that was not enough for its peer. */
function holds({ usedBytes, shareBytes, streamsRefused }: SessionStatus): string {
  const held = `holds ${bytesText(usedBytes)} of its share of ${bytesText(shareBytes)}`;
  return streamsRefused === 0
    ? held
    : `${held}; REFUSED ${countText(streamsRefused, 'stream')} of the peer (overload)`;
}

function serviceLines(services: readonly ServiceStatus[], nowMs: number): string[] {
  const heads = columns(
    services.map((service) => [
      service.name,
      service.target,
      service.allow.length === 0 ? 'allows NOBODY' : `allows ${service.allow.join(', ')}`,
      counts(service),
    ]),
    '  ',
  );
  return services.flatMap((service, index) => [heads[index]!, lastLine(service.last, nowMs)]);
}

function forwardLines(forwards: readonly ForwardStatus[], nowMs: number): string[] {
  const heads = columns(
    forwards.map((forward) => [forward.listen, `-> ${forward.to}`, forward.state, counts(forward)]),
    '  ',
  );
  return forwards.flatMap((forward, index) => [
    heads[index]!,
    ...why(forward.reason, null).map((line) => `      ${line}`),
    lastLine(forward.last, nowMs),
  ]);
}

function counts(figures: { streams: number; opened: number; refused: number }): string {
  return `${figures.streams} open, ${figures.opened} opened, ${figures.refused} refused`;
}

function lastLine(last: LastResult | null, nowMs: number): string {
  if (last === null) return '      last: not used yet';
  const peer = last.peer === null ? '' : ` (${last.peer})`;
  return `      last: ${last.ok ? 'ok' : 'FAILED'} ${ago(last.at, nowMs)} ago: ${last.detail}${peer}`;
}

function why(reason: string | null, hint: string | null): string[] {
  return [
    ...(reason === null ? [] : [`why: ${reason}`]),
    ...(hint === null ? [] : [`hint: ${hint}`]),
  ];
}

function ago(iso: string, nowMs: number): string {
  return spanText(nowMs - Date.parse(iso));
}
