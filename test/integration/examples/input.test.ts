import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { EXAMPLE_TIMEOUT, Program, temporary } from '../../support/example-programs.ts';

const PROGRAMS = [
  'realtime/main.ts',
  'fullsync/main.ts',
  'handoff/main.ts',
  'proxy-get/inside.ts',
  'proxy-get/outside.ts',
];

test(
  'examples end with their input, whatever they wait for, so that none outlives who began it',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const directory = temporary(t);
    for (const script of PROGRAMS) {
      const program = new Program(script, [
        ...['--site', 'a', '--data', directory, '--peer', 'b'],
        ...['--listen', '127.0.0.1:0', '--dial', '127.0.0.1:1'],
      ]);
      t.after(() => program.kill());
      await program.port();
      await program.leave();
    }
  },
);

test(
  'without input, as services are, they go on until they are told',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const program = new Program(
      'proxy-get/inside.ts',
      ['--site', 'a', '--data', temporary(t), '--listen', '127.0.0.1:0'],
      { input: 'ignore' },
    );
    t.after(() => program.kill());
    await program.hear(/^serving$/, { past: true });
    const socket = connect(await program.port(), '127.0.0.1');
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    await program.stop();
  },
);

test(
  'what an example cannot do is one line that says what to do; who is turned away, too',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const own = ['--site', 'a', '--data', temporary(t)];
    const program = new Program('realtime/main.ts', [...own, '--listen', '127.0.0.1:0']);
    t.after(() => program.kill());
    const port = await program.port();
    const second = new Program('realtime/main.ts', [...own, '--listen', `127.0.0.1:${port}`]);
    t.after(() => second.kill());
    await second.hear(/^cannot listen on .*EADDRINUSE.* \(.*ss -ltnp.*\)$/, { past: true });
    assert.equal(second.lines.length, 1, second.lines.join('\n'));

    const turnedAway = program.hear(/^turned away 127\.0\.0\.1: /);
    connect(port, '127.0.0.1').end('GET / HTTP/1.1\r\n\r\n');
    await turnedAway;
  },
);
