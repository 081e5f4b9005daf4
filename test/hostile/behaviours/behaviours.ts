import type { Behaviour } from './attack.ts';
import { FLOOD_BEHAVIOURS } from './peer-floods.ts';
import { FRAME_BEHAVIOURS } from './peer-frames.ts';
import { HELLO_BEHAVIOURS } from './peer-hello.ts';
import { STREAM_BEHAVIOURS } from './peer-streams.ts';
import { STRANGER_BEHAVIOURS } from './strangers.ts';

/** Of a node that the fabric's CA has signed. */
export const PEER_BEHAVIOURS: readonly Behaviour[] = [
  ...HELLO_BEHAVIOURS,
  ...FRAME_BEHAVIOURS,
  ...FLOOD_BEHAVIOURS,
  ...STREAM_BEHAVIOURS,
];

export const BEHAVIOURS: readonly Behaviour[] = [...PEER_BEHAVIOURS, ...STRANGER_BEHAVIOURS];
