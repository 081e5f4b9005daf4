import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeStatus } from '../../packages/routy/src/status/status.ts';
import { joinLineIn, makeHome, routy, routyOk } from '../support/nodes/routy.ts';
import {
  helloHex,
  issuePapers,
  openHex,
  oversizedHeaderHex,
  type Papers,
} from '../support/nodes/routy-intruder.ts';
import { startTcpTools, type TcpTools } from '../support/tcp-tools/tcp-tools.ts';
import type { Intrusion } from '../support/tcp-tools/intruders.ts';
import { ROUTY_PORT, type RunningPair, startPair } from './pair.ts';
import { systemTest, type World } from './world.ts';

const FORWARD_PORT = 9000;
/** The default of `lanes`. */
const LANES = 2;
/** DESIGN: a lane's handshake is over after 10 s or refused. */
const HANDSHAKE_MS = 10_000;

interface Ground {
  readonly world: World;
  readonly pair: RunningPair;
  /** In red's namespace, from where gray can be reached. */
  readonly intruder: TcpTools;
  readonly clients: readonly TcpTools[];
}

systemTest('what gray refuses leaves it unaffected', { timeoutMs: 240_000 }, async (world) => {
  const ground = await prepare(world);
  await certificates(ground);
  await joinLines(ground);
  await frames(ground);
  await slowHandshakes(ground);
});

async function prepare(world: World): Promise<Ground> {
  const { network, directory } = world;
  const red = startTcpTools(network.red, directory, 'tools-red');
  world.defer(red.stop);
  const gray = startTcpTools(network.gray, directory, 'tools-gray');
  world.defer(gray.stop);
  const [redPort, grayPort] = await Promise.all([
    red.call('serve', { mode: 'echo' }),
    gray.call('serve', { mode: 'echo' }),
  ]);
  const forward = `127.0.0.1:${FORWARD_PORT}`;
  const pair = await startPair(world, {
    red: { services: { echo: `127.0.0.1:${redPort}` }, forwards: { [forward]: 'gray/echo' } },
    gray: { services: { echo: `127.0.0.1:${grayPort}` }, forwards: { [forward]: 'red/echo' } },
    graySettings: {
      'service.hidden': { target: `"127.0.0.1:${grayPort}"`, allow: '["blue"]' },
      'service.nobody': { target: `"127.0.0.1:${grayPort}"`, allow: '[]' },
    },
  });
  // The session's epoch is the last lane's: none is to come any more.
  await pair.gray.untilStatus('both lanes of red', ({ peers }) =>
    peers.some(({ session }) => session?.lanes.length === LANES),
  );
  return { world, pair, intruder: red, clients: [red, gray] };
}

/**
 * One thing that gray has to refuse: its log says why, and afterwards the session of gray and red
 * is the one it was and carries new streams both ways.
 */
async function refused(
  ground: Ground,
  name: string,
  reason: readonly RegExp[],
  act: () => Promise<void>,
): Promise<void> {
  const { world, pair } = ground;
  await world.step(name, async () => {
    const position = pair.gray.logPosition();
    const before = sessionOf(await pair.gray.status());
    await act();
    const line = await pair.gray.untilLogged(position, reason);
    world.note(`${name}: ${line.msg}`);
    assert.deepEqual(sessionOf(await pair.gray.status()), before);
    for (const tools of ground.clients) {
      const probe = { host: '127.0.0.1', port: FORWARD_PORT, send: true };
      assert.equal((await tools.call('probe', probe)).outcome, 'data');
    }
  });
}

function sessionOf(status: NodeStatus): { id: string; epoch: number; pid: number } {
  const peer = status.peers.find(({ name }) => name === 'red/red1');
  assert.ok(peer?.session, 'gray has no session with red/red1');
  return { id: peer.session.id, epoch: peer.session.epoch, pid: status.pid };
}

/** Completes TLS with gray if gray lets it, sends bytes, and waits until gray ends it. */
async function intrude(
  ground: Ground,
  papers: Papers,
  sendHex: string,
  thenHex = '',
): Promise<Intrusion> {
  const intrusion = await ground.intruder.call('sendOverTls', {
    host: ground.world.network.gray.ipv4,
    port: ROUTY_PORT,
    alpn: 'routy/1',
    keyFile: papers.keyFile,
    certFile: papers.certFile,
    sendHex,
    thenHex,
    waitMs: HANDSHAKE_MS * 2,
  });
  assert.ok(intrusion.closed, `gray kept the connection: ${JSON.stringify(intrusion)}`);
  return intrusion;
}

async function certificates(ground: Ground): Promise<void> {
  const { world, pair } = ground;
  const { directory, network } = world;
  const other = makeHome(network.red, directory, 'other-fabric');
  await routyOk(other, ['init', '--site', 'red', '--node', 'red9']);
  const foreign = await issuePapers(other.state, directory, { site: 'red', node: 'foreign' });
  await refused(ground, 'a certificate from another CA', [/certificate|\bCA\b/i], async () => {
    await intrude(ground, foreign, helloHex(foreign.identity));
  });
  const expired = await issuePapers(
    pair.homes.gray.state,
    directory,
    { site: 'red', node: 'expired' },
    { madeAgoMs: 3_600_000, lifetimeMs: 60_000 },
  );
  await refused(ground, 'an expired certificate', [/expired/i], async () => {
    await intrude(ground, expired, helloHex(expired.identity));
  });
}

async function joinLines(ground: Ground): Promise<void> {
  const { world, pair } = ground;
  const newcomer = (name: string) => makeHome(world.network.red, world.directory, name);
  const invite = async (): Promise<string> =>
    joinLineIn(await routyOk(pair.homes.gray, ['invite', 'red']));
  const joinFails = async (line: string, node: string): Promise<void> => {
    const finished = await routy(newcomer(node), ['join', line, '--node', node]);
    assert.equal(finished.code, 1, finished.stdout + finished.stderr);
    world.note(`the newcomer reads: ${finished.stderr.trim()}`);
  };

  const replayed = await invite();
  await routyOk(newcomer('red2'), ['join', replayed, '--node', 'red2']);
  await refused(ground, 'a replayed join line', [/invite/, /used/i], () =>
    joinFails(replayed, 'red3'),
  );
  const expired = await invite();
  expireInvites(pair.homes.gray.state);
  await refused(ground, 'an expired join line', [/invite/, /expired/i], () =>
    joinFails(expired, 'red4'),
  );
}

/** Moves the end of every open invite into the past, as fifteen minutes would. */
function expireInvites(state: string): void {
  const directory = join(state, 'invites');
  const open = readdirSync(directory).filter((file) => file.endsWith('.json'));
  assert.ok(open.length > 0, 'there is no open invite');
  for (const name of open) {
    const path = join(directory, name);
    const invite = JSON.parse(readFileSync(path, 'utf8')) as { expiresMs: number };
    writeFileSync(path, JSON.stringify({ ...invite, expiresMs: Date.now() - 1_000 }));
  }
}

async function frames(ground: Ground): Promise<void> {
  const { world, pair } = ground;
  const garbage = Buffer.from('GET / HTTP/1.1\r\nHost: gray\r\n\r\n'.repeat(20)).toString('hex');
  // Each intruder is a node of its own: of equal failures the log shows the first and a count.
  const intruder = (node: string): Promise<Papers> =>
    issuePapers(pair.homes.gray.state, world.directory, { site: 'red', node });

  await refused(
    ground,
    'garbage in place of HELLO',
    [/mallory1/, /unknown frame type/],
    async () => {
      assert.ok((await intrude(ground, await intruder('mallory1'), garbage)).secured);
    },
  );
  await refused(ground, 'garbage after HELLO', [/mallory2/, /unknown frame type/], async () => {
    const papers = await intruder('mallory2');
    await intrude(ground, papers, helloHex(papers.identity), garbage);
  });
  await refused(ground, 'an oversized frame', [/mallory3/, /4294967295/], async () => {
    const papers = await intruder('mallory3');
    await intrude(ground, papers, helloHex(papers.identity), oversizedHeaderHex());
  });
  await refused(ground, "another node's name in HELLO", [/mallory4/, /red\/red1/], async () => {
    const papers = await intruder('mallory4');
    await intrude(ground, papers, helloHex({ ...papers.identity, node: 'red1' }));
  });
  const papers = await intruder('mallory5');
  for (const service of ['hidden', 'nobody']) {
    const notAllowed = [/mallory5/, new RegExp(service), /not[ -]allowed/i];
    await refused(ground, `a site that may not open gray/${service}`, notAllowed, async () => {
      // The session is in order, only the stream is refused; garbage then ends it.
      const open = openHex(service) + garbage;
      const { receivedHex } = await intrude(ground, papers, helloHex(papers.identity), open);
      assert.match(Buffer.from(receivedHex, 'hex').toString('latin1'), /"versions"/);
    });
  }
  await world.step('a forward to what is not offered says so and does not listen', async () => {
    await routyOk(pair.homes.red, ['forward', 'add', '127.0.0.1:9009', 'gray/hidden']);
    const status = await pair.red.untilStatus('the new forward is unavailable', ({ forwards }) =>
      forwards.some(({ to, state: is }) => to === 'gray/hidden' && is === 'unavailable'),
    );
    assert.match(status.forwards.find(({ to }) => to === 'gray/hidden')!.reason!, /hidden/);
    const probe = await ground.intruder.call('probe', { host: '127.0.0.1', port: 9009 });
    assert.equal(probe.outcome, 'ECONNREFUSED');
    await routyOk(pair.homes.red, ['forward', 'rm', '127.0.0.1:9009']);
  });
}

/** The first bytes of a TLS ClientHello whose record announces 512 bytes. */
const CLIENT_HELLO_HEX = `1603010200010001fc0303${'5a'.repeat(40)}`;

async function slowHandshakes(ground: Ground): Promise<void> {
  const { world, pair, intruder } = ground;
  const state = pair.homes.gray.state;
  const papers = await issuePapers(state, world.directory, { site: 'red', node: 'sloth' });
  await refused(ground, 'a byte a second at the handshake', [/handshake|HELLO/i], async () => {
    const drip = await intruder.call('dripBytes', {
      host: world.network.gray.ipv4,
      port: ROUTY_PORT,
      sendHex: CLIENT_HELLO_HEX,
      intervalMs: 1_000,
      waitMs: HANDSHAKE_MS * 2,
    });
    assert.ok(drip.closed, 'gray kept the connection');
    assert.ok(drip.ms <= HANDSHAKE_MS + 2_000, `gray waited ${drip.ms} ms`);
  });
  const timedOut = [/sloth/, /HELLO|handshake/];
  await refused(ground, 'a HELLO that does not come to its end', timedOut, async () => {
    const intrusion = await intrude(ground, papers, helloHex(papers.identity).slice(0, 60));
    assert.ok(intrusion.secured);
    assert.ok(intrusion.ms <= HANDSHAKE_MS + 2_000, `gray waited ${intrusion.ms} ms`);
  });
}
