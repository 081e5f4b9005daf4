import { addForward, addService, removeForward, removeService } from '../../config/edit.ts';
import type { Place } from '../context.ts';
import { type Applied, applyEdit } from '../edit-config.ts';
import type { Output } from '../output.ts';
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
): Promise<void> {
  const { unavailable } = options;
  const applied = await applyEdit(options, (text) => addForward(text, { listen, to, unavailable }));
  say(out, applied, `Forward ${listen} leads to ${to}.`);
}

export async function forwardRemove(out: Output, options: Place, listen: string): Promise<void> {
  const applied = await applyEdit(options, (text) => removeForward(text, listen));
  say(out, applied, `Forward ${listen} is removed.`);
}

function say(out: Output, applied: Applied, what: string): void {
  const { config, reload } = applied;
  const live =
    reload === null
      ? `written to ${config}; no node runs, so it counts from the next "routy up"`
      : reloadText(reload);
  out.facts(applied, `${what}\n${live}`);
}
