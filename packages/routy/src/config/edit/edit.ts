import { formatAddress, parseAddress, RoutyError } from '@routy/proto/base';
import { valueAt } from '../explain.ts';
import { readName } from '../schema/fields.ts';
import { readDocument, TomlDocument } from '../toml/document.ts';
import { didYouMean, nearestName } from '../toml/nearest.ts';
import { renderProblems } from '../toml/problems.ts';
import { appendTable, removeTable, tomlList, tomlString } from '../toml/text-tables.ts';

/** A service as the command line gives it; values as written in the file. */
export interface NewService {
  readonly name: string;
  /** `host:port` or `unix:/path`. */
  readonly target: string;
  readonly allow: readonly string[];
  readonly proxyProtocol?: 'v1' | 'v2' | undefined;
  /** `5s`. */
  readonly connectTimeout?: string | undefined;
}

/** A forward as the command line gives it. */
export interface NewForward {
  /** `host:port` or `unix:/path`. */
  readonly listen: string;
  /** `SITE/SERVICE`. */
  readonly to: string;
  /** `refuse` or `hold 10s`. */
  readonly unavailable?: string | undefined;
}

/** A peer as the command line gives it: at least one `host:port`. */
export interface NewPeer {
  readonly addresses: readonly string[];
  readonly via?: string | undefined;
}

/*
 * Each of the functions below takes the text of a routy.toml and returns the text with one table
 * added at the end or removed; comments and layout elsewhere stay as they are. They throw
 * RoutyError `config-invalid` for a text that is not TOML, `config-exists`, `config-missing`, and
 * `config-edit` where the file is written in a way that only a person can change. Values are not
 * judged: validate the result with `parseConfig` before writing it.
 */

/** Adds `[service.NAME]`; with `replace`, in place of an existing one. */
export function addService(
  text: string,
  service: NewService,
  options: { replace?: boolean } = {},
): string {
  const checked = readName(service.name);
  if ('error' in checked) throw new RoutyError('config-invalid', `service name ${checked.error}`);
  const exists = serviceNames(open(text)).includes(service.name);
  if (exists && options.replace !== true) {
    throw new RoutyError('config-exists', `there is already a service "${service.name}"`, {
      hint: `remove it first: routy service rm ${service.name}`,
    });
  }
  const base = exists ? removeService(text, service.name) : text;
  return verified(appendTable(base, serviceLines(service)), `service ${service.name}`);
}

/** Removes `[service.NAME]` and the comment right above it. */
export function removeService(text: string, name: string): string {
  const document = open(text);
  const names = serviceNames(document);
  if (!names.includes(name)) {
    throw missing(`there is no service "${name}"`, name, names, 'services');
  }
  return verified(removeTable(document, ['service', name]), `service ${name}`);
}

/** Adds a `[[forward]]`; only one may listen on an address. */
export function addForward(text: string, forward: NewForward): string {
  const existing = findForward(open(text), forward.listen);
  if (existing !== undefined) {
    throw new RoutyError(
      'config-exists',
      `there is already a forward listening on ${forward.listen}`,
      { hint: `remove it first: routy forward rm ${forward.listen}` },
    );
  }
  return verified(appendTable(text, forwardLines(forward)), `forward ${forward.listen}`);
}

/** Removes the `[[forward]]` that listens on this address, and the comment right above it. */
export function removeForward(text: string, listen: string): string {
  const document = open(text);
  const index = findForward(document, listen);
  if (index === undefined) {
    const known = entries(document, 'forward').map((entry) => String(valueAt(entry, ['listen'])));
    throw missing(`there is no forward listening on ${listen}`, listen, known, 'forwards');
  }
  return verified(removeTable(document, ['forward', index]), `forward ${listen}`);
}

/** Adds a `[[peer]]`; throws `config-exists` when any of its addresses is dialled already. */
export function addPeer(text: string, peer: NewPeer): string {
  const document = open(text);
  const known = entries(document, 'peer').flatMap((entry) => [
    valueAt(entry, ['address']),
    ...asList(valueAt(entry, ['addresses'])),
  ]);
  const twice = peer.addresses.find((address) =>
    known.some((other) => sameAddress(other, address)),
  );
  if (twice !== undefined) {
    throw new RoutyError('config-exists', `there is already a peer with address ${twice}`);
  }
  return verified(appendTable(text, peerLines(peer)), `peer ${peer.addresses.join(', ')}`);
}

/** Lines of a `[service.NAME]` table. */
export function serviceLines(service: NewService): string[] {
  const { name, target, allow, proxyProtocol, connectTimeout } = service;
  return [
    `[service.${name}]`,
    `target = ${tomlString(target)}`,
    `allow = ${tomlList(allow)}`,
    ...(proxyProtocol === undefined ? [] : [`proxy_protocol = ${tomlString(proxyProtocol)}`]),
    ...(connectTimeout === undefined ? [] : [`connect_timeout = ${tomlString(connectTimeout)}`]),
  ];
}

/** Lines of a `[[forward]]` table. */
export function forwardLines(forward: NewForward): string[] {
  const { listen, to, unavailable } = forward;
  return [
    '[[forward]]',
    `listen = ${tomlString(listen)}`,
    `to = ${tomlString(to)}`,
    ...(unavailable === undefined ? [] : [`unavailable = ${tomlString(unavailable)}`]),
  ];
}

/** Lines of a `[[peer]]` table. */
export function peerLines(peer: NewPeer): string[] {
  const [first, ...more] = peer.addresses;
  const address =
    more.length === 0
      ? `address = ${tomlString(first ?? '')}`
      : `addresses = ${tomlList(peer.addresses)}`;
  return [
    '[[peer]]',
    address,
    ...(peer.via === undefined ? [] : [`via = ${tomlString(peer.via)}`]),
  ];
}

function open(text: string): TomlDocument {
  const document = readDocument(text);
  if (document instanceof TomlDocument) return document;
  throw new RoutyError('config-invalid', renderProblems([document], text, 'routy.toml'), {
    hint: 'correct the file first; `routy check` shows what is wrong',
  });
}

/** A last look: an edit must never leave a file that is not TOML. */
function verified(text: string, what: string): string {
  if (readDocument(text) instanceof TomlDocument) return text;
  throw new RoutyError('config-edit', `${what} cannot be edited in this file's layout`, {
    hint: 'edit the file by hand, then run `routy check` and `routy reload`',
  });
}

function missing(
  message: string,
  name: string,
  known: readonly string[],
  kind: string,
): RoutyError {
  const listed = known.length === 0 ? `the file has no ${kind}` : `${kind}: ${known.join(', ')}`;
  const hint = nearestName(name, known) === undefined ? listed : undefined;
  return new RoutyError('config-missing', `${message}${didYouMean(name, known)}`, {
    ...(hint === undefined ? {} : { hint }),
  });
}

function serviceNames(document: TomlDocument): string[] {
  const services = valueAt(document.value, ['service']);
  return typeof services === 'object' && services !== null ? Object.keys(services) : [];
}

function findForward(document: TomlDocument, listen: string): number | undefined {
  const index = entries(document, 'forward').findIndex((entry) =>
    sameAddress(valueAt(entry, ['listen']), listen),
  );
  return index < 0 ? undefined : index;
}

function entries(document: TomlDocument, table: string): unknown[] {
  return asList(valueAt(document.value, [table]));
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function sameAddress(a: unknown, b: string): boolean {
  return typeof a === 'string' && canonical(a) === canonical(b);
}

function canonical(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
}
