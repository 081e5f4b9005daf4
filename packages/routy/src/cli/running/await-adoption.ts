import { existsSync } from 'node:fs';
import { identityUri, type TcpAddress } from '@routy/proto/base';
import { writeConfigFile } from '../../config/edit/write.ts';
import { awaitAdoption } from '../../enrol/enrol-await.ts';
import { fileExists, statePaths } from '../../pki/state.ts';
import {
  defaultNodeName,
  type NewNodeOptions,
  newConfigText,
  newStateDir,
} from '../files/new-node.ts';
import { type Output, usageError } from '../output.ts';
import { AdoptionNews } from '../text/adoption-news.ts';

interface AwaitOptions extends Omit<NewNodeOptions, 'advertise'> {
  /** The address that the adopter is given; nobody is invited here later. */
  readonly advertise?: TcpAddress;
}

/** Stands in for the site while it is not known; only the form of the file is checked with it. */
const SITE_UNKNOWN = 'site-unknown';

/**
 * Waits until the CA's node has taken this one in, then writes its configuration. A node that was
 * adopted before is left as it is, so that the same command line starts it again.
 */
export async function becomeAdopted(out: Output, options: AwaitOptions): Promise<void> {
  const stateDir = newStateDir(options);
  const adoptedBefore = await fileExists(statePaths(stateDir).nodeCert);
  if (adoptedBefore && existsSync(options.config)) return;
  const { listen } = options;
  if (listen === undefined) {
    throw usageError(
      '--await-adoption needs --listen: the adopting node dials this one',
      'add --listen ADDRESS, as in --listen 0.0.0.0:7443',
    );
  }
  const node = options.node ?? defaultNodeName('node');
  const { advertise, ...made } = options;
  newConfigText(made, { site: SITE_UNKNOWN, node }, []);
  const news = new AdoptionNews((line) => out.progress(line));
  const adoption = await awaitAdoption({
    stateDir,
    listen,
    advertise,
    node,
    log: (event) => news.note(event),
  });
  out.facts(
    { adopt: adoption.addressAndPin },
    `Waiting to be adopted. On the node that has the CA:

  routy adopt '${adoption.addressAndPin}' --site SITE
`,
  );
  const { identity } = await adoption.adopted.finally(() => news.close());
  // The port that was given, when 0 was asked for: the adopter dials it from now on.
  const listening = { ...made, listen: adoption.listen };
  writeConfigFile(options.config, newConfigText(listening, identity, []));
  out.progress(`adopted: this node is ${identityUri(identity)}, configured in ${options.config}`);
}
