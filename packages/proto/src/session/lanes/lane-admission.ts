import type { Hello } from '../../wire/payload.ts';
import type { SessionOptions } from '../options.ts';
import {
  judgeAnswer,
  judgeHello,
  type Prove,
  type Refusal,
  readHello,
  sameText,
} from './handshake.ts';

type SessionPart = Hello['session'];

/** Lanes dialled at once may overtake one another by so many epochs. */
const OVERTAKEN_MAX = 64;

/**
 * How lanes join a session: the first one makes its secret known, each further one proves to know
 * it, and no epoch joins twice, nor one that the dialler has given up.
 */
export class LaneAdmission {
  readonly #options: SessionOptions;
  /** Empty for a dialler until the first lane was answered. */
  #secret: string;
  /** Highest of all lanes so far. */
  #epoch = 0;
  /** Acceptor: those of the latest that have joined or never will. */
  readonly #spent = new Set<number>();

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#secret = options.secret;
  }

  /** Dialler: what HELLO says of the session on its next lane. */
  next(prove: Prove): SessionPart {
    const epoch = ++this.#epoch;
    const { sessionId: id, replaces } = this.#options;
    if (this.#secret !== '') return { id, epoch, proof: prove(this.#secret, epoch, 'dialler') };
    return { id, epoch, ...(replaces !== undefined && { replaces }) };
  }

  /** Dialler: the acceptor's HELLO on a lane, or why it is no good. */
  readAnswer(payload: Uint8Array, epoch: number, prove: Prove): Hello | Refusal {
    const hello = readHello(payload);
    if ('code' in hello) return hello;
    const refusal = judgeHello(this.#options, hello);
    return refusal ?? this.judgeAnswer(hello.session, epoch, prove) ?? hello;
  }

  /** Dialler: why what the answer on a lane says of the session is no good; undefined when it is. */
  judgeAnswer(answer: SessionPart, epoch: number, prove: Prove): Refusal | undefined {
    const session = { id: this.#options.sessionId, epoch, secret: this.#secret };
    const refusal = judgeAnswer(answer, session, prove);
    if (refusal === undefined && this.#secret === '') this.#secret = answer.secret!;
    return refusal;
  }

  /** Acceptor: why a lane may not join; undefined when it may. */
  judge({ id, epoch, proof }: SessionPart, prove: Prove): Refusal | undefined {
    if (this.#isStale(epoch)) {
      const reason = `epoch ${epoch} of session ${id} is over, the latest is ${this.#epoch}`;
      return { code: 'stale-epoch', reason };
    }
    if (this.#epoch === 0) return undefined;
    if (proof !== undefined && sameText(proof, prove(this.#secret, epoch, 'dialler'))) {
      return undefined;
    }
    return {
      code: 'not-authorized',
      reason: 'the dialler does not know the secret of the session',
    };
  }

  /** Acceptor: takes a lane that was judged; what the answering HELLO says of the session. */
  admit({ id, epoch }: SessionPart, prove: Prove): SessionPart {
    const first = this.#epoch === 0;
    this.#epoch = Math.max(this.#epoch, epoch);
    this.bury(epoch);
    if (first) return { id, epoch, secret: this.#secret };
    return { id, epoch, proof: prove(this.#secret, epoch, 'acceptor') };
  }

  /** The epoch has joined, or the dialler has given it up: it may not join any more. */
  bury(epoch: number): void {
    if (Math.abs(epoch - this.#epoch) < OVERTAKEN_MAX) this.#spent.add(epoch);
    for (const old of this.#spent) {
      if (old <= this.#epoch - OVERTAKEN_MAX) this.#spent.delete(old);
    }
  }

  #isStale(epoch: number): boolean {
    return epoch <= this.#epoch - OVERTAKEN_MAX || this.#spent.has(epoch);
  }
}
