import { formatAddress, RoutyError, type TcpAddress } from '@routy/proto/base';
import { loadConfig } from '../../config/load.ts';
import { type CreatedInvite, createInvite } from '../../enrol/invite.ts';
import { type Place, stateOf } from '../context.ts';
import { dialableAddresses } from '../files/new-node.ts';
import type { Output } from '../output.ts';

interface InviteOptions extends Place {
  readonly node?: string;
  readonly address?: readonly TcpAddress[];
  readonly replace?: boolean;
}

/** Makes a join line at the CA's node; works whether or not the node runs. */
export async function invite(out: Output, options: InviteOptions, site: string): Promise<void> {
  const { node, replace } = options;
  const addresses = options.address ?? ownAddresses(options);
  const invited = await createInvite({
    stateDir: stateOf(options),
    site,
    node,
    addresses,
    replace,
  });
  out.facts(
    {
      joinLine: invited.line,
      site: invited.site,
      node: invited.node ?? null,
      addresses: addresses.map(formatAddress),
      expiresAt: new Date(invited.expiresMs).toISOString(),
    },
    inviteText(invited),
  );
}

/** What to paste, and until when. */
export function inviteText({ site, line, expiresMs }: CreatedInvite): string {
  const until = new Date(expiresMs).toISOString().slice(0, 16).replace('T', ' ');
  return `On the new node of ${site}, once, before ${until} UTC (this node must be up):

  routy join '${line}'
`;
}

function ownAddresses(options: Place): TcpAddress[] {
  const { listen } = loadConfig(options.config);
  if (listen !== undefined) return [...(listen.advertise ?? dialableAddresses(listen.address))];
  throw new RoutyError('invite-no-address', 'this node does not listen, so nobody can dial it', {
    hint: 'add [listen] to the configuration, or let this node dial the newcomer: routy adopt',
  });
}
