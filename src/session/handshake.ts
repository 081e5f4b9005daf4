import { type Identity, identityUri } from '../base/identity.ts';
import type { LaneCode } from '../wire/codes.ts';
import type { Hello } from '../wire/payload.ts';
import type { SessionOptions } from './options.ts';
import { WINDOW_BYTES_MIN } from './receive-window.ts';
import { settingDifferences } from './settings.ts';

/** Versions of the session protocol this code speaks, best first. */
export const PROTOCOL_VERSIONS: readonly number[] = [1];

/** Optional parts of the protocol this code can use. None yet: all of version 1 is required. */
export const CAPABILITIES: readonly string[] = [];

/** What both ends agreed on. */
export interface Agreement {
  readonly version: number;
  readonly capabilities: readonly string[];
}

export interface Refusal {
  readonly code: LaneCode;
  readonly reason: string;
}

/** This side's HELLO. `session` is the dialler's in both directions. */
export function makeHello(
  options: SessionOptions,
  session: { readonly id: string; readonly epoch: number },
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
    session: { id: session.id, epoch: session.epoch },
    settings: options.settings,
    initialWindow: WINDOW_BYTES_MIN,
    clockUs,
  };
}

/** Judges the peer's HELLO: an agreement, or why there is none. */
export function judgeHello(options: SessionOptions, hello: Hello): Agreement | Refusal {
  const said: Identity = { fabric: hello.fabric, site: hello.site, node: hello.node };
  if (identityUri(said) !== identityUri(options.peer)) {
    return {
      code: 'identity-mismatch',
      reason: `the peer says it is ${identityUri(said)}, its certificate says ${identityUri(options.peer)}`,
    };
  }
  const version = PROTOCOL_VERSIONS.find((candidate) => hello.versions.includes(candidate));
  if (version === undefined) {
    return {
      code: 'version-mismatch',
      reason: `this node speaks versions ${PROTOCOL_VERSIONS.join(', ')}, the peer ${hello.versions.join(', ')}`,
    };
  }
  const peer = `${hello.site}/${hello.node}`;
  const differences = settingDifferences(options.settings, hello.settings, peer);
  if (differences.length > 0) return { code: 'settings-mismatch', reason: differences.join('; ') };
  if (options.role === 'dialler' && !sameSession(options, hello)) {
    return { code: 'protocol-error', reason: 'the peer answered for another session' };
  }
  return {
    version,
    capabilities: CAPABILITIES.filter((name) => hello.capabilities.includes(name)),
  };
}

function sameSession(options: SessionOptions, hello: Hello): boolean {
  return hello.session.id === options.sessionId && hello.session.epoch === options.epoch;
}
