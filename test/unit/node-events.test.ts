import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeEvents } from '../../src/node/events.ts';
import { createLog } from '../../src/observe/log.ts';
import { createMetrics } from '../../src/observe/metrics.ts';

interface Line {
  readonly event: string;
  readonly msg: string;
  readonly repeated?: number;
}

function logged(use: (events: NodeEvents) => void): Line[] {
  const lines: string[] = [];
  const log = createLog({ level: 'info', format: 'json', stream: { write: (s) => lines.push(s) } });
  use(new NodeEvents(log, createMetrics()));
  log.close();
  return lines.map((line) => JSON.parse(line) as Line);
}

test('strangers who send another number of bytes each time are counted together', () => {
  const lines = logged((events) => {
    for (let bytes = 5; bytes <= 100; bytes++) {
      const remoteAddress = `192.0.2.7:${40_000 + bytes}`;
      events.laneRefused({ remoteAddress, code: 'closed', reason: 'hung up', bytes });
    }
  });
  assert.deepEqual(
    lines.map(({ msg, repeated }) => [msg, repeated]),
    [
      ['lane from 192.0.2.7 refused: hung up (5 bytes came)', undefined],
      ['lane from 192.0.2.7 refused: hung up (100 bytes came) (95 more since the last line)', 95],
    ],
  );
});

test('a node whose lanes break before HELLO is counted, from whatever port it dials', () => {
  const lines = logged((events) => {
    for (let port = 40_000; port < 40_010; port++) {
      for (const host of ['192.0.2.7', '[2001:db8::7]']) {
        const remoteAddress = `${host}:${port}`;
        const reason = `lane to ${remoteAddress} was reset by the peer (lane-lost)`;
        events.laneRefused({ peer: 'red/red1', remoteAddress, code: 'lane-lost', reason });
      }
    }
  });
  assert.equal(
    lines[0]!.msg,
    'lane from red/red1 refused: lane to 192.0.2.7 was reset by the peer (lane-lost)',
  );
  assert.deepEqual(
    lines.map(({ repeated }) => repeated),
    [undefined, undefined, 9, 9],
  );
});

test('streams that cannot go on are counted together', () => {
  const lines = logged((events) => {
    for (let stream = 1; stream <= 9; stream += 2) events.streamMismatch('red/red1', stream, 'gap');
  });
  assert.deepEqual(
    lines.map(({ repeated }) => repeated),
    [undefined, 4],
  );
});
