import type { LaneLink } from './lane-link.ts';

/** Bytes asked of the session at a time. */
const TRANSMIT_BYTES = 128 * 1024;

/** Who has something for the lanes: see `Session.pollTransmit`. */
interface Source {
  pollTransmit(laneId: number, bytesMax: number): Uint8Array[] | undefined;
}

/**
 * The lanes of a session take turns at what it has to send. Each time another one begins: what has
 * come of a bulk stream, or of its credit, is often no more than one lane takes at once, and with the
 * same lanes always first the others would run empty.
 */
export class LaneTurns {
  #first = 0;

  /**
   * Until no lane takes any more, or `source` has nothing left. However many rounds of turns that are,
   * the next one to begin is the neighbour: counted by rounds, of which the last brings nothing, every
   * other lane would never begin.
   */
  transmit(links: readonly LaneLink[], source: Source): void {
    const first = this.#first;
    while (takeTurns(links, first, source)) this.#first = first + 1;
  }
}

/** False: there was nothing for any of them. */
function takeTurns(links: readonly LaneLink[], first: number, source: Source): boolean {
  let wrote = false;
  for (let i = 0; i < links.length; i++) {
    const link = links[(first + i) % links.length]!;
    if (link.full || link.gone) continue;
    const buffers = source.pollTransmit(link.laneId, TRANSMIT_BYTES);
    if (buffers === undefined) continue;
    link.full = !link.lane.write(buffers);
    wrote = true;
  }
  return wrote;
}
