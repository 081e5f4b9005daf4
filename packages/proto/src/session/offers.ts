import type { FrameHeader } from '../wire/frame-decoder.ts';
import { FLAG_OFFERS_MORE, OFFERS_BYTES_MAX } from '../wire/layout.ts';
import { parseOffers } from '../wire/payload.ts';
import { ProtocolError } from '../wire/protocol-error.ts';
import type { EventQueue } from './events.ts';
import type { OffersPages } from './lanes/lane-state.ts';
import type { StreamLane } from './streams/stream.ts';

/** Most names of one list. */
export const OFFERS_NAMES_MAX = 32_768;

/** What a name costs in memory wherever it is kept and found again, roughly. */
const NAME_BYTES = 256;

/** The lists of services each side offers. They are numbered: several lanes may mix up their order. */
export class Offers {
  #pages: readonly (readonly string[])[] | undefined;
  #said = 0;
  #heard = 0;
  #heardNames = 0;

  /** This side's list from now on, said on the lane. Returns how many names it has no room for. */
  set(services: readonly string[], lane: StreamLane | undefined): number {
    this.#pages = pagesOf(services.slice(0, OFFERS_NAMES_MAX));
    this.#said++;
    this.say(lane);
    return Math.max(0, services.length - OFFERS_NAMES_MAX);
  }

  say(lane: StreamLane | undefined): void {
    const pages = this.#pages ?? [];
    pages.forEach((page, index) => {
      lane?.writer.offers(this.#said, page, index < pages.length - 1 ? FLAG_OFFERS_MORE : 0);
    });
  }

  /** Takes a page of the peer's. The last one of a list that is news makes an event of all of it. */
  hear(lane: StreamLane, header: FrameHeader, payload: Uint8Array, events: EventQueue): void {
    const number = header.offset;
    // The pages of a list come one after the other on one lane; another number begins another list.
    const before = lane.offers?.number === number ? lane.offers : undefined;
    lane.offers = undefined;
    if (number <= this.#heard) return;
    const page = parseOffers(payload);
    const list: OffersPages = before ?? { number, names: new Set(), count: 0 };
    list.count += page.length;
    if (list.count > OFFERS_NAMES_MAX) {
      throw new ProtocolError('frame-payload', `OFFERS of more than ${OFFERS_NAMES_MAX} names`);
    }
    // Page by page, so that nothing is left to do for the whole list in one go.
    for (const name of page) list.names.add(name);
    if ((header.flags & FLAG_OFFERS_MORE) !== 0) {
      if (page.length === 0) throw new ProtocolError('frame-payload', 'OFFERS with an empty page');
      lane.offers = list;
      return;
    }
    this.#heard = number;
    this.#heardNames = list.count;
    events.pushOffers(list.names);
  }

  /** Memory that the peer's lists take, those under way on `lanes` too. */
  heldBytes(lanes: Iterable<StreamLane>): number {
    let names = this.#heardNames;
    for (const { offers } of lanes) names += offers?.count ?? 0;
    return names * NAME_BYTES;
  }
}

/** At least one page: an empty list is said too. */
function pagesOf(services: readonly string[]): string[][] {
  const pages: string[][] = [[]];
  // As JSON: two brackets, and a comma less than there are names.
  let bytes = 1;
  for (const name of services) {
    // Two quotes and a comma. Names are ASCII.
    bytes += name.length + 3;
    if (bytes > OFFERS_BYTES_MAX) {
      pages.push([]);
      bytes = 1 + name.length + 3;
    }
    pages.at(-1)!.push(name);
  }
  return pages;
}
