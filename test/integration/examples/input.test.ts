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
