import { RoutyError } from '@routy/proto/base';
import { statusText } from '../packages/routy/src/cli/text/status-text.ts';
import { showEvidence } from './evidence.ts';
import { showFaults } from './faults.ts';
import { showHalfClose } from './half-close.ts';
import { showReplication } from './replication.ts';
import { setUp, type World } from './setup.ts';
import { Stage } from './stage.ts';
import type { Story } from './story.ts';

export interface DemoOptions {
  /** Stay up afterwards, until `stop` is aborted. */
  readonly keep: boolean;
  /** Aborted when the demo is to end early. */
  readonly stop: AbortSignal;
}

/** Shows two sites, two databases and the one-way firewall between them, then takes all down. */
export async function runDemo(story: Story, { keep, stop }: DemoOptions): Promise<void> {
  const stage = new Stage();
  const interrupted = new RoutyError('demo-interrupted', 'interrupted', {
    hint: 'everything was stopped and removed',
  });
  const onStop = (): void => stage.abort(interrupted);
  stop.addEventListener('abort', onStop);
  try {
    const world = await setUp(stage, story);
    await showEvidence(world);
    await showReplication(world);
    await showHalfClose(world);
    await showFaults(world);
    await showStatus(world);
    if (keep) await stayUp(world, interrupted);
  } finally {
    stop.removeEventListener('abort', onStop);
    await stage.strike();
  }
  story.heading('Stopped: both nodes and both databases ended, their directory is removed.');
}

async function showStatus({ story, gray, red }: World): Promise<void> {
  story.heading('What "routy status" says');
  for (const side of [gray, red]) {
    story.tell(`${side.site}$ routy status --config ${side.config}`);
    story.quote(statusText(await side.admin.status(), Date.now()));
  }
}

async function stayUp(world: World, interrupted: RoutyError): Promise<void> {
  const { stage, story, ports } = world;
  const psql = (port: number): string =>
    `psql "host=127.0.0.1 port=${port} user=postgres dbname=postgres sslmode=disable"`;
  story.heading('Still up. Ctrl-C ends it.');
  story.tell(
    `gray's database             ${psql(ports.grayDatabase)}`,
    `red's database              ${psql(ports.redDatabase)}`,
    `red's, as gray reaches it   ${psql(ports.grayToRed)}`,
    `gray's, as red reaches it   ${psql(ports.redToGray)}`,
    '',
    "Write on one side:  insert into orders (item) values ('mine');",
    'Read on the other:  select * from orders order by site, id;',
    '',
    `Nodes, from ${stage.directory}:`,
    '  routy status --config gray.toml      routy ping gray --config red.toml',
    '  logs: gray.log, red.log',
  );
  try {
    for (;;) await stage.sleep(1000);
  } catch (error) {
    if (error !== interrupted) throw error;
  }
}
