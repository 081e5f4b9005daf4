/**
 * `npm run test:examples [-- --seconds N]`: the tests of the examples, which cut their connections each
 * second for N seconds, 30 by default, where `npm test` has a short form of it.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '30' } } });
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 2) throw new Error('--seconds is 2 or more');

const tests = fileURLToPath(new URL('run-tests.ts', import.meta.url));
const { status } = spawnSync(
  process.execPath,
  ['--import', 'tsx', tests, 'test/integration/examples/'],
  {
    stdio: 'inherit',
    env: { ...process.env, ROUTY_EXAMPLE_SECONDS: `${seconds}` },
  },
);
process.exit(status ?? 1);
