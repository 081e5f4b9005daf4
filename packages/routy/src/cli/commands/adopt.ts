import { dialTcp } from '@routy/link/transport';
import { formatAddress, identityUri, RoutyError } from '@routy/proto/base';
import { addPeer } from '../../config/edit/edit.ts';
import { loadConfig } from '../../config/load.ts';
import { adopt as adoptNode } from '../../enrol/enrol-adopt.ts';
import { DEFAULT_CONFIG, type Place, stateOf } from '../context.ts';
import { applyEdit } from '../files/edit-config.ts';
import { placeArguments } from '../files/new-node.ts';
import { secretArgument } from '../input.ts';
import type { Output } from '../output.ts';
import { runConfigured } from './up.ts';

interface AdoptOptions extends Place {
  readonly site: string;
  readonly node?: string;
  readonly via?: string;
  readonly replace?: boolean;
  readonly up?: boolean;
}

/** Takes in a node that awaits adoption, and dials it from now on. */
export async function adopt(out: Output, options: AdoptOptions, given: string): Promise<void> {
  const addressAndPin = await secretArgument(given);
  const { site, node, via, replace } = options;
  // Read before anything is signed: afterwards it is too late to learn that there is no file.
  loadConfig(options.config);
  const adopted = await adoptNode({
    stateDir: stateOf(options),
    addressAndPin,
    site,
    node,
    replace,
    dialTcp: (address, timeoutMs) => dialTcp({ address, via, timeouts: { totalMs: timeoutMs } }),
  });
  const address = formatAddress(adopted.address);
  const name = identityUri(adopted.identity);
  const applied = await applyEdit(options, (text) => addPeerOnce(text, address, via));
  if (options.up === true && applied.reload === null) {
    out.progress(`adopted ${name} at ${address}`);
    await runConfigured(options);
    return;
  }
  const certificateExpiresAt = new Date(adopted.notAfterMs).toISOString();
  out.facts(
    { identity: adopted.identity, address, certificateExpiresAt, ...applied },
    `Adopted ${name}; this node dials it at ${address} (added to ${options.config}).
${applied.reload === null ? `Start this node:  routy up${placeArguments(options, DEFAULT_CONFIG)}` : 'The running node dials it already.'}`,
  );
}

/** A node adopted anew at its old address is in the file already. */
function addPeerOnce(text: string, address: string, via: string | undefined): string {
  try {
    return addPeer(text, { addresses: [address], via });
  } catch (error) {
    if (error instanceof RoutyError && error.code === 'config-exists') return text;
    throw error;
  }
}
