import type { Command } from 'commander';
import {
  type Act,
  withConfig,
  withHelp,
  withJson,
  withNewNode,
  withState,
  withVia,
} from './declare.ts';
import { collect, readName, readTcp } from './parse.ts';

/** Commands that make nodes and give them certificates. */
export function addEnrolCommands(program: Command, act: Act): void {
  addInit(program, act);
  addInvite(program, act);
  addJoin(program, act);
  addAdopt(program, act);
  addCert(program.command('cert'), act);
}

function addInit(program: Command, act: Act): void {
  withHelp(withJson(withNewNode(program.command('init'))), {
    summary: 'Make a fabric: its CA, and this node with certificate and configuration.',
    examples: [
      [
        'routy init --site gray --listen 0.0.0.0:7443 --advertise gray.example:7443 --invite red \\\n' +
          '      --service postgres=127.0.0.1:5432 --allow red --forward 127.0.0.1:6432=red/postgres',
        'the CA on the node that is dialled; prints the line for "routy join" on red',
      ],
      ['routy init --site red', 'the CA on a node that only dials; then take in others with adopt'],
    ],
  })
    .requiredOption('--site <name>', 'the site this node stands in', readName)
    .option('--fabric <name>', 'name of the fabric (default: fabric-XXXXXX)', readName)
    .option(
      '--advertise <address>',
      'where newcomers dial this node, if not where it listens (kept in [listen] for invites); may be given several times',
      collect(readTcp),
    )
    .option('--peer <address>', 'dial this node; may be given several times', collect(readTcp))
    .option('--invite <site>', 'print a join line for a node of this site as well', readName)
    .action(act(async () => (await import('./commands/init.ts')).init));
}

function addInvite(program: Command, act: Act): void {
  withHelp(withJson(withState(withConfig(program.command('invite')))), {
    summary: "On the CA's node: print a line that lets one node join. Good once, for 15 minutes.",
    examples: [
      ['routy invite red', 'for any node of site red'],
      ['routy invite red --node red1 --replace', 'for red1, which lost its key'],
    ],
  })
    .argument('<site>', 'the site the newcomer will belong to', readName)
    .option('--node <name>', 'only for a node of this name', readName)
    .option(
      '--address <address>',
      'where the newcomer dials (default: advertise of [listen], else where this node listens); may be given several times',
      collect(readTcp),
    )
    .option('--replace', 'let it take over the name of a node that is gone')
    .action(act(async () => (await import('./commands/invite.ts')).invite));
}

function addJoin(program: Command, act: Act): void {
  withHelp(withJson(withVia(withNewNode(program.command('join')))), {
    summary: 'Make this machine a node of a fabric, with the line that "routy invite" printed.',
    examples: [
      [
        "routy join 'routy-join-1:...' --service postgres=127.0.0.1:5432 --allow gray \\\n" +
          '      --forward 127.0.0.1:6432=gray/postgres',
        'join, offer the local database to gray, and reach the one there',
      ],
      ['routy join - < line.txt', 'the line holds a secret: so it is not in the list of processes'],
    ],
  })
    .argument('<line>', 'routy-join-1:..., or - to read it from standard input')
    .option('--up', 'go on as "routy up"')
    .action(act(async () => (await import('./commands/join.ts')).join));
}

function addAdopt(program: Command, act: Act): void {
  withHelp(withJson(withVia(withState(withConfig(program.command('adopt'))))), {
    summary: "On the CA's node: dial a node that awaits adoption and take it into the fabric.",
    examples: [
      ["routy adopt '192.0.2.1:7443#PIN' --site gray", 'what "routy up --await-adoption" printed'],
    ],
  })
    .argument('<address#pin>', 'what the newcomer printed, or - to read it from standard input')
    .requiredOption('--site <name>', 'the site the newcomer will belong to', readName)
    .option('--node <name>', 'its name (default: what the newcomer calls itself)', readName)
    .option('--replace', 'let it take over the name of a node that is gone')
    .option('--up', 'go on as "routy up"')
    .action(act(async () => (await import('./commands/adopt.ts')).adopt));
}

function addCert(cert: Command, act: Act): void {
  withHelp(cert, {
    summary: "Renew this node's certificate, show it, or get one by hand, without a network.",
    examples: [
      ['routy cert renew', 'on any node, in time or too late; the running node takes it up'],
      ['routy cert request --site gray --node gray1 --out gray1.csr', 'on the newcomer'],
      ['routy cert issue --csr gray1.csr --out gray1.crt', "on the CA's node"],
      ['routy cert install gray1.crt', 'on the newcomer'],
    ],
  });
  withHelp(withJson(withVia(withState(withConfig(cert.command('renew'))))), {
    summary:
      "Get this node a new certificate: from its own CA, or over the network from the CA's node.",
    examples: [
      ['routy cert renew', 'same name, same key, same configuration'],
      ['routy cert renew --new-key', 'with a new key, as after somebody may have read the old one'],
      ['routy cert renew --address gray.example:7443', "the CA's node is not among the [[peer]]s"],
    ],
  })
    .option('--new-key', 'make a new key for it')
    .option(
      '--address <address>',
      "where the CA's node listens (default: those of [[peer]]); may be given several times",
      collect(readTcp),
    )
    .action(act(async () => (await import('./commands/cert-renew.ts')).renew));
  withHelp(withJson(withState(withConfig(cert.command('request')))), {
    summary: "Make this node's key, which stays here, and a request for its certificate.",
    examples: [
      ['routy cert request --site gray --node gray1 --out gray1.csr', 'a new node'],
      ['routy cert request --out gray1.csr', 'to renew the certificate of this one'],
    ],
  })
    .option(
      '--site <name>',
      'the site this node stands in (default: as in its certificate)',
      readName,
    )
    .option('--node <name>', "this node's name (default: as in its certificate)", readName)
    .option('--new-key', 'renew with a new key')
    .option('--out <file>', 'write there instead of printing')
    .action(act(async () => (await import('./commands/cert.ts')).request));
  withHelp(withJson(withState(withConfig(cert.command('issue')))), {
    summary: "On the CA's node: sign a request for the site and node it names.",
    examples: [['routy cert issue --csr gray1.csr --out gray1.crt', '']],
  })
    .requiredOption('--csr <file>', 'the request; - for standard input')
    .option('--out <file>', 'write there instead of printing')
    .option('--replace', 'let it take over the name of a node that is gone')
    .action(act(async () => (await import('./commands/cert.ts')).issue));
  withHelp(withJson(withState(withConfig(cert.command('install')))), {
    summary: "Store the certificate that the CA's node issued.",
    examples: [['routy cert install gray1.crt', '']],
  })
    .argument('<file>', 'what "routy cert issue" wrote; - for standard input')
    .action(act(async () => (await import('./commands/cert.ts')).install));
  withHelp(withJson(withState(withConfig(cert.command('show')))), {
    summary: "Show this node's certificate, or the one in a file.",
    examples: [['routy cert show', 'who this node is, and until when']],
  })
    .argument('[file]', 'another certificate')
    .action(act(async () => (await import('./commands/cert.ts')).show));
}
