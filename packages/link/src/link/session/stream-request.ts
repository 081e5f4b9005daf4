import type { Offer } from '@routy/proto/session';
import { expectMs, expectObject, expectText, type KeysOf } from '../../arguments/arguments.ts';
import type { OpenRequest } from '../../driver/driver-types.ts';
import { mustBeAskable } from '../../protocols/askable.ts';
import { invalidArgument, LinkError } from '../../transport/link-error.ts';

/** What a stream is opened for. */
export interface StreamRequest {
  /** Name of the protocol, 1 to 63 of a-z, 0-9, '-'. */
  readonly protocol: string;
  /**
   * Those that this side speaks, 1 to 65535, at most 32; version 1 alone by default. The highest common
   * one is picked.
   */
  readonly versions?: readonly number[];
  /** Optional parts that this side can use, at most 64 of at most 64 characters; none by default. */
  readonly capabilities?: readonly string[];
  /** What it is for, beside the protocol: text of at most 255 characters, a key say; `main` by default. */
  readonly service?: string;
  /** What its counts are summed by; the protocol's name when left out. */
  readonly class?: string;
  /** How long the peer may take to answer while a lane carries the session, in ms; 10 s by default. */
  readonly answerMs?: number;
}

/** An OPEN names a service in any case. */
export const NO_SERVICE = 'main';

/** The protocol in which one end asks the other to open a stream towards it. */
export const CALL = 'link-call';

/** The service of a stream that is opened in reply; the rest is the request's id. */
export const REPLY_ID = /^re-[0-9a-f]{16}$/;

/** Most characters of a class. */
export const CLASS_CHARS_MAX = 64;

const KEYS: KeysOf<StreamRequest> = {
  protocol: true,
  versions: true,
  capabilities: true,
  service: true,
  class: true,
  answerMs: true,
};

/**
 * What a program asks for, before anything of it is done; `what` begins the error.
 *
 * @throws LinkError `argument-invalid`
 */
export function expectRequest(what: string, request: StreamRequest): void {
  expectObject('request', request, KEYS);
  expectLists('request', request);
  expectText('request.class', request.class, CLASS_CHARS_MAX);
  expectMs('request.answerMs', request.answerMs);
  mustBeAskable(what, openRequest(request));
  const { protocol, service } = request;
  if (protocol === CALL)
    throw linksOwn(`${what}: ${CALL} is the link's own protocol`, 'peer.request speaks it');
  if (service !== undefined && REPLY_ID.test(service))
    throw linksOwn(`${what}: ${service} would be a stream in reply`, 'call the service otherwise');
}

/** Lists that can be copied. */
export function expectLists(name: string, { versions, capabilities }: Partial<Offer>): void {
  if (versions !== undefined && !Array.isArray(versions))
    throw invalidArgument(`${name}.versions`, 'a list of 1 to 32 versions, as [1, 2]', versions);
  if (capabilities !== undefined && !Array.isArray(capabilities))
    throw invalidArgument(`${name}.capabilities`, 'a list of texts', capabilities);
}

function linksOwn(text: string, hint: string): LinkError {
  return new LinkError('argument-invalid', text, { hint });
}

/** What a request offers: a copy, as it may have to be said again. */
export function offerOf({ versions = [1], capabilities = [] }: StreamRequest): Offer {
  return { versions: [...versions], capabilities: [...capabilities] };
}

/** OPEN for a request. */
export function openRequest(request: StreamRequest): OpenRequest {
  const { protocol, service = NO_SERVICE } = request;
  return { protocol, ...offerOf(request), service };
}
