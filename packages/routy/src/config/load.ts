import { readFileSync } from 'node:fs';
import { errorText, RoutyError } from '@routy/proto/base';
import { completeConfig, type Draft, draftOf } from './draft.ts';
import { explainIssues } from './explain.ts';
import { crossCheck } from './rules.ts';
import { configSchema } from './schema/schema.ts';
import { readDocument, TomlDocument } from './toml/document.ts';
import { ConfigError, type ConfigProblem, hasErrors, sortProblems } from './toml/problems.ts';
import type { Config } from './types.ts';

/** Everything one reading of a file gives. */
export interface Inspection {
  readonly text: string;
  /** Undefined when the file is not TOML. */
  readonly document: TomlDocument | undefined;
  readonly draft: Draft | undefined;
  /** Defined exactly when there is no error; warnings may remain. */
  readonly config: Config | undefined;
  /** In the order of the file. */
  readonly problems: readonly ConfigProblem[];
}

/**
 * Reads and validates a `routy.toml` by itself, without a look at certificates or other files.
 * Throws ConfigError (`config-invalid`) with every error found, or RoutyError `config-unreadable`.
 */
export function loadConfig(path: string): Config {
  return parseConfig(readConfigFile(path), path);
}

/** {@link loadConfig} of a text; `fileName` appears in messages only. */
export function parseConfig(text: string, fileName = 'routy.toml'): Config {
  const { config, problems } = inspectConfig(text);
  if (config !== undefined) return config;
  throw new ConfigError(problems, text, fileName);
}

/** Finds everything wrong with a text; never throws for what the text holds. */
export function inspectConfig(text: string): Inspection {
  const document = readDocument(text);
  if (!(document instanceof TomlDocument)) {
    return { text, document: undefined, draft: undefined, config: undefined, problems: [document] };
  }
  const draft = draftOf(document.value);
  const issues = configSchema.safeParse(document.value).error?.issues ?? [];
  const problems = sortProblems([
    ...explainIssues(document, issues),
    ...crossCheck(document, draft),
  ]);
  const config = hasErrors(problems) ? undefined : completeConfig(draft);
  return { text, document, draft, config, problems };
}

/** Text of the file; RoutyError `config-unreadable` says why not and what to do. */
export function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const hint =
      code === 'ENOENT'
        ? 'make one with `routy init` or `routy join`, or name another with --config PATH'
        : 'run as the user the node runs as, or correct the owner and mode of the file';
    const why = code === 'ENOENT' ? 'there is no such file' : errorText(error);
    throw new RoutyError('config-unreadable', `cannot read ${path}: ${why}`, {
      hint,
      cause: error,
    });
  }
}
