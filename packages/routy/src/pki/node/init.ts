import { randomBytes } from 'node:crypto';
import { createCa, issueCertificate } from '../ca/ca.ts';
import { type Clock, systemClock } from '../clock.ts';
import { ensureNodeKey, publicKeyDer } from '../key.ts';
import { requireName } from '../names.ts';
import { type Enrolled, installVerified } from './install.ts';

/**
 * Makes a fabric: its CA and this node's key and certificate.
 *
 * @param options.fabric its name; `fabric-` and six random hexadecimal digits when left out, so
 *   that two fabrics are told apart in logs
 * @throws RoutyError `name-invalid`, `already-initialised`, and those of the state directory
 */
export async function initFabric(options: {
  readonly stateDir: string;
  readonly fabric?: string | undefined;
  readonly site: string;
  readonly node: string;
  readonly now?: Clock;
}): Promise<Enrolled> {
  const { stateDir } = options;
  const nowMs = (options.now ?? systemClock)();
  const site = requireName('site', options.site);
  const node = requireName('node', options.node);
  const fabric = options.fabric ?? `fabric-${randomBytes(3).toString('hex')}`;
  const ca = await createCa({ stateDir, fabric, nowMs });
  const keyPem = await ensureNodeKey(stateDir);
  const spki = publicKeyDer(keyPem);
  const issued = await issueCertificate(ca, { site, node, spki, replace: false, nowMs });
  return installVerified({
    stateDir,
    keyPem,
    certificatePem: issued.certificatePem,
    caPem: ca.certificatePem,
    expected: { fabric, site, node },
    nowMs,
  });
}
