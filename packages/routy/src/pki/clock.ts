/** Milliseconds since 1970. Handed in where certificates and invites are judged, so that tests can move it. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();

export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;
