import { Argument, type Command, Option } from 'commander';
import { type Act, withConfig, withHelp, withJson } from './declare.ts';
import { collect, readAddress, readDestination, readName, readPeer } from './parse.ts';

/** Commands on the configuration file. */
export function addConfigCommands(program: Command, act: Act): void {
  withHelp(withJson(withConfig(program.command('check'))), {
    summary: 'Look for mistakes in the configuration and in the files it names; change nothing.',
    examples: [
      ['routy check', 'the configuration in use'],
      ['routy check ./routy.toml', 'one that is being written'],
    ],
  })
    .argument('[file]', 'the file to look at (default: --config)')
    .action(act(async () => (await import('./commands/check.ts')).check));
  addService(program.command('service'), act);
  addForward(program.command('forward'), act);
}

function addService(service: Command, act: Act): void {
  withHelp(service, {
    summary: 'Change what this site offers, in the file and in the running node.',
    examples: [
      ['routy service add redis 127.0.0.1:6379 --allow red', ''],
      ['routy service rm redis', ''],
    ],
  });
  withHelp(withJson(withConfig(service.command('add'))), {
    summary: 'Offer a service.',
    examples: [
      ['routy service add postgres 127.0.0.1:5432 --allow red', 'every node of red may open it'],
      ['routy service add app unix:/run/app.sock --allow red/red1', 'a unix socket, for one node'],
    ],
  })
    .argument('<name>', 'name of the service', readName)
    .argument('<target>', 'HOST:PORT or unix:/PATH', readAddress)
    .option('--allow <site>', 'who may open it; may be given several times', collect(readPeer))
    .addOption(
      new Option('--proxy-protocol <version>', 'tell the target where clients came from').choices([
        'v1',
        'v2',
      ]),
    )
    .option('--connect-timeout <time>', 'how long the target may take, as in 5s')
    .option('--replace', 'in place of a service of this name')
    .action(act(async () => (await import('./commands/edit.ts')).serviceAdd));
  withHelp(withJson(withConfig(service.command('rm'))), {
    summary: 'Offer a service no longer; its streams are reset.',
    examples: [['routy service rm postgres', '']],
  })
    .argument('<name>', 'name of the service', readName)
    .action(act(async () => (await import('./commands/edit.ts')).serviceRemove));
}

function addForward(forward: Command, act: Act): void {
  withHelp(forward, {
    summary: 'Change what this node reaches elsewhere, in the file and in the running node.',
    examples: [
      ['routy forward add 127.0.0.1:6432 gray/postgres', ''],
      ['routy forward rm 127.0.0.1:6432', ''],
    ],
  });
  withHelp(withJson(withConfig(forward.command('add'))), {
    summary: 'Let a local address lead to a service of another site.',
    examples: [
      ['routy forward add 127.0.0.1:6432 gray/postgres', ''],
      [
        'routy forward add unix:/run/routy/pg.sock gray/postgres --unavailable "hold 10s"',
        'let clients wait while gray cannot be reached',
      ],
    ],
  })
    .addArgument(new Argument('<listen>', 'HOST:PORT or unix:/PATH').argParser(readAddress))
    .argument('<site/service>', 'where it leads', readDestination)
    .option('--unavailable <what>', '"refuse" (default), or "hold TIME"')
    .action(act(async () => (await import('./commands/edit.ts')).forwardAdd));
  withHelp(withJson(withConfig(forward.command('rm'))), {
    summary: 'Remove a forward; its streams are reset.',
    examples: [['routy forward rm 127.0.0.1:6432', '']],
  })
    .argument('<listen>', 'the address it listens on', readAddress)
    .action(act(async () => (await import('./commands/edit.ts')).forwardRemove));
}
