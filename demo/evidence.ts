import { RoutyError } from '@routy/proto/base';
import { columns } from '../packages/routy/src/cli/text/table.ts';
import { loadConfig } from '../packages/routy/src/config/load.ts';
import { type ProcessSocket, socketsOf } from './network/sockets.ts';
import type { Side } from './processes.ts';
import type { Ports, World } from './setup.ts';

/** Shows, and checks, that only red dials and that red's node listens for nobody outside. */
export async function showEvidence(world: World): Promise<void> {
  const { story, gray, red, ports, firewall } = world;
  story.heading('Who dials whom');
  if (loadConfig(red.configPath).listen !== undefined) throw contradicted('red.toml has [listen]');
  const [grayStatus, redStatus] = [await gray.admin.status(), await red.admin.status()];
  const seenByGray = grayStatus.peers[0];
  const seenByRed = redStatus.peers[0];
  if (seenByGray?.direction !== 'accepted' || seenByRed?.direction !== 'dialled') {
    throw contradicted('it was not red that dialled');
  }
  story.tell(
    'red.toml has no [listen]. "routy status" says:',
    `  gray   listens ${grayStatus.listening?.address}; ${seenByGray.name} ${seenByGray.direction}, ${seenByGray.session?.security}`,
    `  red    listens for no node; ${seenByRed.name} ${seenByRed.direction} at ${seenByRed.addresses.join(', ')}`,
    `Connections through the firewall since the beginning: ${firewall.passed}, all from red (join, then up).`,
  );
  tellSockets(world, gray);
  tellSockets(world, red);
  story.tell(
    '',
    `So gray's database is to connect to 127.0.0.1:${ports.grayToRed}, a port of its own side, to reach red's.`,
  );
}

/** The sockets of a node, as the system knows them. */
function tellSockets({ story, ports }: World, side: Side): void {
  const sockets = socketsOf(side.pid);
  if (sockets === undefined) return;
  story.tell(
    '',
    `Listening sockets and lanes of ${side.site}'s routy (pid ${side.pid}), as "ss -tnap" shows them:`,
  );
  const known = sockets.map((socket) => ({ socket, meaning: meaningOf(socket, ports) }));
  const rows = known
    .filter(({ meaning }) => meaning !== undefined)
    .map(({ socket, meaning }) => [
      socket.state,
      socket.state === 'LISTEN' ? socket.local : `${socket.local} -> ${socket.remote}`,
      meaning!,
    ]);
  story.tell(
    ...columns(
      rows.sort(([a], [b]) => b!.localeCompare(a!)),
      '  ',
    ),
  );
  const stranger = known.find(
    ({ socket, meaning }) => socket.state === 'LISTEN' && meaning === undefined,
  );
  if (stranger !== undefined) {
    throw contradicted(`${side.site}'s routy listens on ${stranger.socket.local}`);
  }
  const forOthers = sockets.some(({ localPort }) => localPort === ports.grayLanes);
  if (side.site === 'red' && forOthers) throw contradicted("red's routy accepts other nodes");
}

function meaningOf(socket: ProcessSocket, ports: Ports): string | undefined {
  if (socket.state === 'LISTEN') {
    switch (socket.localPort) {
      case ports.grayLanes:
        return 'other nodes dial here';
      case ports.grayToRed:
        return 'forward to red/postgres';
      case ports.grayToChecksum:
        return 'forward to red/checksum';
      case ports.redToGray:
        return "forward to gray/postgres, for red's own machine";
      default:
        return undefined;
    }
  }
  if (socket.localPort === ports.grayLanes) return 'a lane, accepted';
  if (socket.remotePort === ports.firewall) return 'a lane, dialled';
  return undefined;
}

function contradicted(what: string): RoutyError {
  return new RoutyError('demo-contradicted', `what the demo shows does not hold: ${what}`);
}
