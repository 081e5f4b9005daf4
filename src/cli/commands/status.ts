import { adminOf, type Place } from '../context.ts';
import type { Output } from '../output.ts';
import { statusText } from '../status-text.ts';

export async function status(out: Output, options: Place): Promise<void> {
  const found = await adminOf(options).status();
  out.facts(found, statusText(found, Date.now()));
}
