import { findProgram, freePort, start } from '../processes.ts';
import { type Ports, type Tunnel, type TunnelKind, whenReady } from './tunnel.ts';

/** chisel with reverse remotes: SSH over a WebSocket, always encrypted. */
export const chisel: TunnelKind = {
  name: 'chisel',
  note: 'SSH over WebSocket',
  missing: () =>
    findProgram('chisel') === null
      ? 'chisel not found; bench/peers.sh says where it is to be had'
      : null,
  start: startChisel,
};

async function startChisel(services: Ports): Promise<Tunnel> {
  const program = findProgram('chisel')!;
  const port = await freePort();
  const ports: Ports = { bulk: await freePort(), echo: await freePort() };
  const auth = ['--auth', 'bench:bench'];
  const server = start('chisel server', program, [
    ...['server', '--host', '127.0.0.1', '--port', String(port), '--reverse'],
    ...auth,
  ]);
  const remotes = (['bulk', 'echo'] as const).map(
    (name) => `R:127.0.0.1:${ports[name]}:127.0.0.1:${services[name]}`,
  );
  const client = start('chisel client', program, [
    ...['client', '--max-retry-interval', '200ms', ...auth],
    `http://127.0.0.1:${port}`,
    ...remotes,
  ]);
  const pids = () => ({ red: [client.pid], gray: [server.pid] });
  return whenReady('chisel', ports, pids, [client, server]);
}
