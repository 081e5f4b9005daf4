import { RoutyError } from '@routy/proto/base';
import type { LaneEnd, SessionEnd } from '../driver/driver-types.ts';
import { LinkError } from '../transport/link-error.ts';

/** `settings-mismatch at the other end: heartbeat_interval: 5s here, 3s at red/red1`. */
export function endText(end: Pick<SessionEnd, 'code' | 'reason' | 'remote'>): string {
  const where = end.remote ? ', said the other end' : '';
  return end.reason === '' ? `${end.code}${where}` : `${end.reason} (${end.code}${where})`;
}

/** Why a lane ended, as what dialling it anew goes by. `hint`: what to do about it. */
export function laneEndError(end: LaneEnd, hint: string | undefined): RoutyError {
  // In TLS 1.3 the dialler's handshake is over before its certificate was judged: a refused
  // certificate shows as a lane that the peer ends before the first frame.
  if (!end.wasUp && end.code === 'lane-lost') {
    return (
      end.laneError ??
      new LinkError('lane-refused', endText(end), {
        hint: 'If this repeats, the peer refuses the certificate of this node: its log says why.',
      })
    );
  }
  return new RoutyError(end.code, endText(end), hint === undefined ? {} : { hint });
}
