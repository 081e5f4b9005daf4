import type { LogLevel } from '../config/types.ts';
import type { NodeControl } from '../status/control.ts';
import { HttpError, json, type Route, type Routes, text } from './http.ts';

export const LOG_LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

const PING_COUNT_MAX = 1_000;
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Everything the owner of the node may ask; `control` throws while there is no node yet. */
export function adminRoutes(control: () => NodeControl): Routes {
  return new Map<string, Route>([
    ['GET /status', () => json(control().status())],
    ['GET /metrics', async () => text(await control().metricsText(), 200, METRICS_TYPE)],
    ['POST /reload', async () => json(await control().reload())],
    [
      'POST /ping',
      async (body) => {
        const { target, count } = pingRequest(body);
        return json(await control().ping(target, count));
      },
    ],
    ['GET /log-level', () => json({ level: control().logLevel() })],
    [
      'PUT /log-level',
      (body) => {
        control().setLogLevel(levelRequest(body));
        return json({ level: control().logLevel() });
      },
    ],
    ['POST /drain', async () => json(await control().drain())],
    ['POST /undrain', () => json(control().undrain())],
  ]);
}

/** What may be asked over TCP without proving anything: figures, and whether the node is well. */
export function metricsRoutes(control: NodeControl): Routes {
  return new Map<string, Route>([
    ['GET /metrics', async () => text(await control.metricsText(), 200, METRICS_TYPE)],
    [
      'GET /healthz',
      () => {
        const { state } = control.status();
        return text(`${state}\n`, state === 'running' ? 200 : 503);
      },
    ],
    [
      'GET /readyz',
      () => {
        const { ready, notReady } = control.status();
        return ready ? text('ready\n') : text(`not ready: ${notReady.join('; ')}\n`, 503);
      },
    ],
  ]);
}

function pingRequest(body: unknown): { target: string; count: number } {
  const { target, count = 1 } = fields(body);
  if (typeof target !== 'string' || target === '') {
    throw new HttpError(400, 'bad-request', 'ping needs "target": SITE or SITE/NODE');
  }
  if (!Number.isInteger(count) || (count as number) < 1 || (count as number) > PING_COUNT_MAX) {
    throw new HttpError(
      400,
      'bad-request',
      `"count" must be a whole number from 1 to ${PING_COUNT_MAX}`,
    );
  }
  return { target, count: count as number };
}

function levelRequest(body: unknown): LogLevel {
  const { level } = fields(body);
  const known = LOG_LEVELS.find((name) => name === level);
  if (known !== undefined) return known;
  throw new HttpError(400, 'bad-request', `"level" must be one of ${LOG_LEVELS.join(', ')}`);
}

function fields(body: unknown): Readonly<Record<string, unknown>> {
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
}
