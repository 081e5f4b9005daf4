import { Argument, type Command } from 'commander';
import { LOG_LEVELS } from '../admin/routes.ts';
import { type Act, withConfig, withHelp, withJson, withNewNode, withState } from './declare.ts';
import { usageError } from './output.ts';
import { readCount, readPeer, readTcp } from './parse.ts';
import { version } from './version.ts';

const PING_COUNT_MAX = 1000;

/** Commands that run a node or speak to the running one. */
export function addNodeCommands(program: Command, act: Act): void {
  addUp(program, act);
  withHelp(running(program, 'status'), {
    summary: 'Show what the running node does, and why not where it does not.',
    examples: [
      ['routy status', 'for people'],
      ['routy status --json', 'the same for programs'],
      ['routy status --ready', 'exit code 0 only when it can do its work: for scripts'],
    ],
  })
    .option('--ready', 'say only whether the node is ready, and fail when it is not')
    .action(act(async () => (await import('./commands/status.ts')).status));
  withHelp(running(program, 'ping'), {
    summary: 'Measure the way to the nodes of a site: round-trip time and difference of clocks.',
    examples: [
      ['routy ping gray', 'each connected node of gray'],
      ['routy ping gray/gray1 --count 10', 'one node, ten times'],
    ],
  })
    .argument('<target>', 'SITE or SITE/NODE', readPeer)
    .option('--count <n>', 'how often', readCount(PING_COUNT_MAX), 3)
    .action(act(async () => (await import('./commands/running.ts')).ping));
  withHelp(running(program, 'reload'), {
    summary: 'Let the running node read its configuration again: all of it, or nothing.',
    examples: [['routy check && routy reload', 'the same as SIGHUP, with an answer']],
  }).action(act(async () => (await import('./commands/running.ts')).reload));
  withHelp(running(program, 'drain'), {
    summary: 'Let the running node take no new streams, and wait for the open ones.',
    examples: [
      ['routy drain', 'before maintenance; exit code 1 when streams are open after drain_timeout'],
      ['routy drain --wait && systemctl stop routy', 'however long it takes'],
    ],
  })
    .option('--wait', 'until no stream is open, however long that takes')
    .action(act(async () => (await import('./commands/running.ts')).drain));
  withHelp(running(program, 'undrain'), {
    summary: 'Let a node that drains take new streams again.',
    examples: [
      [
        'routy undrain',
        'the maintenance is put off; peers with open streams open new ones when those have ended',
      ],
    ],
  }).action(act(async () => (await import('./commands/running.ts')).undrain));
  withHelp(running(program, 'log-level'), {
    summary: "Show or change the running node's log level, until it ends.",
    examples: [['routy log-level debug', 'look closer for a while']],
  })
    .addArgument(new Argument('[level]', 'the new level').choices([...LOG_LEVELS]))
    .action(act(async () => (await import('./commands/running.ts')).logLevel));
  addOthers(program, act);
}

function addUp(program: Command, act: Act): void {
  withHelp(withJson(withNewNode(program.command('up'))), {
    summary: 'Run the node in the foreground. SIGTERM drains and stops, SIGHUP reloads.',
    examples: [
      ['routy up', 'a node that is configured'],
      [
        'routy up --await-adoption --listen 0.0.0.0:7443 --service postgres=127.0.0.1:5432 --allow red',
        'a new node that cannot dial the CA: prints what to give to "routy adopt" there',
      ],
    ],
  })
    .option('--await-adoption', 'on a new node: wait to be adopted first; needs --listen')
    .option('--advertise <address>', 'the address to print, if not where it listens', readTcp)
    .action(act(async () => (await import('./commands/up.ts')).up));
}

function addOthers(program: Command, act: Act): void {
  withHelp(withJson(program.command('version')), {
    summary: 'Print the version.',
    examples: [['routy version --json', 'with that of Node']],
  }).action(
    act(async () => async (out) => {
      out.facts({ routy: version(), node: process.versions.node }, `routy ${version()}`);
    }),
  );
  withHelp(program.command('help'), {
    summary: 'Show what a command does, with examples.',
    examples: [['routy help cert renew', 'the same as "routy cert renew --help"']],
  })
    .argument('[command...]', 'the command')
    .action(act(async () => async (_out, _options, names: string[]) => showHelp(program, names)));
}

function showHelp(program: Command, names: readonly string[]): void {
  let command = program;
  for (const name of names) {
    const found = command.commands.find((each) => each.name() === name);
    if (found === undefined) {
      throw usageError(`there is no command "${names.join(' ')}"`, '"routy help" lists them');
    }
    command = found;
  }
  command.outputHelp();
}

function running(program: Command, name: string): Command {
  return withJson(withState(withConfig(program.command(name))));
}
