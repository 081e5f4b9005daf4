import { createHmac } from 'node:crypto';
import type { Prove } from '@routy/proto/session';
import type { Lane } from '../../transport/lane.ts';

/**
 * What a lane's end says to join a session that exists: HMAC-SHA256 (RFC 2104), keyed with the 64
 * digits of the session's secret, of `routy-lane BY|SESSION|EPOCH|` and the lane's exporter; as 64
 * hex digits. The exporter differs on every lane, so a proof is good for no other.
 */
export function proveOn(lane: Pick<Lane, 'exporter'>, sessionId: string): Prove {
  return (secret, laneId, by) =>
    createHmac('sha256', secret)
      .update(`routy-lane ${by}|${sessionId}|${laneId}|`)
      .update(lane.exporter)
      .digest('hex');
}
