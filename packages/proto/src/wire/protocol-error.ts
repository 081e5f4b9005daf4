import { RoutyError } from '../base/errors.ts';
import type { LaneCode } from './codes.ts';

/** What the peer sent may not be sent. Ends the lane with {@link ProtocolError.laneCode}. */
export class ProtocolError extends RoutyError {
  declare readonly code: ProtocolErrorCode;
  readonly laneCode: LaneCode;

  constructor(code: ProtocolErrorCode, message: string, laneCode: LaneCode = 'protocol-error') {
    super(code, message);
    this.name = 'ProtocolError';
    this.laneCode = laneCode;
  }
}

/** Stable codes of what can be wrong with a frame. */
export type ProtocolErrorCode =
  | 'frame-type'
  | 'frame-flags'
  | 'frame-reserved'
  | 'frame-length'
  | 'frame-stream'
  | 'frame-offset'
  | 'frame-payload'
  | 'frame-order'
  | 'stream-id'
  | 'stream-state'
  | 'credit-exceeded'
  | 'final-size'
  | 'resume'
  | 'reassembly';

/**
 * What this version does not know and a later one may say: a difference of versions, not a defect.
 */
export function unknownToThisVersion(code: ProtocolErrorCode, message: string): ProtocolError {
  return new ProtocolError(code, message, 'version-mismatch');
}
