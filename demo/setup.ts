import { RoutyError } from '@routy/proto/base';
import { columns } from '../packages/routy/src/cli/text/table.ts';
import { startChecksumService } from './checksum.ts';
import { Orders } from './databases/orders.ts';
import { Replicator } from './databases/replicator.ts';
import { Firewall } from './network/firewall.ts';
import { freePorts } from './network/ports.ts';
import { Side, startDatabase } from './processes.ts';
import type { Stage } from './stage.ts';
import type { Story } from './story.ts';

/** Ports of 127.0.0.1 by what listens there. */
const PORT_NAMES = [
  'grayDatabase',
  'redDatabase',
  'redChecksum',
  /** Where gray's node listens for other nodes, */
  'grayLanes',
  /** and where red finds it, on the other side of the firewall. */
  'firewall',
  /** Forwards: at gray to red's database and checksum service, at red to gray's database. */
  'grayToRed',
  'grayToChecksum',
  'redToGray',
] as const;

export type Ports = Readonly<Record<(typeof PORT_NAMES)[number], number>>;

/** Everything that runs. */
export interface World {
  readonly stage: Stage;
  readonly story: Story;
  readonly ports: Ports;
  readonly firewall: Firewall;
  readonly gray: Side;
  readonly red: Side;
  readonly grayOrders: Orders;
  readonly redOrders: Orders;
  readonly grayReplicator: Replicator;
  readonly redReplicator: Replicator;
}

/** Starts the databases, the firewall and both nodes, by the commands a person would type. */
export async function setUp(stage: Stage, story: Story): Promise<World> {
  const ports = await freePorts(PORT_NAMES);
  introduce(story, ports);
  // Two embedded databases take seconds to start; the nodes are made meanwhile.
  const databases = Promise.all([
    startDatabase(stage, 'gray', ports.grayDatabase),
    startDatabase(stage, 'red', ports.redDatabase),
  ]);
  databases.catch(() => {});
  await startChecksumService(stage, ports.redChecksum);
  const firewall = await Firewall.start(ports.firewall, ports.grayLanes);
  stage.onEnd(() => firewall.stop());
  const gray = new Side('gray', stage, story);
  const red = new Side('red', stage, story);
  await enrol(gray, red, { stage, story, ports });
  await databases;
  story.tell('', `Both databases are ready (${story.elapsed}).`);
  const grayOrders = await Orders.create(stage, 'gray', ports.grayDatabase);
  const redOrders = await Orders.create(stage, 'red', ports.redDatabase);
  return {
    ...{ stage, story, ports, firewall, gray, red, grayOrders, redOrders },
    grayReplicator: new Replicator(stage, {
      origin: 'red',
      fromPort: ports.grayToRed,
      intoPort: ports.grayDatabase,
    }),
    redReplicator: new Replicator(stage, {
      origin: 'gray',
      fromPort: ports.redToGray,
      intoPort: ports.redDatabase,
    }),
  };
}

function introduce(story: Story, ports: Ports): void {
  story.heading('Routy demo: two databases and a firewall that only red may pass');
  story.tell(
    '',
    ...columns([
      ['gray, in the DMZ', '', 'red, inside'],
      [
        `  database  127.0.0.1:${ports.grayDatabase}`,
        '',
        `  database  127.0.0.1:${ports.redDatabase}`,
      ],
      [
        `  routy     127.0.0.1:${ports.grayLanes}`,
        '<-- dials --',
        '  routy     listens for no other node',
      ],
    ]),
    '',
    'Each database is to receive what is written into the other, by a connection that its own',
    `side opens. The only way between the sites is the one red dials, 127.0.0.1:${ports.firewall}: a`,
    "stand-in for the firewall, which leads to gray's routy and nowhere else. Everything runs on",
    'this machine and is removed at the end.',
    '',
    'The databases are PGlite, PostgreSQL compiled to WebAssembly, which has no logical',
    'replication. In its place a small replicator beside each database connects to the other',
    'database and copies new rows. With real PostgreSQL servers, logical replication both ways',
    'through Routy is what "npm run test:system" runs.',
  );
}

/** Two commands a side, from two empty state directories to an established session. */
async function enrol(
  gray: Side,
  red: Side,
  { stage, story, ports }: Pick<World, 'stage' | 'story' | 'ports'>,
): Promise<void> {
  const local = (port: number): string => `127.0.0.1:${port}`;
  story.heading('Two commands a side');
  const made = await gray.run(
    ...['init', '--config', gray.config, '--state', gray.state],
    ...['--site', 'gray', '--node', 'gray1'],
    ...['--listen', local(ports.grayLanes), '--advertise', local(ports.firewall)],
    ...['--service', `postgres=${local(ports.grayDatabase)}`, '--allow', 'red'],
    ...['--forward', `${local(ports.grayToRed)}=red/postgres`],
    ...['--forward', `${local(ports.grayToChecksum)}=red/checksum`],
    ...['--invite', 'red'],
  );
  story.quote(made.split('\n')[0]!);
  gray.up();
  await stage.until("gray's routy runs", () => gray.admin.status());
  const joined = await red.run(
    ...['join', joinLine(made), '--config', red.config, '--state', red.state, '--node', 'red1'],
    ...['--service', `postgres=${local(ports.redDatabase)}`],
    ...['--service', `checksum=${local(ports.redChecksum)}`, '--allow', 'gray'],
    ...['--forward', `${local(ports.redToGray)}=gray/postgres`],
  );
  story.quote(joined.split('\n')[0]!);
  red.up();
  await untilReachable(stage, gray, red);
  story.tell('', `Red has dialled gray, and every forward is open (${story.elapsed}).`);
}

/** Waits until each forward of both nodes listens, which it does while its service is reachable. */
export async function untilReachable(stage: Stage, ...sides: readonly Side[]): Promise<void> {
  for (const { site, admin } of sides) {
    await stage.until(`the forwards at ${site} listen`, async () => {
      const { forwards } = await admin.status();
      return forwards.every(({ state }) => state === 'listening') || undefined;
    });
  }
}

/** What "routy init --invite" says to paste on the new node. */
function joinLine(text: string): string {
  const line = /routy-join-\d+:[^'\s]+/.exec(text)?.[0];
  if (line === undefined) throw new RoutyError('internal', 'routy init printed no join line');
  return line;
}
