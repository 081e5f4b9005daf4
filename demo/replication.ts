import { DatabaseClient } from './databases/database-client.ts';
import type { World } from './setup.ts';

const ROWS = 3;

/** Rows written on each side appear on the other. */
export async function showReplication(world: World): Promise<void> {
  const { story, ports, grayOrders, redOrders } = world;
  story.heading('Rows both ways');
  story.tell(
    `gray$ psql port=${ports.grayToRed}: select site from this_database  ->  ${await databaseAt(ports.grayToRed)}`,
    `red$  psql port=${ports.redToGray}: select site from this_database  ->  ${await databaseAt(ports.redToGray)}`,
    '',
  );
  for (const [here, there] of [
    [grayOrders, redOrders],
    [redOrders, grayOrders],
  ] as const) {
    const startMs = performance.now();
    for (let row = 1; row <= ROWS; row++) await here.write(`order ${row} of ${here.site}`);
    await there.receiveAll(here);
    const tookMs = Math.round(performance.now() - startMs);
    story.tell(`${ROWS} rows written at ${here.site} are at ${there.site} after ${tookMs} ms`);
  }
}

/** Which database answers on a port. */
async function databaseAt(port: number): Promise<string> {
  const client = await DatabaseClient.connect(port);
  try {
    const [row] = await client.query('SELECT site FROM this_database');
    return row?.site ?? 'none';
  } finally {
    client.close();
  }
}
