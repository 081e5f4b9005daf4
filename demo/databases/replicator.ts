import type { SiteName } from '../processes.ts';
import type { Stage } from '../stage.ts';
import { DatabaseClient, type Row } from './database-client.ts';

const POLL_MS = 50;
const RECONNECT_MS = 100;
const BATCH_ROWS_MAX = 500;

interface ReplicatorOptions {
  /** Whose rows are copied. */
  readonly origin: SiteName;
  /** Port of 127.0.0.1 that leads to the database of `origin`: a forward of this side's node. */
  readonly fromPort: number;
  /** Port of this side's own database. */
  readonly intoPort: number;
}

/**
 * Copies the rows that the other site wrote into this site's database, for ever, connecting anew
 * whenever a connection breaks. It keeps its position where the rows are, so a row is never copied
 * twice. It relies on rows becoming visible in the order of their ids, which holds here because an
 * embedded database runs one statement at a time.
 */
export class Replicator {
  /** Times it lost a connection that worked. */
  connectionsLost = 0;
  readonly #options: ReplicatorOptions;
  readonly #stage: Stage;
  #stopped = false;
  #clients: DatabaseClient[] = [];
  readonly #ended: Promise<void>;

  constructor(stage: Stage, options: ReplicatorOptions) {
    this.#stage = stage;
    this.#options = options;
    this.#ended = this.#run();
    stage.onEnd(() => this.stop());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#closeAll();
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopped && !this.#stage.signal.aborted) {
      try {
        await this.#copyUntilBroken();
      } catch {
        // Whatever broke, the answer of a replicating database is the same: connect again.
      }
      this.#closeAll();
      await this.#stage.sleep(RECONNECT_MS).catch(() => {});
    }
  }

  async #copyUntilBroken(): Promise<void> {
    const from = await this.#connect(this.#options.fromPort);
    const into = await this.#connect(this.#options.intoPort);
    const { origin } = this.#options;
    const [position] = await into.query(
      `SELECT coalesce(max(id), 0)::text AS id FROM orders WHERE site = '${origin}'`,
    );
    let lastId = Number(position?.id ?? 0);
    try {
      while (!this.#stopped) {
        const rows = await from.query(
          `SELECT id::text, item FROM orders WHERE site = '${origin}' AND id > ${lastId}
            ORDER BY orders.id LIMIT ${BATCH_ROWS_MAX}`,
        );
        if (rows.length > 0) {
          await into.query(insertion(into, origin, rows));
          lastId = Number(rows.at(-1)!.id);
        } else {
          await this.#stage.sleep(POLL_MS);
        }
      }
    } finally {
      if (!this.#stopped) this.connectionsLost += 1;
    }
  }

  async #connect(port: number): Promise<DatabaseClient> {
    const client = await DatabaseClient.connect(port);
    this.#clients.push(client);
    return client;
  }

  #closeAll(): void {
    for (const client of this.#clients) client.close();
    this.#clients = [];
  }
}

function insertion(into: DatabaseClient, origin: SiteName, rows: readonly Row[]): string {
  const values = rows.map(({ id, item }) => `('${origin}', ${id}, ${into.literal(item ?? '')})`);
  return `INSERT INTO orders (site, id, item) VALUES ${values.join(', ')}`;
}
