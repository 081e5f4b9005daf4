import { RoutyError } from '@routy/proto/base';
import { type CredentialsProblem, checkConfig, renderReport } from '../../config/check.ts';
import type { Place } from '../context.ts';
import { loadPlane } from '../../node/data-plane.ts';
import { EXIT, type Output } from '../output.ts';
import { ownCredentials } from '../running/identity.ts';

/** Looks at the file and at everything on this machine it speaks of; changes nothing. */
export async function check(out: Output, options: Place, file?: string): Promise<number> {
  const path = file ?? options.config;
  const report = await checkConfig(path, { credentialsProblem, planeMissing });
  const { ok, problems } = report;
  const text = [renderReport(report), ok ? `${path}: ok` : ''].filter((part) => part !== '');
  out.facts({ file: path, ok, problems }, text.join('\n'));
  return ok ? EXIT.done : EXIT.failed;
}

async function credentialsProblem(
  state: string,
  node: string,
  site: string,
): Promise<CredentialsProblem | undefined> {
  try {
    await ownCredentials(state, node, site);
    return undefined;
  } catch (error) {
    if (!(error instanceof RoutyError)) throw error;
    return { message: error.message, hint: error.hint };
  }
}

async function planeMissing(): Promise<string | undefined> {
  const loaded = await loadPlane();
  if ('missing' in loaded) return loaded.missing;
  loaded.plane.close();
  return undefined;
}
