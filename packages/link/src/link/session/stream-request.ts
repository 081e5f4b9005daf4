import type { Offer } from '@routy/proto/session';
import { openFault } from '@routy/proto/wire';
import { expectMs, expectObject, expectText, type KeysOf } from '../../arguments/arguments.ts';
import type { OpenRequest } from '../../driver/driver-types.ts';
import { invalidArgument, LinkError } from '../../transport/link-error.ts';

/** What a stream is opened for. */
export interface StreamRequest {
  /** Name of the protocol, 1 to 64 characters. */
  readonly protocol: string;
  /** Those that this side speaks, 1 to 65535, at most 32; the highest common one is picked. */
  readonly versions?: readonly number[];
  /** Optional parts that this side can use, at most 64 of at most 64 characters. */
  readonly capabilities?: readonly string[];
  /** What it is for, beside the protocol; a name of 1 to 63 of a-z, 0-9, '-'. */
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
 * What a program asks for, before anything of it is done.
 *
 * @throws LinkError `argument-invalid`
 */
export function expectRequest(request: StreamRequest): void {
  expectObject('request', request, KEYS);
  expectOffer('request', request);
  expectText('request.class', request.class, CLASS_CHARS_MAX);
  expectMs('request.answerMs', request.answerMs);
  const fault = openFault(openRequest(request));
  if (fault !== undefined) throw notAskable(fault);
  const { protocol, service } = request;
  if (protocol === CALL)
    throw notAskable(`the protocol ${CALL} is the link's own: peer.request speaks it`);
  if (service !== undefined && REPLY_ID.test(service))
    throw notAskable(`services as ${service} are of streams that are opened in reply`);
}

/** Lists that can be copied, and at least one version. */
export function expectOffer(name: string, { versions, capabilities }: Partial<Offer>): void {
  const isList = versions === undefined || (Array.isArray(versions) && versions.length > 0);
  if (!isList) throw invalidArgument(`${name}.versions`, 'a list of 1 to 32 versions', versions);
  if (capabilities !== undefined && !Array.isArray(capabilities))
    throw invalidArgument(`${name}.capabilities`, 'a list of texts', capabilities);
}

function notAskable(fault: string): LinkError {
  return new LinkError('argument-invalid', `this stream cannot be asked for: ${fault}`, {
    hint: 'open({ protocol, versions, capabilities, service, class, answerMs }): all but the protocol may be left out',
  });
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
