import { isIP, type Socket } from 'node:net';
import { type SecureContext, connect as tlsConnect } from 'node:tls';
import { formatHostPort, type RoutyError, type TcpAddress } from '@routy/proto/base';
import { abortReason, onAbort } from './deadline.ts';
import type { Lane, TlsCredentials } from './lane.ts';
import { connectThrough, type DialProxy, parseProxy } from './proxy.ts';
import { connectAny, describeTarget } from './tcp/connect.ts';
import {
  type DialStepsOptions,
  dialInSteps,
  type RunStep,
  resolveInStep,
} from './tcp/dial-steps.ts';
import { dialFailure, dialledFault } from './tls/handshake-failure.ts';
import { judgePeer } from './tls/peer-identity.ts';
import { ALPN_LANE, secureContext } from './tls/tls-context.ts';
import { TlsLane } from './tls/tls-lane.ts';

/** How long a peer that was not verified may take to hang up, in ms. */
const FAREWELL_MS = 1000;

/** How a connection below TLS is dialled. */
export interface DialTcpOptions extends DialStepsOptions {
  /** `http://[user:pass@]host:port` or `socks5://[user:pass@]host:port`. */
  readonly via?: string | undefined;
}

/** How a lane is dialled. */
export interface DialOptions extends DialTcpOptions {
  /** Who dials, and whose nodes it trusts. */
  readonly credentials: TlsCredentials;
}

/**
 * Dials a node and returns a lane whose peer is proven to be a node of the same fabric. That the
 * peer accepts *us* is known only when its first bytes arrive (see `lane-refused`).
 *
 * @throws RoutyError
 *   `dial-resolve`, `dial-refused`, `dial-timeout` (any step), `dial-unreachable`, `dial-failed`,
 *   `dial-exhausted`, `dial-proxy-refused`, `dial-proxy-invalid`, `dial-aborted`,
 *   `tls-not-tls`, `tls-version`, `tls-alpn`, `tls-closed`, `tls-failed`,
 *   `peer-not-verified`, `credentials-invalid`
 */
export async function dialLane(options: DialOptions): Promise<Lane> {
  const context = secureContext(options.credentials);
  const { fabric } = options.credentials.identity;
  return dialInSteps(options, async (run) => {
    const socket = await reach(options, run);
    return run('TLS handshake', run.timeouts.tlsMs, (signal) =>
      secure({ socket, address: options.address, context, fabric, signal }),
    );
  });
}

/**
 * The steps of {@link dialLane} before TLS: a plain connection to `address`, by way of the proxy
 * if there is one. The socket has no listeners and belongs to the caller.
 *
 * @throws RoutyError the `dial-…` codes of {@link dialLane}
 */
export function dialTcp(options: DialTcpOptions): Promise<Socket> {
  return dialInSteps(options, (run) => reach(options, run));
}

async function reach(options: DialTcpOptions, run: RunStep): Promise<Socket> {
  const proxy = options.via === undefined ? undefined : parseProxy(options.via);
  const first: TcpAddress | DialProxy = proxy ?? options.address;
  const who = proxy === undefined ? '' : 'proxy ';
  const { timeouts } = run;
  const addresses = await resolveInStep(run, first.host, who);
  const label = `${who}${describeTarget(first.host, first.port, addresses)}`;
  const socket = await run(`connecting to ${label}`, timeouts.connectMs, (signal) =>
    connectAny({ addresses, port: first.port, label, use: 'lane', signal }),
  );
  if (proxy === undefined) return socket;
  return run(`waiting for ${label} to connect`, timeouts.proxyMs, (signal) =>
    connectThrough(socket, proxy, options.address, signal),
  );
}

interface SecureOptions {
  readonly socket: Socket;
  readonly address: TcpAddress;
  readonly context: SecureContext;
  readonly fabric: string;
  readonly signal: AbortSignal;
}

function secure({ socket, address, context, fabric, signal }: SecureOptions): Promise<Lane> {
  const label = formatHostPort(address.host, address.port);
  return new Promise((resolve, reject) => {
    const tls = tlsConnect({
      socket,
      secureContext: context,
      ALPNProtocols: [ALPN_LANE],
      ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
      // The peer is judged below, by `judgePeer`, before a byte is written or read: that gives the
      // exact reason, and compares the fabric's identity in place of the host name.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const stop = () => fail(abortReason(signal));
    const settle = () => {
      signal.removeEventListener('abort', stop);
      tls.off('close', handleClose);
    };
    const fail = (error: RoutyError) => {
      settle();
      tls.destroy();
      reject(error);
    };
    const refuse = (reason: string) => {
      settle();
      // Our certificate is still on its way out: the other end's log can then say why, too.
      tls.end();
      tls.resume();
      setTimeout(() => tls.destroy(), FAREWELL_MS).unref();
      reject(dialFailure(label, { code: 'peer-not-verified', detail: reason }));
    };
    const handleClose = () => fail(dialFailure(label, { code: 'closed', detail: '' }));
    tls.once('secureConnect', () => {
      if (tls.alpnProtocol !== ALPN_LANE) {
        return fail(dialFailure(label, { code: 'alpn', detail: '' }));
      }
      const verdict = judgePeer(tls, fabric);
      if (!verdict.ok) return refuse(verdict.reason);
      settle();
      tls.off('error', handleError);
      resolve(new TlsLane(tls, { peer: verdict.identity, direction: 'dialled' }));
    });
    // Stays after a failure: an error that follows it must not be nobody's.
    const handleError = (error: Error) => fail(dialFailure(label, dialledFault(error)));
    tls.on('error', handleError);
    tls.once('close', handleClose);
    onAbort(signal, stop);
    if (signal.aborted) stop();
  });
}
