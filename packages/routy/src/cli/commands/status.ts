import { adminOf, type Place } from '../context.ts';
import { EXIT, type Output } from '../output.ts';
import { statusText } from '../text/status-text.ts';

/** With `ready` it is a question that scripts ask: the exit code is the answer. */
export async function status(
  out: Output,
  options: Place & { readonly ready?: boolean },
): Promise<number> {
  const found = await adminOf(options).status();
  const { ready, notReady } = found;
  if (options.ready !== true) {
    out.facts(found, statusText(found, Date.now()));
    return EXIT.done;
  }
  out.facts({ ready, notReady }, ready ? 'ready' : `not ready: ${notReady.join('; ')}`);
  return ready ? EXIT.done : EXIT.failed;
}
