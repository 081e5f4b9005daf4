import { RoutyError } from '@routy/proto/base';
import { untilReachable, type World } from './setup.ts';

/** How long the firewall lets nothing through, in ms. */
const SHUT_MS = 3_000;

/** Breaks things while both sides write, and shows that every row arrives, none twice. */
export async function showFaults(world: World): Promise<void> {
  const { story, stage, firewall, gray, red, grayOrders, redOrders } = world;
  story.heading('When things break, with both sides writing all the time');
  const stops = [grayOrders.startWriting(), redOrders.startWriting()];
  await fault(world, 'go on', 'The firewall resets the lanes', async () => firewall.cut());
  const shut = `The firewall resets the lanes and lets nothing through for ${SHUT_MS / 1000} s`;
  await fault(world, 'go on', shut, async () => {
    firewall.shut();
    await stage.sleep(SHUT_MS);
    firewall.open();
  });
  story.tell(
    '',
    'A connection does not outlive the process that carries it. It ends with a reset, as when a',
    'server restarts, and the replicators connect again, as databases do.',
    '',
  );
  await fault(world, 'lost', "Gray's routy is killed (SIGKILL) and started again", async () => {
    await gray.stop('SIGKILL');
    gray.up();
  });
  const stopping =
    "Red's routy is stopped (SIGTERM: it waits 3 s for open streams) and started again";
  await fault(world, 'lost', stopping, async () => {
    await red.stop();
    red.up();
  });
  for (const stop of stops) await stop();
  await untilReachable(stage, gray, red);
  await compare(world);
}

/**
 * Does something bad, then tells how long it takes until rows written after it have arrived. The
 * connections of both replicators go on, or are both lost.
 */
async function fault(
  world: World,
  connections: 'go on' | 'lost',
  what: string,
  happen: () => Promise<void>,
): Promise<void> {
  const { stage, story, grayOrders, redOrders } = world;
  story.tell(`${what}.`);
  const replicators = [world.grayReplicator, world.redReplicator];
  const lostBefore = replicators.map((replicator) => replicator.connectionsLost);
  const lost = () =>
    replicators.filter(({ connectionsLost }, index) => connectionsLost > lostBefore[index]!);
  const startMs = performance.now();
  await happen();
  if (connections === 'lost') {
    await stage.until('both replicators notice', () => (lost().length === 2 ? true : undefined));
  }
  // A row that is surely written afterwards, on each side.
  await Promise.all([grayOrders.write(`after: ${what}`), redOrders.write(`after: ${what}`)]);
  await Promise.all([grayOrders.receiveAll(redOrders), redOrders.receiveAll(grayOrders)]);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  if (connections === 'go on' && lost().length > 0) {
    throw new RoutyError('demo-contradicted', 'a replicator lost its connection with the lanes');
  }
  const how = connections === 'lost' ? 'on new connections' : 'on the same connections';
  story.tell(`    replication both ways goes on after ${seconds} s, ${how}`);
}

async function compare(world: World): Promise<void> {
  const { story, grayOrders, redOrders, grayReplicator, redReplicator } = world;
  await Promise.all([grayOrders.receiveAll(redOrders), redOrders.receiveAll(grayOrders)]);
  const [gray, red] = [await grayOrders.contents(), await redOrders.contents()];
  const written = grayOrders.written + redOrders.written;
  story.tell(
    '',
    `Written: ${grayOrders.written} rows at gray, ${redOrders.written} at red. Connections the replicators lost: ${
      grayReplicator.connectionsLost + redReplicator.connectionsLost
    }.`,
    `Gray's database  ${gray.rows} rows, checksum ${gray.checksum}`,
    `Red's database   ${red.rows} rows, checksum ${red.checksum}`,
  );
  const equal = gray.checksum === red.checksum && gray.rows === written && red.rows === written;
  if (!equal) throw new RoutyError('demo-contradicted', 'the two databases differ');
  story.tell('Equal: every row arrived, none twice.');
}
