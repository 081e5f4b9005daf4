import { RoutyError } from '../../base/errors.ts';
import { untilReachable, type World } from './setup.ts';

/** Breaks things while both sides write, and shows that every row arrives, none twice. */
export async function showFaults(world: World): Promise<void> {
  const { story, stage, firewall, gray, red, grayOrders, redOrders } = world;
  story.heading('When things break, with both sides writing all the time');
  story.tell(
    'Connections that were open end with a reset, as when a server restarts; the replicators',
    'connect again, as databases do. (Streams that outlive their lane are still to come.)',
    '',
  );
  const stops = [grayOrders.startWriting(), redOrders.startWriting()];
  await fault(world, 'The firewall drops the lane', async () => firewall.cut());
  await fault(world, "Gray's routy is killed (SIGKILL) and started again", async () => {
    await gray.stop('SIGKILL');
    gray.up();
  });
  const stopping =
    "Red's routy is stopped (SIGTERM: it waits 3 s for open streams) and started again";
  await fault(world, stopping, async () => {
    await red.stop();
    red.up();
  });
  for (const stop of stops) await stop();
  await untilReachable(stage, gray, red);
  await compare(world);
}

/** Does something bad, then tells how long it takes until rows written after it have arrived. */
async function fault(world: World, what: string, happen: () => Promise<void>): Promise<void> {
  const { stage, story, grayOrders, redOrders } = world;
  story.tell(`${what}.`);
  const replicators = [world.grayReplicator, world.redReplicator];
  const lostBefore = replicators.map((replicator) => replicator.connectionsLost);
  const startMs = performance.now();
  await happen();
  await stage.until('both replicators notice', () =>
    replicators.every(({ connectionsLost }, index) => connectionsLost > lostBefore[index]!)
      ? true
      : undefined,
  );
  // A row that is surely written afterwards, on each side.
  await Promise.all([grayOrders.write(`after: ${what}`), redOrders.write(`after: ${what}`)]);
  await Promise.all([grayOrders.receiveAll(redOrders), redOrders.receiveAll(grayOrders)]);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  story.tell(`    replication both ways goes on after ${seconds} s`);
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
