import { errorText } from '../base/errors.ts';
import { isName } from '../base/identity.ts';
import { type LaneCode, laneCodeName, type StreamCode, streamCodeName } from './codes.ts';
import { readU64 } from './frame-decoder.ts';
import { HELLO_BYTES_MAX, OFFSET_MAX, OPEN_BYTES_MAX } from './layout.ts';
import { ProtocolError } from './protocol-error.ts';
import { utf8Decode, utf8DecodeForLog, utf8Encode } from './text.ts';

/** HELLO, as it is on the wire. Unknown members are ignored, so later versions may add some. */
export interface Hello {
  readonly versions: readonly number[];
  readonly capabilities: readonly string[];
  readonly fabric: string;
  readonly site: string;
  readonly node: string;
  /** For people: `routy/0.1.0`. */
  readonly software: string;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  readonly session: HelloSession;
  /** Values that must be equal on both ends, as people write them. */
  readonly settings: Readonly<Record<string, string>>;
  /** Bytes the peer may send on a stream it opens before it is accepted. */
  readonly initialWindow: number;
  /** Wall clock on sending, µs since 1970. */
  readonly clockUs: number;
}

/** Which session a lane belongs to, and what shows that it may. */
export interface HelloSession {
  /** 32 hex digits, random, drawn by the dialler. */
  readonly id: string;
  /** Number of the lane in its session, from 1 on. */
  readonly epoch: number;
  /** 64 hex digits, random, drawn by the acceptor: in its answer to the session's first lane. */
  readonly secret?: string;
  /** 64 hex digits: on every further lane, shows that its sender knows the secret. */
  readonly proof?: string;
  /** Id of the session the dialler gave up for this one. */
  readonly replaces?: string;
}

/** OPEN's payload. */
export interface OpenPayload {
  readonly protocol: string;
  readonly versions: readonly number[];
  readonly capabilities: readonly string[];
  readonly service: string;
  /** Where the client of a forward came from and what it connected to; nothing for unix. */
  readonly source?: Endpoint | undefined;
  readonly destination?: Endpoint | undefined;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What two ends have agreed on; ACCEPT's payload: what the acceptor picked of what OPEN offers. */
export interface Agreement {
  readonly version: number;
  /** What both can use, in the order of the one who offered. */
  readonly capabilities: readonly string[];
}

const HEX32 = /^[0-9a-f]{32}$/;
const HEX64 = /^[0-9a-f]{64}$/;
/**
 * Texts of the peer reach logs and terminals, where control characters do harm. Half of a surrogate
 * pair is no character: it has no UTF-8, so it could not be said again as it was heard.
 */
const NO_TEXT = /[\p{Cc}\p{Cs}]/u;
const INITIAL_WINDOW_MAX = 1024 * 1024;

/**
 * The versions that a HELLO names, whatever else it says: the one thing of it that is the same in
 * every version.
 *
 * @throws ProtocolError `frame-payload`
 */
export function parseHelloVersions(payload: Uint8Array): number[] {
  return numberList(parseObject(payload, 'HELLO').versions, 'HELLO versions');
}

/** @throws ProtocolError `frame-payload` */
export function parseHello(payload: Uint8Array): Hello {
  const json = parseObject(payload, 'HELLO');
  const hello: Hello = {
    versions: numberList(json.versions, 'HELLO versions'),
    capabilities: textList(json.capabilities, 'HELLO capabilities'),
    fabric: name(json.fabric, 'HELLO fabric'),
    site: name(json.site, 'HELLO site'),
    node: name(json.node, 'HELLO node'),
    software: text(json.software, 'HELLO software', 100),
    instance: hex32(json.instance, 'HELLO instance'),
    session: helloSession(json.session),
    settings: textRecord(json.settings, 'HELLO settings'),
    initialWindow: integer(json.initialWindow, 'HELLO initialWindow', 0, INITIAL_WINDOW_MAX),
    clockUs: integer(json.clockUs, 'HELLO clockUs', 0, OFFSET_MAX),
  };
  return hello;
}

function helloSession(value: unknown): HelloSession {
  const json = asObject(value, 'HELLO session');
  const { secret, proof, replaces } = json;
  return {
    id: hex32(json.id, 'HELLO session id'),
    epoch: integer(json.epoch, 'HELLO epoch', 1, OFFSET_MAX),
    ...(secret !== undefined && { secret: hex64(secret, 'HELLO session secret') }),
    ...(proof !== undefined && { proof: hex64(proof, 'HELLO session proof') }),
    ...(replaces !== undefined && { replaces: hex32(replaces, 'HELLO session replaces') }),
  };
}

/** Why a peer would not take that for a HELLO; undefined when it would. */
export function helloFault(hello: Hello): string | undefined {
  const payload = utf8Encode(JSON.stringify(hello));
  if (payload.length > HELLO_BYTES_MAX)
    return `HELLO has ${payload.length} bytes, at most ${HELLO_BYTES_MAX}`;
  try {
    parseHello(payload);
  } catch (error) {
    return errorText(error);
  }
  return undefined;
}

export function parseOpen(payload: Uint8Array): OpenPayload {
  const open: Members<OpenPayload> = parseObject(payload, 'OPEN');
  expectOpen(open);
  const { protocol, versions, capabilities, service, source, destination } = open;
  return {
    ...{ protocol, versions, capabilities, service },
    ...(source && { source: endpoint(source) }),
    ...(destination && { destination: endpoint(destination) }),
  };
}

/** Why a peer would not take that for an OPEN; undefined when it would. */
export function openFault(request: OpenPayload): string | undefined {
  try {
    expectOpen(request);
  } catch (error) {
    return errorText(error);
  }
  // Without capabilities even the longest of everything is far shorter.
  if (request.capabilities.length === 0) return undefined;
  const bytes = utf8Encode(JSON.stringify(request)).length;
  return bytes > OPEN_BYTES_MAX ? `OPEN has ${bytes} bytes, at most ${OPEN_BYTES_MAX}` : undefined;
}

type Members<T> = { readonly [K in keyof T]?: unknown };

function expectOpen(open: Members<OpenPayload>): asserts open is OpenPayload {
  name(open.protocol, 'OPEN protocol');
  numberList(open.versions, 'OPEN versions');
  textList(open.capabilities, 'OPEN capabilities');
  text(open.service, 'OPEN service', 255);
  expectEndpoint(open.source, 'OPEN source');
  expectEndpoint(open.destination, 'OPEN destination');
}

export function parseAccept(payload: Uint8Array): Agreement {
  const json = parseObject(payload, 'ACCEPT');
  return {
    version: integer(json.version, 'ACCEPT version', 1, 65535),
    capabilities: textList(json.capabilities, 'ACCEPT capabilities'),
  };
}

/** OFFERS: names of services. */
export function parseOffers(payload: Uint8Array): string[] {
  const json = parseJson(payload, 'OFFERS');
  if (!Array.isArray(json)) throw bad('OFFERS', 'is not an array');
  return json.map((item) => name(item, 'OFFERS item'));
}

export function parseReset(payload: Uint8Array): { code: StreamCode; reason: string } {
  return { code: streamCodeName(u16(payload)), reason: utf8DecodeForLog(payload.subarray(2)) };
}

export function parseClose(payload: Uint8Array): { code: LaneCode; reason: string } {
  return { code: laneCodeName(u16(payload)), reason: utf8DecodeForLog(payload.subarray(2)) };
}

/** The `index`th u64 of a payload of numbers; refuses one beyond 2^53-1. */
export function parseNumber(payload: Uint8Array, index: number): number {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return numberAt(view, 8 * index);
}

/** The u64 at a byte position; refuses one beyond 2^53-1. */
export function numberAt(view: DataView, at: number): number {
  const value = readU64(view, at);
  if (value > OFFSET_MAX) throw new ProtocolError('frame-payload', 'a number beyond 2^53');
  return value;
}

function u16(payload: Uint8Array): number {
  return payload[0]! * 256 + payload[1]!;
}

function parseJson(payload: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(utf8Decode(payload));
  } catch {
    throw bad(what, 'is not JSON');
  }
}

function parseObject(payload: Uint8Array, what: string): Record<string, unknown> {
  return asObject(parseJson(payload, what), what);
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(what, 'is not an object');
  }
  return value as Record<string, unknown>;
}

function text(value: unknown, what: string, lengthMax: number): string {
  if (typeof value !== 'string' || value.length > lengthMax || NO_TEXT.test(value)) {
    throw bad(what, `is not a text of at most ${lengthMax} characters, none of them a control`);
  }
  return value;
}

function name(value: unknown, what: string): string {
  if (typeof value !== 'string' || !isName(value)) throw bad(what, 'is not a name');
  return value;
}

function hex32(value: unknown, what: string): string {
  if (typeof value !== 'string' || !HEX32.test(value)) throw bad(what, 'is not 32 hex digits');
  return value;
}

function hex64(value: unknown, what: string): string {
  if (typeof value !== 'string' || !HEX64.test(value)) throw bad(what, 'is not 64 hex digits');
  return value;
}

function integer(value: unknown, what: string, min: number, max: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw bad(what, `is not an integer from ${min} to ${max}`);
  }
  return value as number;
}

function numberList(value: unknown, what: string): number[] {
  if (!Array.isArray(value) || value.length > 32)
    throw bad(what, 'is not a list of at most 32 numbers');
  for (const item of value) integer(item, what, 1, 65535);
  return value as number[];
}

function textList(value: unknown, what: string): string[] {
  if (!Array.isArray(value) || value.length > 64)
    throw bad(what, 'is not a list of at most 64 texts');
  for (const item of value) text(item, what, 64);
  return value as string[];
}

function textRecord(value: unknown, what: string): Record<string, string> {
  const entries = Object.entries(asObject(value, what));
  if (entries.length > 64) throw bad(what, 'has more than 64 members');
  return Object.fromEntries(
    entries.map(([key, item]) => [text(key, what, 64), text(item, what, 256)]),
  );
}

function expectEndpoint(value: unknown, what: string): void {
  if (value === undefined) return;
  const json = asObject(value, what);
  text(json.address, `${what} address`, 64);
  integer(json.port, `${what} port`, 0, 65535);
}

/** Without members that a later version may add. */
function endpoint({ address, port }: Endpoint): Endpoint {
  return { address, port };
}

function bad(what: string, problem: string): ProtocolError {
  return new ProtocolError('frame-payload', `${what} ${problem}`);
}
