import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../support/process.ts';

const MAIN = fileURLToPath(new URL('./silent-names-main.ts', import.meta.url));
const SCRIPT = `
  set -e
  ip link set lo up
  mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
  exec "$2" --import tsx "$3"
`;

test('a name that the name server does not answer for keeps no other waiting', {
  timeout: 60_000,
}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'routy-names-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const resolvConf = join(directory, 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.9.9.9\noptions timeout:5 attempts:2\n');
  const inside = ['sh', '-c', SCRIPT, 'sh', resolvConf, process.execPath, MAIN];
  const { stdout, stderr } = await run('unshare', ['--net', '--mount', ...inside]);
  assert.match(stdout, /as it should be/, stderr);
});
