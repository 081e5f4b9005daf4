import { writeFile } from 'node:fs/promises';
import { errorText, identityUri, RoutyError } from '@routy/proto/base';
import { type CertificateFacts, certificateFacts } from '../../pki/certificate.ts';
import { installCertificate, issueFromCsr, requestCertificate } from '../../pki/node/offline.ts';
import { readStateFile, statePaths } from '../../pki/state.ts';
import { type Place, stateOf } from '../context.ts';
import { readInput } from '../input.ts';
import type { Output } from '../output.ts';
import { columns } from '../text/table.ts';

/** Where the request or certificate goes: a file, or stdout for pasting. */
interface Target {
  readonly out?: string;
}

/** Makes the key here and a request for the CA's node. */
export async function request(
  out: Output,
  options: Place &
    Target & { readonly site?: string; readonly node?: string; readonly newKey?: boolean },
): Promise<void> {
  const { newKey } = options;
  const asked = { stateDir: stateOf(options), site: options.site, node: options.node, newKey };
  const { csrPem, keyPin, site, node, keyChanges } = await requestCertificate(asked);
  await deliver(out, options.out, csrPem, { csrPem, keyPin, site, node });
  const replace = keyChanges ? ' --replace' : '';
  out.progress(`request for ${site}/${node} made, key pin ${keyPin}
next, on the CA's node:  routy cert issue --csr FILE --out ${node}.crt${replace}
then, here:              routy cert install ${node}.crt`);
}

/** Signs a request at the CA's node. */
export async function issue(
  out: Output,
  options: Place & Target & { readonly csr: string; readonly replace?: boolean },
): Promise<void> {
  const csrPem = await readInput(options.csr);
  const { replace } = options;
  const issued = await issueFromCsr({ stateDir: stateOf(options), csrPem, replace });
  const notAfter = new Date(issued.notAfterMs).toISOString();
  const { chainPem, serial, identity } = issued;
  await deliver(out, options.out, chainPem, { chainPem, serial, identity, notAfter });
  out.progress(`certificate for ${identityUri(identity)} issued, valid until ${notAfter}
next, on that node:  routy cert install FILE`);
}

/** Stores what the CA's node issued. */
export async function install(out: Output, options: Place, file: string): Promise<void> {
  const pem = await readInput(file);
  const enrolled = await installCertificate({ stateDir: stateOf(options), pem });
  const notAfter = new Date(enrolled.notAfterMs).toISOString();
  out.facts(
    { identity: enrolled.identity, caPin: enrolled.caPin, notAfter },
    `this node is ${identityUri(enrolled.identity)} until ${notAfter}; CA pin ${enrolled.caPin}
next:  routy check, then routy up; where the node runs already, routy reload`,
  );
}

/** Shows the node's certificate, or another file's. */
export async function show(out: Output, options: Place, file?: string): Promise<void> {
  const path = file ?? statePaths(stateOf(options)).nodeCert;
  const pem =
    file === undefined
      ? await readStateFile(path, {
          message: `this node has no certificate: there is no ${path}`,
          hint: 'enrol it with routy init, routy join or routy up --await-adoption',
        })
      : await readInput(file);
  const facts = certificateFacts(pem);
  out.facts({ file: path, ...facts }, factsText(path, facts));
}

function factsText(path: string, facts: CertificateFacts): string {
  const { identity } = facts;
  return columns([
    ['file', path],
    ['identity', identity === undefined ? 'none' : identityUri(identity)],
    ['state', `${facts.state}, ${facts.daysLeft} days left`],
    ['not before', facts.notBefore],
    ['not after', facts.notAfter],
    ['subject', facts.subject],
    ['issuer', facts.issuer],
    ['serial', facts.serial],
    ['kind', facts.isCa ? 'CA' : 'node'],
    ['key pin', facts.keyPin],
    ['sha256', facts.fingerprintSha256],
  ]).join('\n');
}

async function deliver(
  out: Output,
  file: string | undefined,
  pem: string,
  facts: object,
): Promise<void> {
  if (file === undefined) {
    out.facts(facts, pem);
    return;
  }
  try {
    await writeFile(file, pem, { mode: 0o644 });
  } catch (error) {
    throw new RoutyError('file-unwritable', `cannot write ${file}: ${errorText(error)}`, {
      hint: 'name another file with --out, or leave it out to print',
      cause: error,
    });
  }
  out.facts({ file, ...facts }, `written to ${file}`);
}
