import { readFileSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Draft } from './draft.ts';
import { listeningAddresses } from './listening.ts';
import type { TomlDocument } from './toml/document.ts';
import type { ConfigProblem } from './toml/problems.ts';

/** Looks at the files, directories and ports the config speaks of. Reads no key and opens no port. */
export function checkEnvironment(
  configPath: string,
  document: TomlDocument,
  draft: Draft,
  unprivilegedPortMin: number = unprivilegedPortOfMachine(),
): ConfigProblem[] {
  return [
    ...configFileProblems(configPath, document, draft),
    ...stateProblems(document, draft),
    ...socketProblems(document, draft),
    ...lowPortProblems(document, draft, unprivilegedPortMin),
  ];
}

function configFileProblems(path: string, document: TomlDocument, draft: Draft): ConfigProblem[] {
  const mode = statOf(path)?.mode ?? 0;
  const problems: ConfigProblem[] = [];
  if ((mode & 0o022) !== 0) {
    const message = `others than its owner may change ${path} (mode ${octal(mode)})`;
    const hint = `chmod go-w ${path}`;
    problems.push(document.atKey([], { message, hint, severity: 'warning' }));
  }
  for (const { path: peer, value } of draft.peers) {
    const hasPassword = /^[a-z0-9]+:\/\/[^@/]*:[^@/]*@/.test(value.via ?? '');
    if (!hasPassword || (mode & 0o004) === 0) continue;
    const message = `"via" holds a password, and everybody may read ${path} (mode ${octal(mode)})`;
    const hint = `chmod o-r ${path}`;
    problems.push(document.atKey([...peer, 'via'], { message, hint, severity: 'warning' }));
  }
  return problems;
}

function stateProblems(document: TomlDocument, draft: Draft): ConfigProblem[] {
  if (draft.node === undefined) return [];
  const { state } = draft.node;
  const at = (problem: Parameters<TomlDocument['atValue']>[1]) =>
    document.atValue(['node', 'state'], problem);
  const directory = statOf(state);
  if (directory === undefined || !directory.isDirectory()) {
    const what = directory === undefined ? 'does not exist' : 'is not a directory';
    const hint = 'make this node with `routy init`, `routy join` or `routy up --await-adoption`';
    return [at({ message: `state directory ${state} ${what}`, hint })];
  }
  const problems: ConfigProblem[] = [];
  if ((directory.mode & 0o077) !== 0) {
    const message = `state directory ${state} is open to others (mode ${octal(directory.mode)})`;
    problems.push(at({ message, hint: `chmod 700 ${state}`, severity: 'warning' }));
  }
  for (const file of ['node.key', 'ca.key']) {
    const path = join(state, file);
    const stats = statOf(path);
    if (stats === undefined && file === 'node.key') {
      problems.push(at({ message: `private key ${path} is missing`, hint: ENROL_HINT }));
    }
    if (stats === undefined || (stats.mode & 0o077) === 0) continue;
    const message = `private key ${path} can be read by others (mode ${octal(stats.mode)})`;
    const hint = `chmod 600 ${path}; if somebody may have read it, enrol with a new key`;
    problems.push(at({ message, hint }));
  }
  for (const [file, what] of CERTIFICATES) {
    const path = join(state, file);
    if (statOf(path) !== undefined) continue;
    problems.push(at({ message: `${what} ${path} is missing`, hint: ENROL_HINT }));
  }
  return problems;
}

const ENROL_HINT =
  'enrol this node again with `routy join`, or restore the state directory from a backup';

const CERTIFICATES = [
  ['node.crt', 'certificate'],
  ['ca.crt', "the fabric's CA certificate"],
] as const;

function socketProblems(document: TomlDocument, draft: Draft): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const { path, address } of listeningAddresses(draft)) {
    if (address.kind !== 'unix' || statOf(dirname(address.path))?.isDirectory()) continue;
    const message = `cannot listen on ${address.path}: directory ${dirname(address.path)} does not exist`;
    const hint = `mkdir ${dirname(address.path)}`;
    problems.push(document.atValue(path, { message, hint }));
  }
  for (const { path, value } of draft.services) {
    if (value.target.kind !== 'unix' || statOf(value.target.path) !== undefined) continue;
    const message = `there is no socket at ${value.target.path}`;
    const hint = `is the server behind service "${value.name}" running?`;
    problems.push(document.atValue([...path, 'target'], { message, hint, severity: 'warning' }));
  }
  return problems;
}

function lowPortProblems(
  document: TomlDocument,
  draft: Draft,
  unprivilegedPortMin: number,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const { path, address } of listeningAddresses(draft)) {
    if (address.kind === 'unix' || address.port === 0) continue;
    if (address.port >= unprivilegedPortMin) continue;
    const message = `port ${address.port} is below ${unprivilegedPortMin}: listening there needs a privilege this user does not have`;
    const hint = 'choose a higher port, or give the service CAP_NET_BIND_SERVICE';
    problems.push(document.atValue(path, { message, hint, severity: 'warning' }));
  }
  return problems;
}

/** 0 for root, else what the kernel says; 1024 where it says nothing. ip(7). */
function unprivilegedPortOfMachine(): number {
  if (process.geteuid?.() === 0) return 0;
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
  } catch {
    return 1024;
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // A directory on the way that may not be entered: for this user it is not there.
    return undefined;
  }
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}
