import type { FrameHeader } from '../wire/decode.ts';
import { FLAG_OFFERS_MORE } from '../wire/layout.ts';
import { parseOffers } from '../wire/payload.ts';
import { ProtocolError } from '../wire/protocol-error.ts';
import type { EventQueue } from './events.ts';
import type { LaneState } from './lane-state.ts';

/** Most names of one list. */
export const OFFERS_NAMES_MAX = 32_768;

/** A list goes out in pages of about so much, so that the receiver does other things in between. */
const PAGE_BYTES = 64 * 1024 - 1;

/** What a name costs in memory wherever it is kept and found again, roughly. */
const NAME_BYTES = 256;

/** Pages of a list whose last one has not come yet. */
export interface OffersPages {
  readonly number: number;
  readonly names: string[];
}

/** The lists of services each side offers. They are numbered: several lanes may mix up their order. */
export class Offers {
  #pages: readonly (readonly string[])[] | undefined;
  #said = 0;
  #heard = 0;
  #heardNames = 0;

  /** This side's list from now on. */
  set(services: readonly string[]): void {
    this.#pages = pagesOf(services.slice(0, OFFERS_NAMES_MAX));
    this.#said++;
  }

  say(lane: LaneState | undefined): void {
    const pages = this.#pages ?? [];
    pages.forEach((page, index) => {
      lane?.writer.offers(this.#said, page, index < pages.length - 1 ? FLAG_OFFERS_MORE : 0);
    });
  }

  /** Takes a page of the peer's. The last one of a list that is news makes an event of all of it. */
  hear(lane: LaneState, header: FrameHeader, payload: Uint8Array, events: EventQueue): void {
    const number = header.offset;
    // The pages of a list come one after the other on one lane; another number begins another list.
    const before = lane.offers?.number === number ? lane.offers.names : [];
    lane.offers = undefined;
    if (number <= this.#heard) return;
    const page = parseOffers(payload);
    const names = before.length === 0 ? page : before;
    if (before.length > 0) for (const name of page) before.push(name);
    if (names.length > OFFERS_NAMES_MAX) {
      throw new ProtocolError('frame-payload', `OFFERS of more than ${OFFERS_NAMES_MAX} names`);
    }
    if ((header.flags & FLAG_OFFERS_MORE) !== 0) {
      if (page.length === 0) throw new ProtocolError('frame-payload', 'OFFERS with an empty page');
      lane.offers = { number, names };
      return;
    }
    this.#heard = number;
    this.#heardNames = names.length;
    events.push({ kind: 'offers', services: names });
  }

  /** Memory that the peer's lists take, those under way on `lanes` too. */
  heldBytes(lanes: Iterable<LaneState>): number {
    let names = this.#heardNames;
    for (const { offers } of lanes) names += offers?.names.length ?? 0;
    return names * NAME_BYTES;
  }
}

/** At least one page: an empty list is said too. */
function pagesOf(services: readonly string[]): string[][] {
  const pages: string[][] = [[]];
  let bytes = 0;
  for (const name of services) {
    // As JSON: two quotes and a comma. Names are ASCII.
    bytes += name.length + 3;
    if (bytes > PAGE_BYTES) {
      pages.push([]);
      bytes = name.length + 3;
    }
    pages.at(-1)!.push(name);
  }
  return pages;
}
