import { findProgram, freePort, start } from '../processes.ts';
import { type Ports, type Tunnel, type TunnelKind, whenListening, whenReady } from './tunnel.ts';

/** bore's control port is fixed, so its server gets a loopback address of its own. */
const SERVER_ADDRESS = '127.78.35.1';
const CONTROL_PORT = 7835;

/** bore (0.6 or newer, for --bind-addr): no encryption, one client process for each port. */
export const bore: TunnelKind = {
  name: 'bore',
  note: 'NOT encrypted',
  missing: () => (findProgram('bore') === null ? 'bore not found; run: bench/peers.sh' : null),
  start: startBore,
};

async function startBore(services: Ports): Promise<Tunnel> {
  const program = findProgram('bore')!;
  const ports: Ports = { bulk: await freePort(), echo: await freePort() };
  const quiet = { RUST_LOG: 'error' };
  const secret = ['--secret', 'bench'];
  const bind = ['--bind-addr', SERVER_ADDRESS, '--bind-tunnels', '127.0.0.1'];
  const server = start('bore server', program, ['server', ...bind, ...secret], quiet);
  await whenListening(`${SERVER_ADDRESS}:${CONTROL_PORT}`, server);
  const clients = (['bulk', 'echo'] as const).map((name) =>
    start(
      `bore local (${name})`,
      program,
      [
        ...['local', String(services[name]), '--local-host', '127.0.0.1'],
        ...['--to', SERVER_ADDRESS, '--port', String(ports[name]), ...secret],
      ],
      quiet,
    ),
  );
  const pids = () => ({ red: clients.map(({ pid }) => pid), gray: [server.pid] });
  return whenReady('bore', ports, pids, [...clients, server]);
}
