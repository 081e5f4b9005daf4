import { setTimeout as pause } from 'node:timers/promises';
import { types } from 'node:util';
import { errorText, NETWORK_CAP_MS, nextDelayMs, REFUSAL_CAP_MS } from '@routy/proto/base';
import { expectMs } from '../arguments/arguments.ts';
import { invalidArgument, LinkError } from '../transport/link-error.ts';
import type {
  ConversationOptions,
  ConversationStatus,
  PeerAccess,
  RetryInfo,
} from './behaviour.ts';
import type { MessageChannel } from './channel.ts';
import { following, onAbort } from '../transport/deadline.ts';
import { ConversationError, failureOf, guarded, raced, retryKind } from './failure.ts';
import { Turn } from './turn.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Longest waits by what failed, in ms. */
const CAP_MS = { network: NETWORK_CAP_MS, shortage: REFUSAL_CAP_MS, refusal: REFUSAL_CAP_MS };

/** A peer that drains is asked again after this long, or half of it, in ms. */
const DRAINING_MS = 1_000;

/** What lives as long as one channel. */
interface Establishment<Message> {
  readonly peer: PeerAccess<Message>;
  readonly channel: MessageChannel<Message>;
  readonly controller: AbortController;
}

/** A conversation that opens its channel again whenever it is lost, until its signal fires. */
export class Conversation<Message, Request, Answer> {
  /** Resolves once, last: with nothing when it was stopped, with the failure of a callback otherwise. */
  readonly ended: Promise<ConversationError | undefined>;
  readonly #options: ConversationOptions<Message, Request, Answer>;
  readonly #stop: AbortController;
  readonly #waiting = new Set<() => void>();
  #live: Establishment<Message> | undefined;
  #failedAttempts = 0;
  readonly #status: Mutable<ConversationStatus> = {
    state: 'opening',
    establishments: 0,
    retries: 0,
    callbackErrors: 0,
    drops: 0,
    lastFailure: undefined,
  };

  constructor(options: ConversationOptions<Message, Request, Answer>) {
    this.#options = options;
    this.#stop = new AbortController();
    const stop = () =>
      this.#stop.abort(
        new ConversationError('conversation-stopped', 'the conversation was stopped'),
      );
    if (options.signal.aborted) stop();
    onAbort(options.signal, stop);
    this.ended = this.#run().finally(() => options.signal.removeEventListener('abort', stop));
  }

  /** How it stands, and counts since it was begun. */
  get status(): ConversationStatus {
    return { ...this.#status };
  }

  /**
   * Asks the behaviour; waits for an establishment if there is none, `timeoutMs` in all: more than 0, to
   * nearly 25 days.
   *
   * @throws ConversationError `call-timeout`, or why the establishment ended; LinkError `argument-invalid`
   */
  async call(request: Request, timeoutMs: number): Promise<Answer> {
    if (timeoutMs === undefined) throw invalidArgument('timeoutMs', 'given, in ms', timeoutMs);
    expectMs('timeoutMs', timeoutMs, 1);
    this.#mustHave('call');
    const waiting = following(this.#stop.signal);
    const late = new ConversationError('call-timeout', `no answer within ${timeoutMs} ms`);
    const timer = setTimeout(() => waiting.controller.abort(late), timeoutMs);
    try {
      const { peer, controller } = await this.#establishment(waiting.controller.signal);
      const lost = () => waiting.controller.abort(controller.signal.reason);
      if (controller.signal.aborted) lost();
      onAbort(controller.signal, lost);
      try {
        const { signal } = waiting.controller;
        const access = { send: peer.send, signal };
        const answer = this.#callback('call', signal, (own) => own.call?.(request, access));
        return (await raced(signal, answer)) as Answer;
      } finally {
        controller.signal.removeEventListener('abort', lost);
      }
    } finally {
      clearTimeout(timer);
      waiting.leave();
    }
  }

  /**
   * Tells the behaviour. False, and counted as dropped, while the conversation is not established.
   *
   * @throws LinkError `argument-invalid` when the behaviour has no `cast`
   */
  cast(request: Request): boolean {
    this.#mustHave('cast');
    const live = this.#live;
    if (live === undefined) {
      this.#status.drops++;
      return false;
    }
    // What it throws has ended the conversation by then.
    const { peer } = live;
    this.#callback('cast', peer.signal, (own) => own.cast?.(request, peer)).catch(() => {});
    return true;
  }

  /** Nobody would answer, and an answer of undefined would be nobody's. */
  #mustHave(method: 'call' | 'cast'): void {
    if (this.#options.behaviour[method] !== undefined) return;
    throw new LinkError('argument-invalid', `the behaviour has no ${method}`, {
      hint: `give it ${method}(request, access), to which the conversation hands what is asked`,
    });
  }

  async #run(): Promise<ConversationError | undefined> {
    const { signal } = this.#stop;
    try {
      signal.throwIfAborted();
      await this.#callback('init', signal, (own) => own.init?.(signal));
      while (!signal.aborted) await this.#again(await this.#once());
    } catch (error) {
      // What has stopped it; otherwise what its owner gave has thrown, as `random01`.
      if (!signal.aborted) this.#failed(failureOf('conversation-callback', error));
    }
    const failure = signal.reason as ConversationError;
    this.#enter('ended');
    return failure.code === 'conversation-stopped' ? undefined : failure;
  }

  /** Opens a channel and stays until it is over; says why it is. */
  async #once(): Promise<ConversationError> {
    const { controller, leave } = following(this.#stop.signal);
    this.#enter('opening');
    let sinceMs = Infinity;
    try {
      const channel = await this.#open(controller.signal);
      sinceMs = performance.now();
      const { signal } = controller;
      const send = (message: Message) => this.#send({ channel, controller }, message);
      await this.#talk({ channel, controller, peer: { send, signal } });
    } catch (error) {
      if (!controller.signal.aborted) controller.abort(error);
    } finally {
      leave();
    }
    // One that is lost as soon as it is up is no better than one that does not come up.
    const lasted = performance.now() - sinceMs >= NETWORK_CAP_MS;
    const failure = controller.signal.reason as ConversationError;
    if (lasted) this.#failedAttempts = 0;
    // That it stops in order is no failure, and says nothing of how it will be when it is back.
    else if (retryKind(failure) !== 'draining') this.#failedAttempts += 1;
    return failure;
  }

  async #open(signal: AbortSignal): Promise<MessageChannel<Message>> {
    let failures = 0;
    const goesOn = (error: unknown, delayMs: number): void => {
      if (signal.aborted) return;
      const failure = failureOf('conversation-open', error);
      const info = {
        attempt: this.#failedAttempts + failures++,
        ...{ delayMs, kind: retryKind(failure) },
      };
      this.#count(failure);
      // What it throws has ended the conversation by then.
      this.#tellRetry(failure, info, signal).catch(() => {});
    };
    const opening = Promise.resolve().then(() => this.#options.open(signal, goesOn));
    try {
      return await raced(signal, opening);
    } catch (error) {
      // It may come after all: nobody wants it any more.
      if (signal.aborted) opening.then((channel) => channel.close()).catch(() => {});
      throw failureOf('conversation-open', error);
    }
  }

  async #talk(live: Establishment<Message>): Promise<void> {
    const { channel, controller, peer } = live;
    const { signal } = controller;
    const end = (error: unknown) => controller.abort(failureOf('conversation-lost', error));
    const closed = new ConversationError('conversation-closed', 'the peer closed the channel');
    channel.closed.then((error) => end(error ?? closed), end);
    try {
      const establishment = ++this.#status.establishments;
      const info = { establishment, failedAttempts: this.#failedAttempts };
      await this.#callback('established', signal, (own) => own.established?.(info, peer));
      signal.throwIfAborted();
      this.#live = live;
      this.#enter('established');
      for (const resolve of this.#waiting) resolve();
      const sink = this.#sink(live).then(() => end(closed), end);
      const source = this.#source(live).catch(end);
      await Promise.all([sink, source]);
    } finally {
      this.#live = undefined;
      channel.close();
    }
  }

  /** The half that takes messages of the peer. */
  async #sink({ channel, peer }: Establishment<Message>): Promise<void> {
    const messages = channel.messages[Symbol.asyncIterator]();
    const turn = new Turn();
    for (;;) {
      if (turn.isOver) await turn.next();
      const { done, value } = await raced(peer.signal, messages.next());
      if (done === true) return;
      await this.#callback('message', peer.signal, (own) => own.message?.(value, peer));
    }
  }

  /** The half that makes messages for the peer: `send` waits for credit, and only then is asked. */
  async #source({ peer }: Establishment<Message>): Promise<void> {
    if (this.#options.behaviour.next === undefined) return;
    const turn = new Turn();
    for (;;) {
      if (turn.isOver) await turn.next();
      const asked = this.#callback('next', peer.signal, (own) => own.next?.(peer.signal));
      const message = await raced(peer.signal, asked);
      if (message === undefined) return;
      await this.#callback('next', peer.signal, () => peer.send(message));
    }
  }

  async #send(
    { channel, controller }: Pick<Establishment<Message>, 'channel' | 'controller'>,
    message: Message,
  ): Promise<void> {
    try {
      await raced(controller.signal, channel.send(message));
    } catch (error) {
      // The next one would meet the same message: that is for its owner to know, and for nobody to repeat.
      if (channel.isOpen && !controller.signal.aborted)
        throw new ConversationError('message-refused', errorText(error), error);
      controller.abort(failureOf('conversation-lost', error));
      throw controller.signal.reason as ConversationError;
    }
  }

  async #again(failure: ConversationError): Promise<void> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const attempt = this.#failedAttempts;
    const kind = retryKind(failure);
    const random01 = this.#random01();
    const delayMs =
      kind === 'draining'
        ? Math.ceil((0.5 + random01 / 2) * DRAINING_MS)
        : nextDelayMs({ attempt, random01, capMs: CAP_MS[kind] });
    this.#count(failure);
    this.#enter('backoff');
    await this.#tellRetry(failure, { attempt, delayMs, kind }, signal);
    await pause(delayMs, undefined, { signal });
  }

  #count(failure: ConversationError): void {
    this.#status.retries++;
    this.#status.lastFailure = failure;
  }

  /** It has no signal to heed. */
  async #tellRetry(
    failure: ConversationError,
    info: RetryInfo,
    signal: AbortSignal,
  ): Promise<void> {
    const told = this.#callback('retry', signal, (own) => own.retry?.(failure, info));
    await raced(signal, told);
  }

  /** @throws ConversationError when its owner gave one that gives no such number */
  #random01(): number {
    const { random01 = Math.random } = this.#options;
    const value = random01();
    if (value >= 0 && value < 1) return value;
    throw new ConversationError('conversation-callback', `random01 gave ${value}, not 0 to 1`);
  }

  async #establishment(signal: AbortSignal): Promise<Establishment<Message>> {
    while (this.#live === undefined) {
      let wake = () => {};
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      this.#waiting.add(wake);
      try {
        await raced(signal, woken);
      } finally {
        this.#waiting.delete(wake);
      }
    }
    return this.#live;
  }

  /** Runs a callback; what it throws is counted and stops the conversation. */
  async #callback<T>(
    name: string,
    signal: AbortSignal,
    run: (own: ConversationOptions<Message, Request, Answer>['behaviour']) => T | Promise<T>,
  ): Promise<T> {
    try {
      return await guarded(name, signal, () => run(this.#options.behaviour));
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof ConversationError) || error.code !== 'conversation-callback') return;
    // The same one may pass by again on its way out.
    if (this.#status.lastFailure === error) return;
    this.#status.callbackErrors++;
    if (this.#stop.signal.aborted) return;
    this.#status.lastFailure = error;
    this.#stop.abort(error);
  }

  #enter(state: ConversationStatus['state']): void {
    this.#status.state = state;
    const failed = (error: unknown) => {
      const message = `status: ${errorText(error)}`;
      this.#failed(new ConversationError('conversation-callback', message, error));
    };
    try {
      const told: unknown = this.#options.behaviour.status?.(this.status);
      // Nobody waits for it, and it fails as one that throws.
      if (types.isPromise(told)) told.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
