import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Session } from '../../src/session/session.ts';
import type { LaneCode, StreamCode } from '../../src/wire/codes.ts';
import { FrameType, frameName } from '../../src/wire/layout.ts';
import { type OpenPayload, parseHello } from '../../src/wire/payload.ts';
import { concat, readFrames, sessionOptions } from '../support/frames.ts';

type Role = 'dialler' | 'acceptor';

type Call =
  | readonly ['admit' | 'drain']
  | readonly ['open', OpenPayload]
  | readonly ['accept' | 'end' | 'finDelivered', number]
  | readonly ['write', number, string]
  | readonly ['delivered', number, number]
  | readonly ['offer', string[]]
  | readonly ['reset', number, StreamCode, string]
  | readonly ['close', LaneCode, string];

type Step =
  | { readonly at: Role; readonly call: Call }
  | { readonly from: Role; readonly means: readonly string[]; readonly hex: string };

interface Exchange {
  readonly dialler: { readonly instance: string };
  readonly acceptor: { readonly instance: string };
  readonly steps: readonly Step[];
}

const exchange = JSON.parse(
  readFileSync(new URL('../vectors/exchange.json', import.meta.url), 'utf8'),
) as Exchange;

function makeSession(role: Role): Session {
  const options = sessionOptions(role, {
    software: 'routy/0.1.0',
    instance: exchange[role].instance,
    sessionId: 'ffeeddccbbaa99887766554433221100',
    epoch: 1,
    settings: { heartbeat_interval: '5s' },
  });
  return new Session(options, 0, 1_700_000_000_000);
}

function command(session: Session, call: Call): void {
  switch (call[0]) {
    case 'admit':
      session.admit(0);
      break;
    case 'drain':
      session.drain();
      break;
    case 'open':
      assert.ok(session.open(0, call[1]).ok);
      break;
    case 'accept':
      session.accept(call[1]);
      break;
    case 'end':
      session.end(call[1]);
      break;
    case 'finDelivered':
      session.finDelivered(call[1]);
      break;
    case 'write':
      session.write(0, call[1], new TextEncoder().encode(call[2]));
      break;
    case 'delivered':
      session.delivered(0, call[1], call[2]);
      break;
    case 'offer':
      session.offer(call[1]);
      break;
    case 'reset':
      session.reset(call[1], call[2], call[3]);
      break;
    case 'close':
      session.close(0, call[1], call[2]);
  }
}

function everythingSent(session: Session): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const buffers = session.pollTransmit(1024 * 1024);
    if (buffers === undefined) return concat(pieces);
    pieces.push(...buffers);
  }
}

/** How much credit a side gives is its own affair; everything else is fixed by the steps. */
function withoutCredit(bytes: Uint8Array): unknown[] {
  const grants: readonly number[] = [FrameType.OPEN, FrameType.ACCEPT, FrameType.CREDIT];
  return readFrames([bytes]).map(({ type, flags, stream, offset, payload }) => {
    const rest = { type: frameName(type), flags, stream };
    if (type === FrameType.HELLO)
      return { ...rest, hello: { ...parseHello(payload), initialWindow: 0 } };
    const hex = Buffer.from(payload).toString('hex');
    return grants.includes(type) ? { ...rest, hex } : { ...rest, offset, hex };
  });
}

test('a whole session goes as its vector says, frame for frame', () => {
  const sessions = { dialler: makeSession('dialler'), acceptor: makeSession('acceptor') };
  let compared = 0;
  for (const step of exchange.steps) {
    if ('call' in step) {
      command(sessions[step.at], step.call);
      continue;
    }
    const expected = Uint8Array.from(Buffer.from(step.hex, 'hex'));
    const sent = everythingSent(sessions[step.from]);
    assert.deepEqual(withoutCredit(sent), withoutCredit(expected), step.means.join(', '));
    sessions[step.from === 'dialler' ? 'acceptor' : 'dialler'].handleBytes(0, expected);
    compared++;
  }
  assert.ok(compared > 0);
  assert.ok(sessions.dialler.closed && sessions.acceptor.closed);
});
