/**
 * One embedded PostgreSQL on a TCP port of 127.0.0.1, in a process of its own:
 * `node database-process.js PORT`. Says on stdout when it takes connections, and ends with its
 * stdin, so it never outlives the demo.
 */
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

/** PGlite runs one query at a time; its server queues those of several connections. */
const CONNECTIONS_MAX = 32;

process.stdin.on('close', () => process.exit(0)).resume();

const db = await PGlite.create();
const server = new PGLiteSocketServer({
  db,
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  maxConnections: CONNECTIONS_MAX,
});
await server.start();
process.stdout.write('ready\n');
