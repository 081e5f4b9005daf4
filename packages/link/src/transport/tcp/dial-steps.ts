import { formatHostPort, type RoutyError, type TcpAddress } from '@routy/proto/base';
import { step } from '../deadline.ts';
import { nameServerSilent } from '../failures.ts';
import { LinkError } from '../link-error.ts';
import { names } from '../names/names.ts';

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

/** What is dialled, and how long it may take. */
export interface DialStepsOptions {
  /** Of the node, also where a proxy is dialled. */
  readonly address: TcpAddress;
  /** In place of 5 s for each step and 10 s for all of them. */
  readonly timeouts?: Partial<DialTimeouts> | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs one step; `name` says in messages what was being waited for. */
export interface RunStep {
  <T>(
    name: string,
    ms: number,
    work: (signal: AbortSignal) => Promise<T>,
    onTimeout?: () => RoutyError,
  ): Promise<T>;
  /** Of each step. */
  readonly timeouts: DialTimeouts;
}

/** Gives every step its own deadline within the one for all, and names it when time is up. */
export function dialInSteps<T>(
  options: DialStepsOptions,
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

/** The step that finds the addresses of a host; `who` names it in messages. */
export function resolveInStep(run: RunStep, host: string, who = ''): Promise<readonly string[]> {
  const { resolveMs } = run.timeouts;
  return run(
    `resolving ${who}${host}`,
    resolveMs,
    (signal) => names.resolve(host, signal),
    () => nameServerSilent(host, resolveMs),
  );
}
