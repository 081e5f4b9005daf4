import { Socket } from 'node:net';
import pg from 'pg';

const CONNECT_TIMEOUT_MS = 3_000;
const QUERY_TIMEOUT_MS = 10_000;

export type Row = Readonly<Record<string, string | null>>;

/** A connection to an embedded database. It does not reconnect: who uses it decides when. */
export class DatabaseClient {
  readonly #client: pg.Client;
  readonly #socket: Socket;

  private constructor(client: pg.Client, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
  }

  /** Connects to 127.0.0.1; rejects when nobody answers there. */
  static async connect(port: number): Promise<DatabaseClient> {
    const socket = new Socket();
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      database: 'postgres',
      ssl: false,
      stream: () => socket,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    });
    // A connection that breaks rejects the query in progress or the next one, which is enough.
    client.on('error', () => {});
    try {
      await client.connect();
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new DatabaseClient(client, socket);
  }

  /**
   * Runs one statement. Without parameters on purpose: that makes it one message, and the
   * embedded database takes messages of several connections in any order.
   */
  async query(statement: string): Promise<Row[]> {
    const { rows } = await this.#client.query<Record<string, string | null>>(statement);
    return rows;
  }

  literal(text: string): string {
    return pg.escapeLiteral(text);
  }

  close(): void {
    this.#socket.destroy();
  }
}
