import type { Lane, LaneListener, ListenOptions, TlsCredentials } from '@routy/link/transport';
import { formatAddress, formatHostPort, RoutyError, type TcpAddress } from '@routy/proto/base';
import { addressesCollide } from '../config/listening.ts';
import { serveEnrolment } from '../enrol/enrol-join.ts';
import type { EnrolmentEvent } from '../enrol/enrol-protocol.ts';
import type { NodeEvents } from '../events/node-events.ts';

export interface LanesListenerOptions {
  /** `listenLanes`, of the data plane in use. */
  readonly listen: (options: ListenOptions) => Promise<LaneListener>;
  /** Asked at every connection. */
  readonly credentials: () => TlsCredentials;
  /** Absolute; where enrolments are recorded. */
  readonly stateDir: string;
  readonly events: Pick<NodeEvents, 'laneRefused' | 'enrolment' | 'lanesError' | 'lanesListening'>;
  readonly onLane: (lane: Lane) => void;
}

/**
 * The one address where other nodes dial this one, which a reload may move, open or close. Lanes
 * that came in live on whatever becomes of it.
 */
export class LanesListener {
  readonly #options: LanesListenerOptions;
  #current: LaneListener | undefined;
  /** As configured: port 0 where the system chooses. */
  #wanted: TcpAddress | undefined;
  #closed = false;

  constructor(options: LanesListenerOptions) {
    this.#options = options;
  }

  /** The socket that listens now; undefined on a node that only dials. */
  get current(): LaneListener | undefined {
    return this.#current;
  }

  /**
   * The first `listen`: an address that cannot be had yet, as of an interface that is not up, is
   * reported and tried again.
   *
   * @throws RoutyError `credentials-invalid`
   */
  async start(address: TcpAddress | undefined): Promise<void> {
    this.#wanted = address;
    this.#current = address && (await this.#open(address, true));
  }

  /**
   * Listens on `address` and on no other, with undefined on none. When that fails, what listened
   * before goes on. Not to be called again before it is done.
   *
   * @throws RoutyError `listen-…` (see `listenLanes`), `credentials-invalid`
   */
  async listen(address: TcpAddress | undefined): Promise<void> {
    if (this.#closed || sameAddress(address, this.#wanted)) return;
    const before = this.#current;
    this.#current = address && (await this.#openBeside(before, address));
    this.#wanted = address;
    await before?.close();
    // A node that was stopped meanwhile has closed only what there was.
    if (this.#closed) await this.#current?.close();
  }

  /** Stops listening for good. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#current?.close();
  }

  async #openBeside(before: LaneListener | undefined, address: TcpAddress): Promise<LaneListener> {
    try {
      return await this.#open(address);
    } catch (error) {
      const inUse = error instanceof RoutyError && error.code === 'listen-in-use';
      if (!inUse || before === undefined || !addressesCollide(before.address, address)) throw error;
      return this.#openInPlaceOf(before, address);
    }
  }

  /** `0.0.0.0:7443` cannot be had beside `127.0.0.1:7443`: that one has to go first. */
  async #openInPlaceOf(before: LaneListener, address: TcpAddress): Promise<LaneListener> {
    await before.close();
    try {
      return await this.#open(address);
    } catch (error) {
      this.#current = await this.#open(before.address, true);
      if (this.#closed) await this.#current.close();
      throw error;
    }
  }

  /** With `insist`, a failure is told and tried again in place of thrown. */
  #open(address: TcpAddress, insist = false): Promise<LaneListener> {
    const { listen, credentials, stateDir, events, onLane } = this.#options;
    const name = formatHostPort(address.host, address.port);
    return listen({
      address,
      credentials,
      insist,
      handlers: {
        onLane,
        onRefused: (refusal) => events.laneRefused(refusal),
        onEnrol: (socket, remote, proved) => {
          const log = (event: EnrolmentEvent) => events.enrolment(event);
          void serveEnrolment(socket, { stateDir, remote, log, proved });
        },
        onError: (error) => events.lanesError(name, error),
        onReopened: () => events.lanesListening(name),
      },
    });
  }
}

function sameAddress(a: TcpAddress | undefined, b: TcpAddress | undefined): boolean {
  return (a && formatAddress(a)) === (b && formatAddress(b));
}
