import { Command, CommanderError } from 'commander';
import { addConfigCommands } from './commands-config.ts';
import { addEnrolCommands } from './commands-enrol.ts';
import { addNodeCommands } from './commands-node.ts';
import { type Act, withHelp } from './declare.ts';
import { EXIT, Output } from './output.ts';
import { isNodeProcess } from './signals.ts';
import { version } from './version.ts';

/** Runs one command line (without `node` and the script) and gives its exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.done;
  const act: Act = (load) => {
    return async (...all: unknown[]) => {
      const command = all.at(-1) as Command;
      const options = command.opts<{ json?: boolean }>();
      const out = new Output(options.json === true);
      try {
        const action = await load();
        const result = await action(out, options, ...all.slice(0, -2));
        if (typeof result === 'number') code = result;
      } catch (error) {
        code = out.failure(error);
      }
    };
  };
  surviveClosedOutput();
  const program = buildProgram(act);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
  return code;
}

/**
 * Whoever read has gone, as `head` does when it has enough: a command ends with what it has said,
 * and a node runs on.
 */
function surviveClosedOutput(): void {
  const closed = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error;
  };
  process.stderr.on('error', closed);
  process.stdout.on('error', (error) => {
    closed(error);
    if (!isNodeProcess()) process.exit();
  });
}

function buildProgram(act: Act): Command {
  const program = withHelp(new Command('routy'), {
    summary: 'Connections both ways between sites of which only one can dial the other.',
    examples: [
      ['routy init --site gray --listen 0.0.0.0:7443 --invite red', 'make a fabric on gray'],
      ["routy join 'routy-join-1:...'", 'let red join it'],
      ['routy up', 'run the node'],
      ['routy status', 'see what works, and why not'],
    ],
  });
  program
    .version(version(), '-V, --version', 'print the version')
    .showSuggestionAfterError()
    .showHelpAfterError('  hint: "routy --help" lists the commands; each command has --help')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'routy: ')),
    });
  addEnrolCommands(program, act);
  addNodeCommands(program, act);
  addConfigCommands(program, act);
  inherit(program);
  return program;
}

/** Commander gives subcommands made before these settings none of them. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent);
    command.showHelpAfterError(`  hint: see "${pathOf(command)} --help"`);
    inherit(command);
  }
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
