import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cli, cliJson, cliOk, scratch, shell } from '../../support/nodes/cli-support.ts';

const COMMANDS = [
  ...[
    'help',
    'init',
    'invite',
    'join',
    'adopt',
    'up',
    'status',
    'check',
    'ping',
    'reload',
    'drain',
  ],
  ...[
    'log-level',
    'undrain',
    'version',
    'cert',
    'cert renew',
    'cert request',
    'cert issue',
    'cert install',
    'cert show',
  ],
  ...['service', 'service add', 'service rm', 'forward', 'forward add', 'forward rm'],
];

test('every command explains itself with examples', { concurrency: 2 }, async (t) => {
  for (const command of COMMANDS) {
    await t.test(command, async () => {
      const { code, stdout } = await cli(...command.split(' '), '--help');
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^Usage: routy ${command}`));
      assert.match(stdout, /\nExamples:\n {2}routy /);
    });
  }
});

test('a command line that cannot be meant ends with 2 and says what to do', async () => {
  const cases: [readonly string[], RegExp][] = [
    [[], /^Usage: routy/],
    [['stats'], /routy: unknown command 'stats'[\s\S]*status/],
    [['status', '--jsno'], /unknown option '--jsno'[\s\S]*--json/],
    [['help', 'cert', 'isue'], /there is no command "cert isue"/],
    [['invite'], /missing required argument/],
    [['init'], /required option '--site <name>' not specified/],
    [['init', '--site', 'Red'], /a name is 1 to 63/],
    [['init', '--site', 'red', '--listen', 'nowhere'], /an address is HOST:PORT/],
    [['ping', 'gray', '--count', '0'], /whole number from 1/],
    [['log-level', 'loud'], /Allowed choices are error, warn/],
    [['up', '--listen', '127.0.0.1:0'], /--listen counts only with --await-adoption/],
    [
      ['up', '--await-adoption', '--config', '/nowhere/x', '--state', '/nowhere/y'],
      /needs --listen/,
    ],
    [
      ['init', '--site', 'red', '--invite', 'gray', '--config', '/nowhere/x'],
      /--invite without --listen/,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await cli(...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
});

test('with --json errors are JSON on stdout', async () => {
  const { code, stdout } = await cli('status', '--config', '/nowhere/routy.toml', '--json');
  assert.equal(code, 1);
  const { error } = JSON.parse(stdout) as { error: Record<string, string> };
  assert.equal(error.code, 'config-unreadable');
  assert.match(error.message!, /\/nowhere\/routy\.toml/);
  assert.match(error.hint!, /routy init/);
});

test('no node: exit 1, and how to start one', async (t) => {
  const { code, stderr } = await cli('status', '--state', scratch(t));
  assert.equal(code, 1);
  assert.match(stderr, /routy: no node runs here[\s\S]*hint: start it with "routy up"/);
});

test("the version is the package's", async () => {
  const facts = await cliJson<{ routy: string; node: string }>('version');
  assert.equal(await cliOk('version'), `routy ${facts.routy}\n`);
  assert.equal(await cliOk('--version'), `${facts.routy}\n`);
  assert.equal(facts.node, process.versions.node);
});

test('help shows the help of any command', async () => {
  assert.match(await cliOk('help'), /^Usage: routy \[options\][\s\S]*Examples:/);
  assert.equal(await cliOk('help', 'cert', 'issue'), await cliOk('cert', 'issue', '--help'));
});

test('a reader that goes away ends a command quietly', async () => {
  // The shell closes the pipe before the command has written anything.
  const { code, stderr } = await shell('{ sleep 0.1; node "$ROUTY" --help; } | true');
  assert.equal(stderr, '');
  assert.equal(code, 0);
});
