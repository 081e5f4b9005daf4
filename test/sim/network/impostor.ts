import { FrameDecoder } from '../../../packages/proto/src/wire/frame-decoder.ts';
import { FrameWriter } from '../../../packages/proto/src/wire/frame-writer.ts';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { type Hello, parseHello } from '../../../packages/proto/src/wire/payload.ts';
import type { LaneEnd, SimLane } from './lane.ts';
import type { World } from '../world.ts';

/** What it answers to a dialler that wants to join a lane to its session. */
const ANSWERS = [
  'wrong-proof',
  'no-proof',
  'other-session',
  'other-epoch',
  'early-frame',
  'close',
  'silence',
  'end',
] as const;

/** Somebody with the acceptor's certificate who does not know the session's secret. */
export class Impostor {
  readonly #world: World;
  readonly #end: LaneEnd;
  readonly #decoder: FrameDecoder;

  constructor(world: World, lane: SimLane) {
    this.#world = world;
    this.#end = lane.ends[1];
    lane.crooked = true;
    this.#decoder = new FrameDecoder({
      onFrame: ({ type }, payload) => {
        if (type === FrameType.HELLO) this.#answer(parseHello(payload));
      },
      onData: () => {},
    });
    this.#end.bind({
      onBytes: (bytes) => this.#decoder.push(bytes),
      onRoom: () => {},
      onClosed: () => {},
    });
  }

  #answer(hello: Hello): void {
    const { random } = this.#world;
    const kind = random.pick(ANSWERS);
    this.#world.note(`impostor: ${kind}`);
    if (kind === 'silence') return;
    const writer = new FrameWriter();
    const { id, epoch } = hello.session;
    const say = (session: Hello['session']) =>
      writer.json(FrameType.HELLO, 0, 0, { ...hello, ...GRAY, session });
    if (kind === 'wrong-proof') say({ id, epoch, proof: random.hex(64) });
    if (kind === 'no-proof') say({ id, epoch, secret: random.hex(64) });
    if (kind === 'other-session') say({ id: random.hex(32), epoch, proof: random.hex(64) });
    if (kind === 'other-epoch') say({ id, epoch: epoch + 1, proof: random.hex(64) });
    if (kind === 'early-frame') writer.goaway();
    if (kind === 'close') writer.close(random.pick(['not-authorized', 'shutdown']), 'go away');
    const pieces: Uint8Array[] = [];
    writer.drainTo(pieces);
    this.#end.write(pieces);
    if (kind === 'end' || kind === 'close') this.#end.end();
  }
}

const GRAY = { fabric: 'sim', site: 'gray', node: 'gray1' };
