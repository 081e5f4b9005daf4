import { request } from 'node:http';
import { errorText, RoutyError } from '@routy/proto/base';
import type { LogLevel } from '../config/types.ts';
import type {
  DrainReport,
  NodeStatus,
  PingReply,
  ReloadReport,
  UndrainReport,
} from '../status/status.ts';

/** Most bytes of an answer; a status with thousands of peers is far below. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A local process that says nothing for so long is stuck, in ms. */
const QUIET_MS_MAX = 30_000;

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly body?: unknown;
  /** False where the node may rightly take minutes, as in draining. */
  readonly impatient?: boolean;
}

/** Speaks to the node that runs in a state directory. Rejects with `not-running` when none does. */
export class AdminClient {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  async status(): Promise<NodeStatus> {
    return (await this.#json({ method: 'GET', path: '/status' })) as NodeStatus;
  }

  async reload(): Promise<ReloadReport> {
    return (await this.#json({ method: 'POST', path: '/reload' })) as ReloadReport;
  }

  async ping(target: string, count: number): Promise<PingReply[]> {
    const body = { target, count };
    return (await this.#json({ method: 'POST', path: '/ping', body })) as PingReply[];
  }

  async logLevel(): Promise<LogLevel> {
    const answer = await this.#json({ method: 'GET', path: '/log-level' });
    return (answer as { level: LogLevel }).level;
  }

  async setLogLevel(level: string): Promise<LogLevel> {
    const answer = await this.#json({ method: 'PUT', path: '/log-level', body: { level } });
    return (answer as { level: LogLevel }).level;
  }

  /** Resolves when the node's streams are done or its drain time is over. */
  async drain(): Promise<DrainReport> {
    return (await this.#json({ method: 'POST', path: '/drain', impatient: false })) as DrainReport;
  }

  async undrain(): Promise<UndrainReport> {
    return (await this.#json({ method: 'POST', path: '/undrain' })) as UndrainReport;
  }

  metricsText(): Promise<string> {
    return this.#call({ method: 'GET', path: '/metrics' });
  }

  async #json(call: Call): Promise<unknown> {
    const text = await this.#call(call);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new RoutyError('admin-answer', `the node's answer is not JSON: ${errorText(error)}`);
    }
  }

  #call(call: Call): Promise<string> {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: this.socketPath,
        method: call.method,
        path: call.path,
        headers: body === undefined ? {} : { 'content-length': Buffer.byteLength(body) },
        agent: false,
      });
      if (call.impatient !== false) {
        outgoing.setTimeout(QUIET_MS_MAX, () => outgoing.destroy(new Error('no answer in time')));
      }
      outgoing.on('error', (error) => reject(this.#unreachable(error)));
      outgoing.on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > ANSWER_BYTES_MAX) outgoing.destroy(new Error('the answer is too large'));
          else chunks.push(chunk);
        });
        response.on('error', (error) => reject(this.#unreachable(error)));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if ((response.statusCode ?? 500) < 400) resolve(text);
          else reject(refusal(text));
        });
      });
      outgoing.end(body);
    });
  }

  #unreachable(error: NodeJS.ErrnoException): RoutyError {
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
      return new RoutyError(
        'not-running',
        `no node runs here: nobody answers at ${this.socketPath}`,
        {
          hint: 'start it with "routy up", or name its configuration with --config PATH',
          cause: error,
        },
      );
    }
    if (error.code === 'EACCES' || error.code === 'EPERM') {
      return new RoutyError('admin-denied', `no access to the admin socket ${this.socketPath}`, {
        hint: 'only the user that runs the node may ask it: use that user, or root',
        cause: error,
      });
    }
    return new RoutyError('admin-failed', `the node does not answer properly: ${error.message}`, {
      hint: 'see the log of the node',
      cause: error,
    });
  }
}

/** The error the node sent, as it was. */
function refusal(text: string): RoutyError {
  try {
    const { error } = JSON.parse(text) as {
      error: { code: string; message: string; hint: string | null };
    };
    return new RoutyError(
      error.code,
      error.message,
      error.hint === null ? {} : { hint: error.hint },
    );
  } catch {
    return new RoutyError('admin-answer', `the node answered: ${text.slice(0, 200)}`);
  }
}
