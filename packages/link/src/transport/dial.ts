import { isIP, type Socket } from 'node:net';
import { type SecureContext, connect as tlsConnect } from 'node:tls';
import { formatHostPort, type RoutyError, type TcpAddress } from '@routy/proto/base';
import { abortReason, onAbort, step } from './deadline.ts';
import { nameServerSilent } from './failures.ts';
import type { Lane, TlsCredentials } from './lane.ts';
import { LinkError } from './link-error.ts';
import { connectThrough, type DialProxy, parseProxy } from './proxy.ts';
import { connectAny, describeTarget } from './tcp/connect.ts';
import { names } from './tcp/names.ts';
import { dialFailure, dialledFault } from './tls/handshake-failure.ts';
import { judgePeer } from './tls/peer-identity.ts';
import { ALPN_LANE, secureContext } from './tls/tls-context.ts';
import { TlsLane } from './tls/tls-lane.ts';

/** The time each step of dialling may take, in ms, and all of them together. */
export interface DialTimeouts {
  /** For the name. */
  readonly resolveMs: number;
  /** For the TCP connection. */
  readonly connectMs: number;
  /** For the proxy's answer. */
  readonly proxyMs: number;
  /** For the TLS handshake. */
  readonly tlsMs: number;
  /** For all of it. */
  readonly totalMs: number;
}

export const DIAL_TIMEOUTS: DialTimeouts = {
  resolveMs: 5000,
  connectMs: 5000,
  proxyMs: 5000,
  tlsMs: 5000,
  totalMs: 10_000,
};

/**
 * For an address that is not the only one: a path that is gone must not keep a lane from the next
 * path for long. An unanswered connection is tried three times in that time, so that a lost packet
 * does not look like a lost path.
 */
export const HURRIED_TIMEOUTS: Partial<DialTimeouts> = {
  connectMs: 2000,
  proxyMs: 2000,
  tlsMs: 2000,
};

/** How long a peer that was not verified may take to hang up, in ms. */
const FAREWELL_MS = 1000;

export interface DialTcpOptions {
  readonly address: TcpAddress;
  /** `http://[user:pass@]host:port` or `socks5://[user:pass@]host:port`. */
  readonly via?: string | undefined;
  readonly timeouts?: Partial<DialTimeouts> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DialOptions extends DialTcpOptions {
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

/** Runs one step of dialling, by its name, within its own time and that of all. */
export interface RunStep {
  <T>(
    name: string,
    ms: number,
    work: (signal: AbortSignal) => Promise<T>,
    onTimeout?: () => RoutyError,
  ): Promise<T>;
  readonly timeouts: DialTimeouts;
}

/** Gives every step its own deadline within the one for all, and names it when time is up. */
export function dialInSteps<T>(
  options: DialTcpOptions,
  work: (run: RunStep) => Promise<T>,
): Promise<T> {
  const timeouts = { ...DIAL_TIMEOUTS, ...options.timeouts };
  const label = formatHostPort(options.address.host, options.address.port);
  let current = 'start';
  const onTimeout = (ms: number) => (): RoutyError =>
    new LinkError('dial-timeout', `${label} did not answer within ${ms} ms: ${current}`, {
      hint: 'a firewall that drops packets, or a machine that is down, looks like this',
    });
  return step(
    { ms: timeouts.totalMs, signal: options.signal, onTimeout: onTimeout(timeouts.totalMs) },
    (total) => {
      const run = <R>(
        name: string,
        ms: number,
        part: (signal: AbortSignal) => Promise<R>,
        onPartTimeout = onTimeout(ms),
      ) => {
        current = name;
        return step({ ms, signal: total, onTimeout: onPartTimeout }, part);
      };
      return work(Object.assign(run, { timeouts }));
    },
  );
}

async function reach(options: DialTcpOptions, run: RunStep): Promise<Socket> {
  const proxy = options.via === undefined ? undefined : parseProxy(options.via);
  const first: TcpAddress | DialProxy = proxy ?? options.address;
  const who = proxy === undefined ? '' : 'proxy ';
  const { timeouts } = run;
  const addresses = await run(
    `resolving ${who}${first.host}`,
    timeouts.resolveMs,
    (signal) => names.resolve(first.host, signal),
    () => nameServerSilent(first.host, timeouts.resolveMs),
  );
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
