import { dialTcp } from '@routy/link/transport';
import { identityUri } from '@routy/proto/base';
import { joinFabric } from '../../enrol/enrol-join.ts';
import { parseJoinLine } from '../../enrol/join-line.ts';
import { DEFAULT_CONFIG } from '../context.ts';
import {
  defaultNodeName,
  type NewNodeOptions,
  newConfigText,
  newStateDir,
  placeArguments,
  withNewConfig,
} from '../files/new-node.ts';
import { secretArgument } from '../input.ts';
import type { Output } from '../output.ts';
import { runConfigured } from './up.ts';

interface JoinOptions extends NewNodeOptions {
  readonly via?: string;
  readonly up?: boolean;
}

/** Enrols this node with the line the CA's node printed, and writes its configuration. */
export async function join(out: Output, options: JoinOptions, given: string): Promise<void> {
  const line = await secretArgument(given);
  const { site, addresses, node: invitedNode } = parseJoinLine(line, Date.now());
  const node = options.node ?? invitedNode ?? defaultNodeName(site);
  const { via } = options;
  const text = newConfigText(options, { site, node }, [{ addresses, via }]);
  const stateDir = newStateDir(options);
  const joined = await withNewConfig(options, text, () =>
    joinFabric({
      line,
      stateDir,
      node,
      dialTcp: (address, timeoutMs) => dialTcp({ address, via, timeouts: { totalMs: timeoutMs } }),
    }),
  );
  const name = identityUri(joined.identity);
  const facts = {
    identity: joined.identity,
    config: options.config,
    state: stateDir,
    caPin: joined.caPin,
    certificateExpiresAt: new Date(joined.notAfterMs).toISOString(),
  };
  if (options.up === true) {
    out.progress(`joined: this node is ${name}`);
    await runConfigured(options);
    return;
  }
  const place = placeArguments(options, DEFAULT_CONFIG);
  out.facts(
    facts,
    `Joined: this node is ${name}.
  configuration  ${options.config}
  state          ${stateDir}

Start it:  routy up${place}`,
  );
}
