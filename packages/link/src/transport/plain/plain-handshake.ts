import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { errorText, type Identity, identityUri, isName } from '@routy/proto/base';
import { abortReason, onAbort } from '../deadline.ts';
import { LANE_EXPORTER_BYTES } from '../lane.ts';
import { LinkError } from '../link-error.ts';

/** What both ends say first; a peer that says something else speaks something else. */
const MAGIC = 'routy-plain/1';

/** Of one line: far more than three names and a nonce need. */
const LINE_BYTES_MAX = 512;
const NONCE_BYTES = 16;
const NONCE = /^[0-9a-f]{32}$/;
const NEWLINE = 0x0a;

/** What the handshake of a lane without TLS has found. Nothing of it is proven. */
export interface PlainHandshake {
  readonly peer: Identity;
  readonly exporter: Uint8Array;
  /** Of the dialler: differs from lane to lane. */
  readonly nonce: string;
}

interface Line {
  readonly fabric: string;
  readonly site: string;
  readonly node: string;
  readonly nonce: string;
}

/**
 * Tells each end of a plain connection who the other says it is, before the lane begins: a line each
 * way, the dialler's first, of `routy-plain/1`, a space, and JSON with `fabric`, `site`, `node` and a
 * `nonce` of 32 hex digits. A listener that refuses answers with `refused` in place of the names. The
 * 32 bytes in place of a TLS exporter are SHA-256 of `routy-plain-lane|DIALLER-NONCE|LISTENER-NONCE`:
 * the same at both ends, others on every lane, and no secret.
 *
 * @throws LinkError `peer-not-verified` (another fabric, or refused), `lane-corrupt` (it speaks
 *   something else), `dial-failed` (it hung up), or what `signal` fired with
 */
export async function plainHandshake(
  socket: Socket,
  self: Identity,
  direction: 'dialled' | 'accepted',
  signal: AbortSignal,
): Promise<PlainHandshake> {
  const nonce = randomBytes(NONCE_BYTES).toString('hex');
  const { fabric, site, node } = self;
  const own = { fabric, site, node, nonce };
  if (direction === 'dialled') say(socket, own);
  const peer = parseLine(await readLine(socket, signal));
  if (peer.fabric !== fabric) {
    const reason = `${identityUri(peer)} is of fabric "${peer.fabric}", this is fabric "${fabric}"`;
    if (direction === 'accepted') say(socket, { refused: reason });
    throw new LinkError('peer-not-verified', reason, {
      hint: 'both ends must name the same fabric in their identity',
    });
  }
  if (direction === 'accepted') say(socket, own);
  const nonces = direction === 'dialled' ? [nonce, peer.nonce] : [peer.nonce, nonce];
  return {
    peer: { fabric: peer.fabric, site: peer.site, node: peer.node },
    exporter: exporterOf(nonces),
    nonce: nonces[0]!,
  };
}

function exporterOf(nonces: readonly string[]): Uint8Array {
  const text = `routy-plain-lane|${nonces.join('|')}`;
  return createHash('sha256').update(text).digest().subarray(0, LANE_EXPORTER_BYTES);
}

function say(socket: Socket, what: Readonly<Record<string, string>>): void {
  socket.write(`${MAGIC} ${JSON.stringify(what)}\n`);
}

/** The bytes of one line; what came behind it stays in the socket. */
function readLine(socket: Socket, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = Buffer.alloc(0);
    const settle = () => {
      socket.off('readable', read).off('end', ended).off('close', ended).off('error', failed);
      signal.removeEventListener('abort', stop);
    };
    const fail = (error: Error) => {
      settle();
      reject(error);
    };
    const stop = () => fail(abortReason(signal));
    const failed = (error: Error) =>
      fail(new LinkError('dial-failed', `the connection failed: ${errorText(error)}`));
    const ended = () =>
      fail(
        new LinkError('dial-failed', 'hung up before it said who it is', {
          hint: 'it may listen with another transport, tls say',
        }),
      );
    const read = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      const at = chunk.indexOf(NEWLINE);
      line = Buffer.concat([line, at < 0 ? chunk : chunk.subarray(0, at)]);
      if (line.length > LINE_BYTES_MAX || (at < 0 && !couldBegin(line))) {
        fail(notPlain());
      } else if (at >= 0) {
        settle();
        const rest = chunk.subarray(at + 1);
        if (rest.length > 0) socket.unshift(rest);
        resolve(line.toString());
      }
    };
    socket.on('readable', read).on('end', ended).on('close', ended).on('error', failed);
    onAbort(signal, stop);
    if (signal.aborted) stop();
    else if (socket.destroyed) ended();
    else read();
  });
}

/** Who speaks TLS, say, is told from us by the first bytes; no line of theirs need ever end. */
function couldBegin(line: Buffer): boolean {
  const length = Math.min(line.length, MAGIC.length);
  return line.toString('latin1', 0, length) === MAGIC.slice(0, length);
}

function parseLine(text: string): Line {
  if (!text.startsWith(`${MAGIC} `)) throw notPlain();
  let said: unknown;
  try {
    said = JSON.parse(text.slice(MAGIC.length + 1));
  } catch {
    throw notPlain();
  }
  const { refused, fabric, site, node, nonce } = (said ?? {}) as Record<string, unknown>;
  if (typeof refused === 'string') {
    throw new LinkError('peer-not-verified', `the other end refuses this one: ${refused}`);
  }
  if (!isNameText(fabric) || !isNameText(site) || !isNameText(node)) throw notPlain();
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) throw notPlain();
  return { fabric, site, node, nonce };
}

function isNameText(value: unknown): value is string {
  return typeof value === 'string' && isName(value);
}

function notPlain(): LinkError {
  return new LinkError('lane-corrupt', 'the other end does not speak the plain transport', {
    hint: 'check the address, and that both ends use the same transport (tls is another one)',
  });
}
