import { invariant } from '../../base/errors.ts';
import { type Identity, identityUri } from '../../base/identity.ts';
import type { LaneCode } from '../../wire/codes.ts';
import { OFFSET_MAX } from '../../wire/layout.ts';
import { type Hello, helloFault, parseHello, parseHelloVersions } from '../../wire/payload.ts';
import { WINDOW_BYTES_MIN } from '../flow/receive-window.ts';
import { negotiate, noCommonVersion, type Offer } from '../negotiation.ts';
import type { HandshakeOptions } from '../options.ts';
import { settingDifferences } from './settings.ts';

/** Versions of the session protocol this code speaks, best first. */
export const PROTOCOL_VERSIONS: readonly number[] = [1];

/**
 * What a lane proves when it joins a session that exists: 64 hex digits that only an end of the
 * session can make, and that are good for this one lane and this one end of it.
 */
export type Prove = (secret: string, epoch: number, by: 'dialler' | 'acceptor') => string;

/** Why a lane is refused: the code that CLOSE carries, and one line for people. */
export interface Refusal {
  readonly code: LaneCode;
  readonly reason: string;
}

/** This side's HELLO. */
export function makeHello(
  options: HandshakeOptions,
  session: Hello['session'],
  clockUs: number,
): Hello {
  return {
    versions: PROTOCOL_VERSIONS,
    capabilities: options.capabilities ?? [],
    fabric: options.self.fabric,
    site: options.self.site,
    node: options.self.node,
    software: options.software,
    instance: options.instance,
    session,
    settings: options.settings,
    initialWindow: WINDOW_BYTES_MIN,
    clockUs,
  };
}

/** Why no peer would take this side's HELLO, whatever its session; undefined when all would. */
export function ownHelloFault(options: HandshakeOptions): string | undefined {
  const [id, proof] = ['0'.repeat(32), '0'.repeat(64)];
  const longest = { id, epoch: OFFSET_MAX, proof, replaces: id };
  return helloFault(makeHello(options, longest, OFFSET_MAX));
}

/**
 * Reads the peer's HELLO. Its versions come first: where there is none in common, nothing else of it
 * can be judged.
 *
 * @throws ProtocolError `frame-payload`
 */
export function readHello(payload: Uint8Array): Hello | Refusal {
  const own: Offer = { versions: PROTOCOL_VERSIONS, capabilities: [] };
  const offer: Offer = { versions: parseHelloVersions(payload), capabilities: [] };
  if (negotiate(offer, own) !== undefined) return parseHello(payload);
  const reason = noCommonVersion('session protocol', offer, own);
  return { code: 'version-mismatch', reason };
}

/** The optional parts that a session has in use, from the HELLO of its first lane. */
export function commonCapabilities(options: HandshakeOptions, hello: Hello): readonly string[] {
  const { capabilities = [] } = options;
  const agreement = negotiate(hello, { versions: PROTOCOL_VERSIONS, capabilities });
  invariant(agreement !== undefined, 'a HELLO without a common version was taken');
  return agreement.capabilities;
}

/** Why the peer's HELLO is no good, whatever session it is about; undefined when it is. */
export function judgeHello(options: HandshakeOptions, hello: Hello): Refusal | undefined {
  const said: Identity = { fabric: hello.fabric, site: hello.site, node: hello.node };
  if (identityUri(said) !== identityUri(options.peer)) {
    return {
      code: 'identity-mismatch',
      reason: `the peer says it is ${identityUri(said)}, its certificate says ${identityUri(options.peer)}`,
    };
  }
  const peer = `${hello.site}/${hello.node}`;
  const differences = settingDifferences(options.settings, hello.settings, peer);
  if (differences.length > 0) return { code: 'settings-mismatch', reason: differences.join('; ') };
  return undefined;
}

/** Dialler: why the acceptor's answer on a lane is no good. `secret` is empty on the first lane. */
export function judgeAnswer(
  answer: Hello['session'],
  session: { readonly id: string; readonly epoch: number; readonly secret: string },
  prove: Prove,
): Refusal | undefined {
  if (answer.id !== session.id || answer.epoch !== session.epoch) {
    return { code: 'protocol-error', reason: 'the peer answered for another session' };
  }
  if (session.secret === '') {
    if (answer.secret !== undefined) return undefined;
    return { code: 'protocol-error', reason: 'the peer began a session without a secret' };
  }
  const proof = prove(session.secret, session.epoch, 'acceptor');
  if (sameText(answer.proof ?? '', proof)) return undefined;
  return { code: 'not-authorized', reason: 'the peer does not know the secret of the session' };
}

/** Compares without telling by its time where two texts of the same length begin to differ. */
export function sameText(one: string, other: string): boolean {
  let difference = one.length ^ other.length;
  for (let i = 0; i < other.length; i++) difference |= one.charCodeAt(i) ^ other.charCodeAt(i);
  return difference === 0;
}
