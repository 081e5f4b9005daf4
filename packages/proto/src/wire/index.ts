export type { LaneCode, StreamCode } from './codes.ts';
export type { Hello, OpenPayload } from './payload.ts';
