import { identityUri, type TcpAddress } from '@routy/proto/base';
import { type CreatedInvite, createInvite } from '../../enrol/invite.ts';
import { initFabric } from '../../pki/node/init.ts';
import { DEFAULT_CONFIG } from '../context.ts';
import {
  defaultNodeName,
  dialableAddresses,
  type NewNodeOptions,
  newConfigText,
  newStateDir,
  placeArguments,
  withNewConfig,
} from '../files/new-node.ts';
import { type Output, usageError } from '../output.ts';
import { inviteText } from './invite.ts';

interface InitOptions extends NewNodeOptions {
  readonly site: string;
  readonly fabric?: string;
  readonly peer?: readonly TcpAddress[];
  readonly invite?: string;
}

/** Makes a fabric: its CA, this node's certificate and configuration, on request an invite. */
export async function init(out: Output, options: InitOptions): Promise<void> {
  const { site, fabric } = options;
  const node = options.node ?? defaultNodeName(site);
  const addresses = inviteAddresses(options);
  const peers = (options.peer ?? []).map((address) => ({ addresses: [address] }));
  const text = newConfigText(options, { site, node }, peers);
  const stateDir = newStateDir(options);
  const enrolled = await withNewConfig(options, text, () =>
    initFabric({ stateDir, fabric, site, node }),
  );
  const invited =
    options.invite === undefined
      ? undefined
      : await createInvite({ stateDir, site: options.invite, addresses });
  const facts = {
    identity: enrolled.identity,
    config: options.config,
    state: stateDir,
    caPin: enrolled.caPin,
    certificateExpiresAt: new Date(enrolled.notAfterMs).toISOString(),
    joinLine: invited?.line ?? null,
  };
  out.facts(facts, initText(options, facts, invited));
}

/** Where an invited newcomer dials; checked before anything is made. */
function inviteAddresses(options: InitOptions): TcpAddress[] {
  if (options.advertise !== undefined && options.listen === undefined) {
    throw usageError('--advertise without --listen', 'add --listen ADDRESS, where it is reached');
  }
  if (options.invite === undefined) return [];
  if (options.listen === undefined) {
    throw usageError(
      '--invite without --listen: the newcomer would have nothing to dial',
      'add --listen ADDRESS, or let this node dial the newcomer: routy adopt',
    );
  }
  return [...(options.advertise ?? dialableAddresses(options.listen))];
}

function initText(
  options: InitOptions,
  facts: { readonly identity: Parameters<typeof identityUri>[0]; readonly state: string },
  invited: CreatedInvite | undefined,
): string {
  const place = placeArguments(options, DEFAULT_CONFIG);
  const enrol =
    options.listen === undefined
      ? [
          'Take in another node, which listens where this one can dial it:',
          '  there:  routy up --await-adoption --listen 0.0.0.0:7443',
          `  here:   routy adopt ADDRESS#PIN --site SITE${place}`,
        ]
      : invited === undefined
        ? ['Take in another node, which dials this one:', `  here:   routy invite SITE${place}`]
        : [inviteText(invited)];
  return [
    `Made fabric ${facts.identity.fabric}; this node is ${identityUri(facts.identity)}.`,
    `  configuration  ${options.config}`,
    `  state          ${facts.state}  (ca.key signs for the whole fabric: back it up, keep it secret)`,
    '',
    `Start this node:  routy up${place}`,
    '',
    ...enrol,
  ].join('\n');
}
