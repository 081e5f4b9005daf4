import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Stands in for the firewall between the sites: a port through which red reaches the port where
 * gray's node listens, and nothing else. There is no way from gray to red.
 */
export class Firewall {
  /** Connections that passed so far. */
  passed = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #isShut = false;

  private constructor(grayPort: number) {
    this.#server = createServer((red) => {
      if (this.#isShut) {
        red.resetAndDestroy();
        return;
      }
      this.passed += 1;
      const gray = connect({ host: '127.0.0.1', port: grayPort, noDelay: true });
      red.setNoDelay(true);
      this.#join(red, gray);
      this.#join(gray, red);
    });
  }

  static async start(port: number, grayPort: number): Promise<Firewall> {
    const firewall = new Firewall(grayPort);
    firewall.#server.listen({ host: '127.0.0.1', port });
    await once(firewall.#server, 'listening');
    return firewall;
  }

  /** Resets every connection that passes now, as a firewall does that lost its state. */
  cut(): void {
    for (const socket of this.#open) {
      // A reset of a socket that is about to shut down fails and leaves it open for good.
      if (socket.writableEnded || socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  /** Resets all, and every connection that comes, until it is opened. */
  shut(): void {
    this.#isShut = true;
    this.cut();
  }

  open(): void {
    this.#isShut = false;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(from: Socket, to: Socket): void {
    this.#open.add(from);
    from.pipe(to);
    from.on('error', () => {});
    from.on('close', (failed) => {
      this.#open.delete(from);
      if (failed) to.destroy();
    });
  }
}
