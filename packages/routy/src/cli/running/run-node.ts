import type { TlsCredentials } from '@routy/link/transport';
import { errorText, formatAddress, nextDelayMs } from '@routy/proto/base';
import { startMetricsListener } from '../../admin/metrics-listener.ts';
import type { AdminServer } from '../../admin/server.ts';
import { openAdminSocket } from '../../admin/server.ts';
import { loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/types.ts';
import { Troubles } from '../../events/troubles.ts';
import { type RunningNode, startNode } from '../../node/node.ts';
import type { Log } from '../../observe/log.ts';
import { createMetrics } from '../../observe/metrics.ts';
import type { NodeStatus } from '../../status/status.ts';
import { adminSocketPath } from '../context.ts';
import { EXIT } from '../output.ts';
import { shutInspector, takeEarlyHangup } from '../signals.ts';
import { version } from '../version.ts';
import { tuneGarbageCollector, type Work } from './garbage-collector.ts';
import { ownCredentials } from './identity.ts';

interface RunOptions {
  readonly config: Config;
  readonly configPath: string;
  readonly credentials: TlsCredentials;
  readonly log: Log;
}

/** What the peers are told by a process that does not wait. */
const REASON = 'the process ends';

/** Runs a node with its admin socket until a signal or a failure ends it. */
export async function runNode(options: RunOptions): Promise<void> {
  const { config, configPath, log } = options;
  const { state, name, site } = config.node;
  const ending = new Ending(log);
  dieLoudly(log, ending);
  await shutInspector();
  const troubles = new Troubles(log);
  const admin = await openAdminSocket(adminSocketPath(config.node.state), {
    onTrouble: (error) => troubles.has('admin socket', error, 'routy status and others cannot ask'),
    onMade: () => troubles.over('admin socket'),
    retryDelayMs: (attempt) => nextDelayMs({ attempt, random01: Math.random() }),
  });
  try {
    const node = await startNode({
      ...options,
      version: version(),
      metrics: createMetrics(),
      troubles,
      loadConfig: async () => loadConfig(configPath),
      // Of the node that runs, whatever the file says by now: another name needs a restart.
      loadCredentials: () => ownCredentials(state, name, site, { expired: true }),
    });
    ending.node = node;
    await serveUntilDone(node, admin, options, { troubles, ending });
  } finally {
    await admin.close();
    log.close();
  }
}

async function serveUntilDone(
  node: RunningNode,
  admin: AdminServer,
  { config, log }: RunOptions,
  { troubles, ending }: { troubles: Troubles; ending: Ending },
): Promise<void> {
  const { metricsListen } = config.admin;
  const release = onSignals(node, log, ending);
  const stopCollecting = tuneGarbageCollector(() => workOf(node.status()));
  const metrics =
    metricsListen &&
    (await startMetricsListener(metricsListen, node, {
      onListening: (listening) => {
        troubles.over('metrics');
        const address = formatAddress(listening);
        log.info('metrics-listening', `metrics at http://${address}/metrics`, { address });
      },
      onError: (error) => troubles.has('metrics', error, 'no metrics until it can be had'),
    }));
  try {
    admin.serve(node);
    if (takeEarlyHangup()) void node.reload().catch(() => undefined);
    await node.done;
  } finally {
    release();
    stopCollecting();
    await node.stop();
    await metrics?.close();
  }
}

/** SIGHUP reloads; SIGTERM and SIGINT drain and stop, the second one at once. */
function onSignals(node: RunningNode, log: Log, ending: Ending): () => void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) {
      log.warn('stop-now', `${signal} again: stopping without waiting for streams`);
      ending.begin();
      return;
    }
    stopping = true;
    log.info('stop', `${signal}: stopping`);
    node.stop().catch((error: unknown) => {
      log.error('stop-failed', errorText(error));
    });
  };
  const reload = (): void => {
    // The node writes to the log what came of it, whoever asked.
    node.reload().catch(() => undefined);
  };
  const ignore = (signal: NodeJS.Signals): void => {
    log.info('signal-ignored', `${signal} has no meaning here and is ignored`);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', reload);
  process.on('SIGUSR1', ignore);
  process.on('SIGUSR2', ignore);
  return () => {
    process.off('SIGHUP', reload);
  };
}

/** A defect ends the node with a line that says so; what is left running would not be trusted. */
function dieLoudly(log: Log, ending: Ending): void {
  process.on('uncaughtException', (error) => {
    log.error('internal-error', `internal error: ${error.message}`, {
      stack: error.stack
        ?.split('\n')
        .slice(1)
        .map((line) => line.trim()),
      hint: 'this is a defect of routy; report it with this line',
    });
    ending.begin();
  });
}

/**
 * The end of a process that does not wait for its streams: they are reset at once, and the process
 * lives on only until its peers have been told. Node hands a lane its next bytes in a later round
 * of the event loop, so a process that exits in this one may say nothing, and the streams would wait
 * at the other node for a session that never comes back.
 */
class Ending {
  node: RunningNode | undefined;
  readonly #log: Log;
  #begun = false;

  constructor(log: Log) {
    this.#log = log;
    // However the process ends: by a failure while it starts, or by one while it ends.
    process.once('exit', () => {
      void this.node?.resetNow(REASON);
      if (this.#begun) process.exitCode = EXIT.failed;
    });
  }

  /** The second time the process ends at once. */
  begin(): void {
    const told = this.#begun ? undefined : this.node?.resetNow(REASON);
    this.#begun = true;
    if (told === undefined) this.#exit();
    else void told.then(() => this.#exit());
  }

  #exit(): void {
    this.#log.close();
    process.exit(EXIT.failed);
  }
}

function workOf({ services, forwards, traffic, buffers }: NodeStatus): Work {
  let streams = 0;
  let bytes = 0;
  // Opened, and closed again: both leave garbage.
  for (const each of [...services, ...forwards]) streams += 2 * each.opened - each.streams;
  for (const { bytesSent, bytesReceived } of traffic) bytes += bytesSent + bytesReceived;
  return { streams, bytes, heldBytes: buffers.usedBytes };
}
