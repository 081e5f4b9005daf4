import { type Command, Option } from 'commander';
import { DEFAULT_CONFIG, DEFAULT_STATE } from './context.ts';
import type { Output } from './output.ts';
import { collect, readForward, readName, readPeer, readService, readTcp } from './parse.ts';

/**
 * What a command does. Options and arguments are as its declaration reads them; it gives an exit
 * code (a number) when it is not 0, or throws.
 */
// biome-ignore lint/suspicious/noExplicitAny: commander cannot type what a declaration reads.
type Action = (out: Output, options: any, ...args: any[]) => Promise<unknown>;

/** Makes commander's handler of an action that is loaded only when its command runs. */
export type Act = (load: () => Promise<Action>) => (...all: unknown[]) => Promise<void>;

interface Help {
  readonly summary: string;
  /** Command line, and what it is for. */
  readonly examples: readonly (readonly [line: string, what: string])[];
}

/** Gives a command its description and its examples. */
export function withHelp(command: Command, { summary, examples }: Help): Command {
  const lines = examples.map(([line, what]) => `  ${line}\n      ${what}`);
  return command
    .description(summary)
    .addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
    .helpOption('-h, --help', 'show this help');
}

/** `--config`, for every command that looks at a node. */
export function withConfig(command: Command): Command {
  return command.addOption(
    new Option('--config <path>', 'configuration of the node')
      .default(DEFAULT_CONFIG)
      .env('ROUTY_CONFIG'),
  );
}

/** `--json`, for every command that prints facts. */
export function withJson(command: Command): Command {
  return command.option('--json', 'print facts and errors as JSON');
}

/** `--state` of a command that makes a node. */
export function withNewState(command: Command): Command {
  return command.option('--state <dir>', `state directory to make (default: ${DEFAULT_STATE})`);
}

/** `--state` of a command that works on a node. */
export function withState(command: Command): Command {
  return command.option('--state <dir>', 'state directory (default: what the configuration says)');
}

/** Options that end in the new node's configuration. */
export function withNewNode(command: Command): Command {
  return withNewState(withConfig(command))
    .option('--node <name>', "this node's name (default: the machine's)", readName)
    .option('--listen <address>', 'where other nodes dial this one', readTcp)
    .option(
      '--service <name=target>',
      'offer a service; may be given several times',
      collect(readService),
    )
    .option(
      '--allow <site>',
      'who may open these services; may be given several times',
      collect(readPeer),
    )
    .option(
      '--forward <listen=site/service>',
      'reach a service elsewhere; may be given several times',
      collect(readForward),
    );
}

export function withVia(command: Command): Command {
  return command.option(
    '--via <url>',
    'dial through a proxy: http://[user:pass@]host:port or socks5://...',
  );
}
