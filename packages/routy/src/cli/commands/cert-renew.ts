import { dialTcp } from '@routy/link/transport';
import {
  errorText,
  formatAddress,
  identityUri,
  RoutyError,
  type TcpAddress,
} from '@routy/proto/base';
import { loadConfig } from '../../config/load.ts';
import { isPassedOver } from '../../enrol/enrol-dial.ts';
import { renewOnline, renewOwn } from '../../enrol/enrol-renew.ts';
import type { Enrolled } from '../../pki/node/install.ts';
import { fileExists, statePaths } from '../../pki/state.ts';
import { adminOf, type Place, stateOf } from '../context.ts';
import { EXIT, type Output } from '../output.ts';

interface RenewOptions extends Place {
  readonly newKey?: boolean;
  readonly address?: readonly TcpAddress[];
  readonly via?: string;
}

/** Where a node may be asked, and through which proxy. */
interface Way {
  readonly address: TcpAddress;
  readonly via: string | undefined;
}

/** Renews this node's certificate and lets the running node take it up. */
export async function renew(out: Output, options: RenewOptions): Promise<number> {
  const stateDir = stateOf(options);
  const { newKey } = options;
  const isCa = await fileExists(statePaths(stateDir).caKey);
  const renewed = isCa
    ? { ...(await renewOwn({ stateDir, newKey })), from: "this node's own CA" }
    : await renewFrom(waysOf(options), stateDir, newKey);
  const { identity, from } = renewed;
  const notAfter = new Date(renewed.notAfterMs).toISOString();
  const taken = await letNodeTakeIt(options);
  out.facts(
    { identity, from, notAfter, newKey: newKey === true, ...taken },
    `renewed by ${from}: this node is ${identityUri(identity)} until ${notAfter}
${takenText(taken)}`,
  );
  return taken.error === null ? EXIT.done : EXIT.failed;
}

async function renewFrom(
  ways: readonly Way[],
  stateDir: string,
  newKey: boolean | undefined,
): Promise<Enrolled & { readonly from: string }> {
  const viaOf = new Map(ways.map(({ address, via }) => [address, via]));
  try {
    const renewed = await renewOnline({
      stateDir,
      newKey,
      addresses: ways.map(({ address }) => address),
      dialTcp: (address, timeoutMs) => {
        const via = viaOf.get(address);
        return dialTcp({ address, via, timeouts: { totalMs: timeoutMs } });
      },
    });
    return { ...renewed, from: formatAddress(renewed.address) };
  } catch (error) {
    if (!isPassedOver(error)) throw error;
    throw new RoutyError(error.code, error.message, { hint: byHand(newKey), cause: error });
  }
}

/** The addresses given, else those of the nodes that this one dials. */
function waysOf(options: RenewOptions): Way[] {
  const { address, via } = options;
  const ways =
    address?.map((each) => ({ address: each, via })) ??
    loadConfig(options.config).peers.flatMap((peer) =>
      peer.addresses.map((each) => ({ address: each, via: via ?? peer.via })),
    );
  if (ways.length > 0) return ways;
  throw new RoutyError(
    'renewal-no-address',
    "this node dials nobody, so it cannot ask the CA's node",
    { hint: byHand(options.newKey) },
  );
}

function byHand(newKey: boolean | undefined): string {
  const [request, issue] = newKey === true ? [' --new-key', ' --replace'] : ['', ''];
  return `where the CA's node listens name it: --address HOST:PORT; where it cannot be dialled from here, three commands:
    here:              routy cert request${request} --out node.csr
    on the CA's node:  routy cert issue --csr node.csr --out node.crt${issue}
    here:              routy cert install node.crt && routy reload`;
}

interface Taken {
  /** True when a node runs and has it. */
  readonly reloaded: boolean;
  /** Why a running node has not taken it. */
  readonly error: string | null;
}

async function letNodeTakeIt(place: Place): Promise<Taken> {
  try {
    const { applied } = await adminOf(place).reload();
    return { reloaded: applied, error: null };
  } catch (error) {
    if (error instanceof RoutyError && error.code === 'not-running') {
      return { reloaded: false, error: null };
    }
    return { reloaded: false, error: errorText(error) };
  }
}

function takenText({ reloaded, error }: Taken): string {
  if (error !== null) {
    return `the running node has NOT taken it up: ${error}\n  hint: correct that, then routy reload`;
  }
  return reloaded
    ? 'the running node has taken it up; sessions go on'
    : 'no node runs here; it counts from the next "routy up" on';
}
