import { addForward, addService, removeForward, removeService } from '../../config/edit/edit.ts';
import { ABOUT_TO_LISTEN, type ForwardStatus } from '../../status/status.ts';
import { adminOf, type Place } from '../context.ts';
import { type Applied, applyEdit } from '../files/edit-config.ts';
import { EXIT, type Output } from '../output.ts';
import { reloadText } from './running.ts';

interface ServiceOptions extends Place {
  readonly allow?: readonly string[];
  readonly proxyProtocol?: 'v1' | 'v2';
  readonly connectTimeout?: string;
  readonly replace?: boolean;
}

export async function serviceAdd(
  out: Output,
  options: ServiceOptions,
  name: string,
  target: string,
): Promise<void> {
  const { allow = [], proxyProtocol, connectTimeout, replace = false } = options;
  const service = { name, target, allow, proxyProtocol, connectTimeout };
  const applied = await applyEdit(options, (text) => addService(text, service, { replace }));
  const nobody = allow.length === 0 ? ' Nobody may open it yet: give --allow SITE.' : '';
  say(out, applied, `Service ${name} leads to ${target}.${nobody}`);
}

export async function serviceRemove(out: Output, options: Place, name: string): Promise<void> {
  const applied = await applyEdit(options, (text) => removeService(text, name));
  say(out, applied, `Service ${name} is removed.`);
}

interface ForwardOptions extends Place {
  readonly unavailable?: string;
}

export async function forwardAdd(
  out: Output,
  options: ForwardOptions,
  listen: string,
  to: string,
): Promise<number> {
  const { unavailable } = options;
  const applied = await applyEdit(options, (text) => addForward(text, { listen, to, unavailable }));
  const forward = applied.reload === null ? null : await settledForward(options, listen);
  if (forward === null) {
    say(out, applied, `Forward ${listen} leads to ${to}.`);
    return EXIT.done;
  }
  const { state, reason } = forward;
  const listens = state === 'listening' || state === 'holding';
  const now = listens
    ? ''
    : ` It is in the file and does NOT listen ${state === 'error' ? '' : 'yet'}`;
  say(
    out,
    { ...applied, state, reason },
    `Forward ${listen} leads to ${to}.${now && `${now.trimEnd()}: ${reason}`}`,
  );
  return state === 'error' ? EXIT.failed : EXIT.done;
}

/** So long a listener may be about to listen, in ms. */
const SETTLE_MS = 5_000;
const SETTLE_LOOK_MS = 50;

/** What became of a forward in the running node; null when it is not there. */
async function settledForward(place: Place, listen: string): Promise<ForwardStatus | null> {
  const untilMs = performance.now() + SETTLE_MS;
  for (;;) {
    const { forwards } = await adminOf(place).status();
    const forward = forwards.find((each) => each.listen === listen);
    const settled = forward === undefined || forward.reason !== ABOUT_TO_LISTEN;
    if (settled || performance.now() > untilMs) return forward ?? null;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_LOOK_MS));
  }
}

export async function forwardRemove(out: Output, options: Place, listen: string): Promise<void> {
  const applied = await applyEdit(options, (text) => removeForward(text, listen));
  say(out, applied, `Forward ${listen} is removed.`);
}

function say(
  out: Output,
  applied: Applied & { readonly state?: string; readonly reason?: string | null },
  what: string,
): void {
  const { config, reload } = applied;
  const live =
    reload === null
      ? `written to ${config}; no node runs, so it counts from the next "routy up"`
      : reloadText(reload);
  out.facts(applied, `${what}\n${live}`);
}
