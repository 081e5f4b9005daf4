import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Identity } from '../../../packages/proto/src/base/identity.ts';
import { FrameWriter } from '../../../packages/proto/src/wire/frame-writer.ts';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { sharedSettings } from '../../../packages/routy/src/fabric/settings.ts';
import { issueCertificate, openCa } from '../../../packages/routy/src/pki/ca/ca.ts';
import { generateKeyPem, publicKeyDer } from '../../../packages/routy/src/pki/key.ts';

/** A key and certificate in files, for a client that is no Routy. */
export interface Papers {
  readonly identity: Identity;
  readonly keyFile: string;
  readonly certFile: string;
}

/**
 * Has the CA of a state directory sign a certificate. `madeAgoMs` and `lifetimeMs` set its dates:
 * valid from now for an hour when they are left out.
 */
export async function issuePapers(
  stateDir: string,
  directory: string,
  names: { site: string; node: string },
  dates: { madeAgoMs?: number; lifetimeMs?: number } = {},
): Promise<Papers> {
  const nowMs = Date.now();
  const keyPem = generateKeyPem();
  const issued = await issueCertificate(await openCa(stateDir, nowMs), {
    ...names,
    spki: publicKeyDer(keyPem),
    replace: false,
    nowMs: nowMs - (dates.madeAgoMs ?? 0),
    lifetimeMs: dates.lifetimeMs ?? 3_600_000,
  });
  const place = join(directory, `papers-${names.node}`);
  mkdirSync(place);
  const papers = {
    identity: issued.identity,
    keyFile: join(place, 'node.key'),
    certFile: join(place, 'node.crt'),
  };
  writeFileSync(papers.keyFile, keyPem, { mode: 0o600 });
  writeFileSync(papers.certFile, issued.chainPem);
  return papers;
}

/** A correct HELLO of a node with the default settings, in hex. */
export function helloHex(identity: Identity): string {
  return frameHex(FrameType.HELLO, 0, 0, {
    versions: [1],
    capabilities: [],
    ...identity,
    software: 'intruder/1',
    instance: randomBytes(16).toString('hex'),
    session: { id: randomBytes(16).toString('hex'), epoch: 1 },
    settings: sharedSettings({
      heartbeatIntervalMs: 5_000,
      heartbeatMisses: 3,
      resumeTimeMs: 60_000,
    }),
    initialWindow: 16 * 1024,
    clockUs: Date.now() * 1000,
  });
}

/** OPEN of a `tcp` stream to a service of the other node, in hex. */
export function openHex(service: string): string {
  const request = { protocol: 'tcp', versions: [1], capabilities: [], service };
  return frameHex(FrameType.OPEN, 1, 64 * 1024, request);
}

function frameHex(type: FrameType, stream: number, offset: number, payload: unknown): string {
  const frames = new FrameWriter();
  frames.json(type, stream, offset, payload);
  const pieces: Uint8Array[] = [];
  frames.drainTo(pieces);
  return Buffer.concat(pieces).toString('hex');
}

/** The 24 bytes of a frame header that announces more payload than any frame may have, in hex. */
export function oversizedHeaderHex(): string {
  const header = Buffer.alloc(24);
  header.writeUInt8(FrameType.DATA, 0);
  header.writeUInt32BE(0xffff_ffff, 4);
  header.writeBigUInt64BE(1n, 8);
  return header.toString('hex');
}
