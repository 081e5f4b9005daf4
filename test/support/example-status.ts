import type { LaneStatus, NodeStatus } from '../../src/node/status.ts';

/** A node with one session, one peer it cannot reach, a service and two forwards. */
export function exampleStatus(): NodeStatus {
  return {
    node: 'red1',
    site: 'red',
    fabric: 'fab-1',
    version: '0.1.0',
    pid: 4711,
    startedAt: '2026-01-01T00:00:00.000Z',
    state: 'running',
    certificateWarning: null,
    certificateExpiresAt: '2027-01-01T00:00:00.000Z',
    listening: null,
    peers: [
      {
        name: 'gray/gray1',
        direction: 'dialled',
        addresses: ['gray.example:7443'],
        state: 'up',
        since: '2026-01-01T00:00:01.000Z',
        reason: null,
        hint: null,
        attempts: 0,
        nextAttemptInMs: null,
        session: {
          id: 'abc',
          state: 'up',
          epoch: 3,
          remoteAddress: '192.0.2.1:7443',
          security: 'TLSv1.3 TLS_AES_128_GCM_SHA256',
          rttMs: 1.5,
          clockOffsetMs: -250,
          lanes: [lane(2, 51_000), lane(3, 51_001)],
          streams: 2,
          bytesSent: 1000,
          bytesReceived: 2_500_000,
          bytesReplayed: 300,
          bufferedBytes: 4096,
          replayBytes: 4000,
          reassemblyBytes: 96,
          streamReplayBytesMax: 3000,
          streamReassemblyBytesMax: 95,
          offers: ['postgres'],
        },
      },
      {
        name: null,
        direction: 'dialled',
        addresses: ['blue.example:7443'],
        state: 'backoff',
        since: '2026-01-01T00:00:02.000Z',
        reason: 'blue.example:7443: connection refused',
        hint: 'start routy there, or correct the address',
        attempts: 3,
        nextAttemptInMs: 4_000,
        session: null,
      },
    ],
    services: [
      {
        name: 'postgres',
        target: '127.0.0.1:5432',
        allow: ['gray'],
        streams: 2,
        opened: 7,
        refused: 0,
        last: {
          at: '2026-01-01T00:00:09.000Z',
          ok: true,
          detail: 'connected',
          peer: 'gray/gray1',
        },
      },
    ],
    forwards: [
      {
        listen: '127.0.0.1:6432',
        to: 'gray/postgres',
        state: 'listening',
        reason: null,
        streams: 0,
        opened: 1,
        refused: 1,
        last: {
          at: '2026-01-01T00:00:08.000Z',
          ok: false,
          detail: 'target-refused: 127.0.0.1:5432 refused',
          peer: 'gray/gray1',
        },
      },
      {
        listen: 'unix:/run/blue.sock',
        to: 'blue/redis',
        state: 'unavailable',
        reason: 'no session with a node of blue',
        streams: 0,
        opened: 0,
        refused: 0,
        last: null,
      },
    ],
    buffers: {
      usedBytes: 4096,
      budgetBytes: 268_435_456,
      replayBytes: 4000,
      reassemblyBytes: 96,
      sessionBudgetBytes: 67_108_864,
      streamWindowBytes: 16_777_216,
    },
  };
}

function lane(epoch: number, port: number): LaneStatus {
  return {
    epoch,
    remoteAddress: '192.0.2.1:7443',
    localAddress: `192.0.2.7:${port}`,
    rttMs: 1.5,
    streams: 1,
    bytesSent: 500,
  };
}
