import { RoutyError } from '@routy/proto/base';
import { writeConfigFile } from '../../config/edit/write.ts';
import { parseConfig, readConfigFile } from '../../config/load.ts';
import type { ReloadReport } from '../../status/status.ts';
import { adminOf, type Place } from '../context.ts';

export interface Applied {
  readonly config: string;
  /** What the running node made of it; null when none runs. */
  readonly reload: ReloadReport | null;
}

/**
 * Changes the configuration file and applies it to the node, if one runs. The changed text is
 * validated before it is written; when the running node refuses it, the file is put back.
 */
export async function applyEdit(place: Place, edit: (text: string) => string): Promise<Applied> {
  const { config } = place;
  const before = readConfigFile(config);
  const after = edit(before);
  parseConfig(after, config);
  writeConfigFile(config, after);
  try {
    const reload = await adminOf(place).reload();
    if (reload.applied) return { config, reload };
    throw new RoutyError('reload-refused', 'the running node refused the change', {
      hint: 'see its log; the file is as it was',
    });
  } catch (error) {
    if (error instanceof RoutyError && error.code === 'not-running') {
      return { config, reload: null };
    }
    writeConfigFile(config, before);
    throw error;
  }
}
