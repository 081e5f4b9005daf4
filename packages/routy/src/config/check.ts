import type { Draft } from './draft.ts';
import { checkEnvironment } from './environment.ts';
import { knownSites, unknownAllowEntries } from './known-sites.ts';
import { listeningAddresses } from './listening.ts';
import { inspectConfig, readConfigFile } from './load.ts';
import type { TomlDocument } from './toml/document.ts';
import { type ConfigProblem, hasErrors, renderProblems, sortProblems } from './toml/problems.ts';
import type { Config } from './types.ts';

/** What the trust side finds wrong with the certificates in a state directory. */
export interface CredentialsProblem {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly severity?: 'error' | 'warning';
}

export interface CheckOptions {
  /**
   * Looks at certificates: expired, for another node or site than named, keys that do not fit. Asked
   * only when the files are there. A parameter, so that this folder needs nothing of `pki/`.
   */
  readonly credentialsProblem?: (
    stateDir: string,
    node: string,
    site: string,
  ) => CredentialsProblem | undefined | Promise<CredentialsProblem | undefined>;
  /** Why this machine does not have the native data plane, if it has not; asked where that is configured. */
  readonly planeMissing?: () => Promise<string | undefined>;
  /** First port that needs no privilege; by default what this machine says (Linux: 1024). */
  readonly unprivilegedPortMin?: number;
}

export interface CheckReport {
  readonly file: string;
  readonly text: string;
  /** True without an error; there may be warnings. */
  readonly ok: boolean;
  /** Defined when the file by itself is valid. */
  readonly config: Config | undefined;
  /** In the order of the file; those without a place last. */
  readonly problems: readonly ConfigProblem[];
}

/**
 * Everything that can be found wrong with a `routy.toml` on the machine it is for: the file itself,
 * then the files, directories and names it speaks of. Throws only when the file cannot be read.
 */
export async function checkConfig(path: string, options: CheckOptions = {}): Promise<CheckReport> {
  const text = readConfigFile(path);
  const { config, document, draft, problems } = inspectConfig(text);
  const found = [...problems];
  if (document !== undefined && draft !== undefined) {
    found.push(...purposeProblems(document, draft));
    found.push(...checkEnvironment(path, document, draft, options.unprivilegedPortMin));
    found.push(...(await credentialsProblems(document, draft, found, options)));
    found.push(...(await planeProblems(document, draft, options)));
    found.push(...unknownAllowEntries(document, draft, knownSites(draft)));
  }
  return { file: path, text, ok: !hasErrors(found), config, problems: sortProblems(found) };
}

/** The report as `routy check` prints it; empty when there is nothing to say. */
export function renderReport(report: CheckReport): string {
  return renderProblems(report.problems, report.text, report.file);
}

/** A file without mistake may still describe a node that can do nothing. */
function purposeProblems(document: TomlDocument, draft: Draft): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { value } = document;
  if (value.listen === undefined && value.peer === undefined) {
    problems.push(
      document.atKey([], {
        message: 'this node would be alone: there is neither [listen] nor [[peer]]',
        hint: 'add [listen] so that others can dial it, or a [[peer]] for it to dial',
      }),
    );
  }
  if (value.service === undefined && value.forward === undefined) {
    const message = 'there is neither a service nor a forward: nothing would be carried';
    const hint = '`routy service add` offers one, `routy forward add` leads to one';
    problems.push(document.atKey([], { message, hint, severity: 'warning' }));
  }
  for (const { path, value: service } of draft.services) {
    if (service.allow.length > 0) continue;
    const message = `nobody may open service "${service.name}": allow is empty`;
    const hint = 'name the sites that may: allow = ["gray"]';
    problems.push(document.atKey([...path, 'allow'], { message, hint, severity: 'warning' }));
  }
  for (const { path, address } of listeningAddresses(draft)) {
    if (address.kind === 'unix' || address.port !== 0) continue;
    const message = 'port 0 is another port at every start';
    problems.push(document.atValue(path, { message, severity: 'warning' }));
  }
  return problems;
}

async function credentialsProblems(
  document: TomlDocument,
  draft: Draft,
  found: readonly ConfigProblem[],
  options: CheckOptions,
): Promise<ConfigProblem[]> {
  const statePath = ['node', 'state'];
  // Files that are missing or unsafe are reported already; reading them would say it again.
  const unsafe = found.some(({ path, severity }) => path === 'node.state' && severity === 'error');
  if (draft.node === undefined || unsafe) return [];
  const { state, name, site } = draft.node;
  const problem = await options.credentialsProblem?.(state, name, site);
  return problem === undefined ? [] : [document.atValue(statePath, problem)];
}

/** Such a node comes up all the same, as the portable one it was not meant to be. */
async function planeProblems(
  document: TomlDocument,
  { node }: Draft,
  { planeMissing }: CheckOptions,
): Promise<ConfigProblem[]> {
  if (node?.dataPlane !== 'native') return [];
  const missing = await planeMissing?.();
  if (missing === undefined) return [];
  const message = `the native data plane cannot be had here: ${missing}`;
  const hint = 'the node will run with "portable"; say so, or provide what is missing';
  return [document.atValue(['node', 'data_plane'], { message, hint, severity: 'warning' })];
}
