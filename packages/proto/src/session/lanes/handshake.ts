import { type Identity, identityUri } from '../../base/identity.ts';
import type { LaneCode } from '../../wire/codes.ts';
import type { Hello } from '../../wire/payload.ts';
import { WINDOW_BYTES_MIN } from '../flow/receive-window.ts';
import type { HandshakeOptions } from '../options.ts';
import { settingDifferences } from './settings.ts';

/** Versions of the session protocol this code speaks, best first. */
export const PROTOCOL_VERSIONS: readonly number[] = [1];

/** Optional parts of the protocol this code can use. None yet: all of version 1 is required. */
export const CAPABILITIES: readonly string[] = [];

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
    capabilities: CAPABILITIES,
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

/** Why the peer's HELLO is no good, whatever session it is about; undefined when it is. */
export function judgeHello(options: HandshakeOptions, hello: Hello): Refusal | undefined {
  const said: Identity = { fabric: hello.fabric, site: hello.site, node: hello.node };
  if (identityUri(said) !== identityUri(options.peer)) {
    return {
      code: 'identity-mismatch',
      reason: `the peer says it is ${identityUri(said)}, its certificate says ${identityUri(options.peer)}`,
    };
  }
  if (!PROTOCOL_VERSIONS.some((version) => hello.versions.includes(version))) {
    return {
      code: 'version-mismatch',
      reason: `this node speaks versions ${PROTOCOL_VERSIONS.join(', ')}, the peer ${hello.versions.join(', ')}`,
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
