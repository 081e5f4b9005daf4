import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cli, cliJson, cliOk, Home, scratch } from '../../support/nodes/cli-support.ts';

interface InitFacts {
  readonly identity: { fabric: string; site: string; node: string };
  readonly joinLine: string | null;
  readonly caPin: string;
}

test('init makes CA, certificate, configuration and a join line', async (t) => {
  const home = new Home(scratch(t), 'gray');
  const facts = await cliJson<InitFacts>(
    ...['init', '--site', 'gray', '--node', 'gray1', '--fabric', 'lab', ...home.made],
    ...['--listen', '127.0.0.1:7443', '--invite', 'red', '--service', 'pg=127.0.0.1:5432'],
    ...['--allow', 'red', '--forward', '127.0.0.1:6432=red/pg'],
  );
  assert.deepEqual(facts.identity, { fabric: 'lab', site: 'gray', node: 'gray1' });
  assert.match(facts.joinLine!, /^routy-join-1:[\w-]+$/);
  for (const file of ['ca.key', 'node.key']) {
    assert.equal(statSync(join(home.state, file)).mode & 0o777, 0o600);
  }
  assert.match(await cliOk('check', ...home.at), /: ok\n$/);
  const text = readFileSync(home.config, 'utf8');
  assert.match(text, /\[service\.pg\]\ntarget = "127\.0\.0\.1:5432"\nallow = \["red"\]/);
  const { code, stderr } = await cli('init', '--site', 'gray', ...home.made);
  assert.equal(code, 1);
  assert.match(stderr, /there is already a configuration/);
  assert.equal(readFileSync(home.config, 'utf8'), text);
});

test('init that fails leaves no configuration behind', async (t) => {
  const home = new Home(scratch(t), 'gray');
  await cliOk('init', '--site', 'gray', ...home.made);
  const other = new Home(scratch(t), 'other');
  const { code } = await cli(
    'init',
    '--site',
    'gray',
    '--config',
    other.config,
    '--state',
    home.state,
  );
  assert.equal(code, 1);
  assert.equal(existsSync(other.config), false);
});

test('join that fails leaves no configuration behind', async (t) => {
  const directory = scratch(t);
  const gray = new Home(directory, 'gray');
  // Nothing listens on port 1 of this machine.
  const { joinLine } = await cliJson<InitFacts>(
    ...['init', '--site', 'gray', '--listen', '127.0.0.1:7443', '--advertise', '127.0.0.1:1'],
    ...['--invite', 'red', ...gray.made],
  );
  const red = new Home(directory, 'red');
  const { code, stderr } = await cli('join', joinLine!, ...red.made);
  assert.equal(code, 1);
  assert.match(stderr, /127\.0\.0\.1:1/);
  assert.match(stderr, /hint: /);
  assert.equal(existsSync(red.config), false);
  const garbled = await cli('join', joinLine!.slice(0, 60), ...red.made);
  assert.equal(garbled.code, 1);
  assert.match(garbled.stderr, /damaged or cut off/);
});

test('invite works without a running node, and only at the CA', async (t) => {
  const directory = scratch(t);
  const gray = new Home(directory, 'gray');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:7443', ...gray.made);
  const facts = await cliJson<{ joinLine: string; addresses: string[] }>(
    'invite',
    'red',
    ...gray.at,
  );
  assert.match(facts.joinLine, /^routy-join-1:/);
  assert.deepEqual(facts.addresses, ['127.0.0.1:7443']);
  assert.equal(readdirSync(join(gray.state, 'invites')).length, 1);
  const elsewhere = await cli('invite', 'red', '--address', '127.0.0.1:1', '--state', directory);
  assert.equal(elsewhere.code, 1);
  assert.match(elsewhere.stderr, /CA/);
});

test('a certificate by hand: request, issue, install, show', async (t) => {
  const directory = scratch(t);
  const gray = new Home(directory, 'gray');
  const red = new Home(directory, 'red');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:7443', ...gray.made);
  const csr = join(directory, 'red.csr');
  const crt = join(directory, 'red.crt');
  const at = ['--state', red.state];
  await cliOk('cert', 'request', '--site', 'red', '--node', 'red1', '--out', csr, ...at);
  await cliOk('cert', 'issue', '--csr', csr, '--out', crt, ...gray.at);
  assert.match(await cliOk('cert', 'install', crt, ...at), /red\/red1/);
  const facts = await cliJson<{ identity: object; state: string }>('cert', 'show', ...at);
  assert.equal(facts.state, 'valid');
  assert.match(JSON.stringify(facts.identity), /"site":"red","node":"red1"/);
  assert.match(await cliOk('cert', 'show', crt), /routy:\/\/\S+\/red\/red1/);
  const missing = await cli('cert', 'install', join(directory, 'none.crt'), ...at);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /cannot read .*none\.crt/);
});

test('service and forward change the file, keep comments, and refuse nonsense', async (t) => {
  const home = new Home(scratch(t), 'gray');
  await cliOk('init', '--site', 'gray', '--listen', '127.0.0.1:7443', ...home.made);
  writeFileSync(home.config, `${readFileSync(home.config, 'utf8')}# kept\n`);
  const before = readFileSync(home.config, 'utf8');
  const added = await cliOk('service', 'add', 'pg', '127.0.0.1:5432', '--allow', 'red', ...home.at);
  assert.match(added, /no node runs/);
  await cliOk(
    'forward',
    'add',
    '127.0.0.1:6432',
    'red/pg',
    '--unavailable',
    'hold 10s',
    ...home.at,
  );
  assert.match(readFileSync(home.config, 'utf8'), /# kept\n[\s\S]*\[service\.pg\][\s\S]*hold 10s/);
  const twice = await cli('service', 'add', 'pg', '127.0.0.1:1', ...home.at);
  assert.equal(twice.code, 1);
  assert.match(twice.stderr, /already a service "pg"/);
  const collides = await cli('forward', 'add', '127.0.0.1:7443', 'red/pg', ...home.at);
  assert.equal(collides.code, 1);
  assert.match(collides.stderr, /already taken/);
  await cliOk('forward', 'rm', '127.0.0.1:6432', ...home.at);
  await cliOk('service', 'rm', 'pg', ...home.at);
  assert.equal(readFileSync(home.config, 'utf8'), before);
});
