import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELP, PEERS, readOptions, SECTIONS } from '../../../bench/options.ts';
import { programFolders } from '../../../bench/processes.ts';

function read(...argv: string[]) {
  const options = readOptions(argv);
  assert.ok(options, 'not help');
  return options;
}

test('without options everything is measured, of Routy on the Node that runs the bench', () => {
  const options = read();
  assert.deepEqual(options.sections, SECTIONS);
  assert.deepEqual(options.peers, PEERS);
  assert.equal(options.peersNamed, false);
  assert.deepEqual(options.nodes, [process.execPath]);
});

test('several Nodes, in the order given, and planes are measured in one run', () => {
  assert.deepEqual(read('--node', '/b/node', '--node=/a/node').nodes, ['/b/node', '/a/node']);
  assert.deepEqual(read().planes, []);
  assert.deepEqual(read('--plane', 'native,portable').planes, ['portable', 'native']);
});

test('peers that are named are wanted, in the order of the table', () => {
  const options = read('--peers', 'rathole, routy');
  assert.deepEqual(options.peers, ['routy', 'rathole']);
  assert.equal(options.peersNamed, true);
});

test('a wrong name or number is refused with what would be right', () => {
  assert.throws(() => read('--peers', 'routy,scp'), /--peers: scp is not one of routy, ssh, /);
  assert.throws(() => read('--only', 'ech'), /--only: ech is not one of throughput, /);
  assert.throws(() => read('--rounds', '0'), /--rounds: 0 is not a number above 0/);
  assert.throws(() => read('--plane', 'kernel'), /--plane: kernel is not one of portable, native/);
  assert.throws(() => read('--planes', 'native'), /--planes/);
});

test('the help names every section, every peer, and options that exist with their defaults', () => {
  assert.equal(readOptions(['--help']), null);
  assert.equal(readOptions(['-h']), null);
  for (const name of [...SECTIONS, ...PEERS]) assert.ok(HELP.includes(name), name);
  const values: Readonly<Record<string, string>> = {
    ...{ FILE: 'results.json', PATH: '/bin/node', N: '7', S: '7' },
  };
  const named = [...HELP.matchAll(/^ {2}(--[a-z-]+) +([A-Z]+)?/gm)];
  assert.equal(named.length, 11);
  for (const [, option, value] of named) {
    const argv = value === undefined ? [option!] : [option!, values[value] ?? 'routy'];
    // LIST is of sections, peers or planes.
    if (option === '--only') argv[1] = 'echo';
    if (option === '--plane') argv[1] = 'native';
    assert.doesNotThrow(() => readOptions(argv), option);
  }
  const usual = read();
  const quick = read('--quick');
  assert.ok(HELP.includes(`(default ${usual.rounds}; quick ${quick.rounds}, and link once)`));
  assert.equal(quick.linkRounds, 1);
  assert.ok(HELP.includes(`measurement (default ${usual.seconds}; quick ${quick.seconds})`));
  assert.ok(HELP.includes(`(default ${usual.warmUpSeconds}; quick ${quick.warmUpSeconds})`));
  assert.ok(HELP.includes(`(default ${usual.idleSteps.at(-1)})`));
});

test('programs are looked for on PATH first, then where peers.sh installs', () => {
  assert.deepEqual(programFolders({ PATH: '/a:/b', XDG_CACHE_HOME: '/cache', HOME: '/home/me' }), [
    ...['/a', '/b', '/cache/routy-bench/bin', '/usr/sbin', '/sbin'],
  ]);
  const [first] = programFolders({ PATH: '', HOME: '/home/me' });
  assert.equal(first, '/home/me/.cache/routy-bench/bin');
  // As the shell has it: an empty variable is one that is not set.
  const [empty] = programFolders({ PATH: '', XDG_CACHE_HOME: '', HOME: '/home/me' });
  assert.equal(empty, '/home/me/.cache/routy-bench/bin');
});
