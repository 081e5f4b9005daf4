import { createHmac, randomBytes } from 'node:crypto';
import { appendFile, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { RoutyError, type TcpAddress } from '@routy/proto/base';
import { openCa } from '../pki/ca/ca.ts';
import { type Clock, DAY_MS, MINUTE_MS, systemClock } from '../pki/clock.ts';
import type { VerifiedCsr } from '../pki/csr.ts';
import { requireName } from '../pki/names.ts';
import { equalBytes } from '../pki/pin.ts';
import {
  ensureDirectory,
  fileError,
  fileExists,
  PRIVATE_FILE_MODE,
  readPrivateFile,
  statePaths,
  systemErrorCode,
  writeFileAtomic,
} from '../pki/state.ts';
import { formatJoinLine, inviteExpired, isInviteId } from './join-line.ts';

export const INVITE_TTL_MS = 15 * MINUTE_MS;
/** So many wrong proofs end an invite. */
export const WRONG_PROOFS_MAX = 5;
/** Invites that ended are kept so long, to tell "used" and "expired" from "unknown". */
const KEEP_MS = 7 * DAY_MS;

/** The content of `invites/ID.json`. */
interface InviteFile {
  readonly id: string;
  readonly secret: string;
  readonly site: string;
  readonly node: string | undefined;
  readonly replace: boolean;
  readonly expiresMs: number;
}

export interface CreatedInvite {
  /** What the newcomer's operator pastes after `routy join`. */
  readonly line: string;
  readonly id: string;
  readonly fabric: string;
  readonly site: string;
  readonly node: string | undefined;
  readonly expiresMs: number;
}

/**
 * Makes an invite: one use, for one site, within the time. Works on files, so the node of the same
 * state directory honours it at once, running or not yet.
 *
 * @param options.addresses where the newcomer can dial this node; at least one
 * @param options.replace lets the newcomer take over a name that another key has
 * @throws RoutyError `not-ca`, `invite-no-address`, `name-invalid`, and those of the state directory
 */
export async function createInvite(options: {
  readonly stateDir: string;
  readonly site: string;
  readonly node?: string | undefined;
  readonly addresses: readonly TcpAddress[];
  readonly ttlMs?: number | undefined;
  readonly replace?: boolean | undefined;
  readonly now?: Clock;
}): Promise<CreatedInvite> {
  const { stateDir, addresses } = options;
  const nowMs = (options.now ?? systemClock)();
  const site = requireName('site', options.site);
  const node = options.node === undefined ? undefined : requireName('node', options.node);
  if (addresses.length === 0) {
    throw new RoutyError('invite-no-address', 'the invite names no address to dial', {
      hint: 'say where the newcomer reaches this node: --address HOST:PORT; if it cannot, use routy adopt',
    });
  }
  const ca = await openCa(stateDir, nowMs);
  const invite: InviteFile = {
    id: randomBytes(16).toString('base64url'),
    secret: randomBytes(32).toString('base64url'),
    site,
    node,
    replace: options.replace ?? false,
    expiresMs: nowMs + (options.ttlMs ?? INVITE_TTL_MS),
  };
  const { invites } = statePaths(stateDir);
  await ensureDirectory(invites);
  await removeOldInvites(invites, nowMs);
  await writeFileAtomic(files(stateDir, invite.id).open, JSON.stringify(invite), PRIVATE_FILE_MODE);
  const { id, secret, expiresMs } = invite;
  const { fabric, pin } = ca;
  const line = formatJoinLine({ addresses, pin, id, secret, site, fabric, node, expiresMs });
  return { line, id, fabric, site, node, expiresMs };
}

/** HMAC-SHA256 with the invite's secret over the request (DER) and the TLS exporter of the lane. */
export function joinProof(secret: string, csrDer: Uint8Array, exporter: Uint8Array): Buffer {
  const key = Buffer.from(secret, 'base64url');
  return createHmac('sha256', key).update(csrDer).update(exporter).digest();
}

/** An invite that was taken out of use for one newcomer. */
export interface RedeemedInvite {
  readonly site: string;
  readonly node: string;
  readonly replace: boolean;
  /** Puts the invite back, for when no certificate could be issued after all. */
  release(): Promise<void>;
}

/**
 * Takes the invite for whoever proves its secret; of several at once, one wins.
 *
 * @throws RoutyError `invite-unknown`, `invite-used`, `invite-expired`, `invite-blocked` after
 *   {@link WRONG_PROOFS_MAX} wrong proofs, `proof-wrong`, `node-name-missing`, `node-name-mismatch`,
 *   `site-mismatch`, and those of the state directory
 */
export async function redeemInvite(options: {
  readonly stateDir: string;
  readonly id: string;
  readonly csr: VerifiedCsr;
  readonly exporter: Uint8Array;
  readonly proof: Uint8Array;
  readonly nowMs: number;
}): Promise<RedeemedInvite> {
  const { stateDir, id, csr, nowMs } = options;
  const invite = await readInvite(stateDir, id);
  if (nowMs > invite.expiresMs) throw inviteExpired(invite.expiresMs);
  const { open, used, wrong } = files(stateDir, id);
  if ((await countWrong(wrong)) >= WRONG_PROOFS_MAX) throw inviteBlocked();
  if (!equalBytes(joinProof(invite.secret, csr.der, options.exporter), options.proof)) {
    // One byte a failure: appending cannot lose a count when two fail at the same time.
    await appendFile(wrong, '.', { mode: PRIVATE_FILE_MODE });
    throw new RoutyError('proof-wrong', 'the newcomer did not prove the secret of the invite', {
      hint: "paste the line again in full, or make a new one on the CA's node: routy invite SITE",
    });
  }
  const node = requireInvitedNames(invite, csr);
  try {
    await rename(open, used);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') throw inviteUsed();
    throw fileError(error, `cannot take the invite ${open}`, 'state-unwritable');
  }
  const release = (): Promise<void> => rename(used, open);
  return { site: invite.site, node, replace: invite.replace, release };
}

function requireInvitedNames(invite: InviteFile, csr: VerifiedCsr): string {
  if (csr.site !== undefined && csr.site !== invite.site) {
    throw new RoutyError(
      'site-mismatch',
      `the invite is for the site ${invite.site}, not ${csr.site}`,
      { hint: `make an invite for it on the CA's node: routy invite ${csr.site}` },
    );
  }
  if (csr.node === undefined) {
    throw new RoutyError('node-name-missing', 'the newcomer did not say its node name', {
      hint: 'give it with --node NAME',
    });
  }
  if (invite.node !== undefined && invite.node !== csr.node) {
    throw new RoutyError(
      'node-name-mismatch',
      `the invite is for the node ${invite.node}, not ${csr.node}`,
      { hint: `leave out --node, or give --node ${invite.node}` },
    );
  }
  return csr.node;
}

function files(stateDir: string, id: string): { open: string; used: string; wrong: string } {
  const base = join(statePaths(stateDir).invites, id);
  return { open: `${base}.json`, used: `${base}.used`, wrong: `${base}.wrong` };
}

async function readInvite(stateDir: string, id: string): Promise<InviteFile> {
  // The id comes from a stranger and becomes a file name.
  if (!isInviteId(id)) throw inviteUnknown();
  const { open, used } = files(stateDir, id);
  let text: string;
  try {
    text = await readPrivateFile(open, { message: 'no such invite', hint: '' });
  } catch (error) {
    if (!(error instanceof RoutyError) || error.code !== 'state-missing') throw error;
    throw (await fileExists(used)) ? inviteUsed() : inviteUnknown();
  }
  return JSON.parse(text) as InviteFile;
}

async function countWrong(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return 0;
    throw fileError(error, `cannot read ${path}`, 'state-unreadable');
  }
}

async function removeOldInvites(directory: string, nowMs: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    try {
      const { mtimeMs } = await stat(path);
      if (nowMs - mtimeMs > KEEP_MS) await unlink(path);
    } catch (error) {
      // Another process may have moved or removed it since it was listed.
      if (systemErrorCode(error) !== 'ENOENT')
        throw fileError(error, `cannot remove ${path}`, 'state-unwritable');
    }
  }
}

const NEW_INVITE_HINT = "make a new one on the CA's node: routy invite SITE";

function inviteUsed(): RoutyError {
  return new RoutyError('invite-used', 'the invite has been used already', {
    hint: `an invite is good for one node; ${NEW_INVITE_HINT}`,
  });
}

function inviteUnknown(): RoutyError {
  return new RoutyError('invite-unknown', 'there is no such invite on the node that was dialled', {
    hint: `check that the line's address leads to the CA's node; ${NEW_INVITE_HINT}`,
  });
}

function inviteBlocked(): RoutyError {
  return new RoutyError(
    'invite-blocked',
    `the invite ended after ${WRONG_PROOFS_MAX} wrong proofs`,
    {
      hint: `somebody may be guessing; ${NEW_INVITE_HINT}`,
    },
  );
}
