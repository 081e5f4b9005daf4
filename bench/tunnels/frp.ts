import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, start } from '../processes.ts';
import { type Ports, type Tunnel, type TunnelKind, whenReady } from './tunnel.ts';

/** frp (0.52 or newer, for TOML) with its default TLS and stream multiplexing. */
export const frp: TunnelKind = {
  name: 'frp',
  note: 'TLS, tcpMux',
  missing() {
    const absent = ['frps', 'frpc'].filter((name) => findProgram(name) === null);
    return absent.length === 0
      ? null
      : `${absent.join(' and ')} not found; bench/peers.sh says where they are to be had`;
  },
  start: startFrp,
};

async function startFrp(services: Ports, dir: string): Promise<Tunnel> {
  const port = await freePort();
  const ports: Ports = { bulk: await freePort(), echo: await freePort() };
  const common = 'auth.token = "bench"\nlog.to = "console"\nlog.level = "error"\n';
  const serverFile = join(dir, 'frps.toml');
  writeFileSync(
    serverFile,
    `bindAddr = "127.0.0.1"
bindPort = ${port}
proxyBindAddr = "127.0.0.1"
transport.tls.force = true
${common}`,
  );
  const clientFile = join(dir, 'frpc.toml');
  const proxies = (['bulk', 'echo'] as const).map(
    (name) => `[[proxies]]
name = "${name}"
type = "tcp"
localIP = "127.0.0.1"
localPort = ${services[name]}
remotePort = ${ports[name]}
`,
  );
  writeFileSync(
    clientFile,
    `serverAddr = "127.0.0.1"
serverPort = ${port}
loginFailExit = false
${common}
${proxies.join('\n')}`,
  );
  const server = start('frps', findProgram('frps')!, ['-c', serverFile]);
  const client = start('frpc', findProgram('frpc')!, ['-c', clientFile]);
  const pids = () => ({ red: [client.pid], gray: [server.pid] });
  return whenReady('frp', ports, pids, [client, server]);
}
