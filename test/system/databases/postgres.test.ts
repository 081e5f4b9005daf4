import { assertBlocked } from '../../support/namespaces/namespaces.ts';
import { startPostgres } from './postgres.ts';
import { startPair } from '../pair.ts';
import { assertEqual, type Flow, insertRows, publish, subscribe } from './postgres-replication.ts';
import { systemTest } from '../world.ts';

const FORWARD_PORT = 6432;
const ROWS = 100_000;

systemTest('PostgreSQL replicates both ways at once', { timeoutMs: 180_000 }, async (world) => {
  const { network, directory } = world;
  const [red, gray] = await Promise.all([
    startPostgres(network.red, directory, 'postgres-red'),
    startPostgres(network.gray, directory, 'postgres-gray'),
  ]);
  world.defer(red.stop);
  world.defer(gray.stop);
  await world.step('the firewall keeps gray from red', () => assertBlocked(network, red.port));

  const pair = await startPair(world, {
    red: {
      services: { postgres: `127.0.0.1:${red.port}` },
      forwards: { [`127.0.0.1:${FORWARD_PORT}`]: 'gray/postgres' },
    },
    gray: {
      services: { postgres: `127.0.0.1:${gray.port}` },
      forwards: { [`127.0.0.1:${FORWARD_PORT}`]: 'red/postgres' },
    },
  });
  const through = { host: '127.0.0.1', port: FORWARD_PORT };
  const flows: Flow[] = [
    { table: 'made_in_red', origin: red, copy: gray, ...through },
    { table: 'made_in_gray', origin: gray, copy: red, ...through },
  ];
  const both = async (act: (flow: Flow) => Promise<void>): Promise<void> => {
    await Promise.all(flows.map(act));
  };

  await world.step(`${ROWS} rows each way, half copied, half streamed`, async () => {
    for (const flow of flows) {
      await publish(flow);
      await insertRows(flow, 1, ROWS / 2);
    }
    for (const flow of flows) await subscribe(flow);
    await both((flow) => insertRows(flow, ROWS / 2 + 1, ROWS));
    await both((flow) => assertEqual(flow, ROWS, 60_000));
  });

  let rows = ROWS;
  const more = async (restart: () => Promise<void>): Promise<void> => {
    const before = rows;
    rows += 10_000;
    // Half of the rows are made while the tunnel is down or coming back.
    await Promise.all([restart(), both((flow) => insertRows(flow, before + 1, before + 5_000))]);
    await both((flow) => insertRows(flow, before + 5_001, rows));
    await both((flow) => assertEqual(flow, rows, 45_000));
  };
  await world.step('it survives a restart of the Routy in red', () =>
    more(() => pair.restart('red', 'stop')),
  );
  await world.step('it survives the Routy in gray being killed', () =>
    more(() => pair.restart('gray', 'kill')),
  );
});
