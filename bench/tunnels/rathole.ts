import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort, runToEnd, start } from '../processes.ts';
import { type Ports, type Tunnel, type TunnelKind, whenReady } from './tunnel.ts';

/** rathole with its Noise transport, the one of its encrypted transports that needs no CA. */
export const rathole: TunnelKind = {
  name: 'rathole',
  note: 'Noise_NK_25519_ChaChaPoly_BLAKE2s',
  missing: () =>
    findProgram('rathole') === null ? 'rathole not found; run: bench/peers.sh' : null,
  start: startRathole,
};

async function startRathole(services: Ports, dir: string): Promise<Tunnel> {
  const program = findProgram('rathole')!;
  const listen = `127.0.0.1:${await freePort()}`;
  const ports: Ports = { bulk: await freePort(), echo: await freePort() };
  const keys = await runToEnd('rathole --genkey', program, ['--genkey']);
  const [, privateKey, publicKey] = /Private Key:\s*(\S+)\s+Public Key:\s*(\S+)/.exec(keys) ?? [];
  if (privateKey === undefined) throw new Error(`rathole --genkey printed no keys:\n${keys}`);

  const serverFile = join(dir, 'server.toml');
  writeFileSync(
    serverFile,
    `[server]
bind_addr = "${listen}"
default_token = "bench"
[server.transport]
type = "noise"
[server.transport.noise]
local_private_key = "${privateKey}"
[server.services.bulk]
bind_addr = "127.0.0.1:${ports.bulk}"
[server.services.echo]
bind_addr = "127.0.0.1:${ports.echo}"
`,
  );
  const clientFile = join(dir, 'client.toml');
  writeFileSync(
    clientFile,
    `[client]
remote_addr = "${listen}"
default_token = "bench"
[client.transport]
type = "noise"
[client.transport.noise]
remote_public_key = "${publicKey}"
[client.services.bulk]
local_addr = "127.0.0.1:${services.bulk}"
[client.services.echo]
local_addr = "127.0.0.1:${services.echo}"
`,
  );
  const quiet = { RUST_LOG: 'error' };
  const server = start('rathole --server', program, ['--server', serverFile], quiet);
  const client = start('rathole --client', program, ['--client', clientFile], quiet);
  const pids = () => ({ red: [client.pid], gray: [server.pid] });
  return whenReady('rathole', ports, pids, [client, server]);
}
