import { randomBytes } from 'node:crypto';
import type { Attack, Behaviour } from './attack.ts';
import { selfSigned } from './papers.ts';

/** Many connections that say `bytes` and stay. */
function silent(
  name: string,
  count: number,
  bytes: Uint8Array,
  from = () => '127.0.0.1',
): Behaviour {
  return {
    name,
    round: async (attack) => {
      for (let index = 0; index < count && !attack.over; index += 1) {
        const socket = attack.keep(await attack.attacker.tcp(from()));
        socket.resume();
        if (bytes.length > 0) socket.write(bytes);
      }
      await attack.pause(200);
      attack.dropAll();
    },
  };
}

/** Connections that say `bytes`, wait for an end and come again. */
function saying(name: string, bytes: () => Uint8Array, from = () => '127.0.0.1'): Behaviour {
  return {
    name,
    round: async (attack) => {
      const socket = attack.keep(await attack.attacker.tcp(from()));
      socket.resume();
      socket.write(bytes());
      const untilMs = performance.now() + 300;
      await attack.rest(() => socket.destroyed || performance.now() > untilMs);
      attack.drop(socket);
    },
  };
}

/** TLS connections of whoever has no certificate of the fabric. */
function secured(
  name: string,
  alpn: readonly string[],
  then: (attack: Attack, socket: Awaited<ReturnType<Attack['attacker']['tls']>>) => Promise<void>,
  papers?: () => ReturnType<typeof selfSigned>,
): Behaviour {
  return {
    name,
    round: async (attack) => {
      const socket = attack.keep(await attack.attacker.tls(alpn, await papers?.()));
      socket.resume();
      await then(attack, socket);
      attack.drop(socket);
    },
  };
}

const nothing = (attack: Attack) => attack.pause(50);

/** Another address of the loopback network each time. */
let next = 0;
function anyAddress(): string {
  next = (next + 1) % 60_000;
  return `127.1.${next >> 8}.${next & 0xff}`;
}

const CLIENT_HELLO_START = Buffer.from('1603010200010001fc0303', 'hex');
const ENROL = ['routy-enrol/1'];

/** A message of the enrolment protocol, or what claims to be one. */
function message(text: string, length = text.length): Buffer {
  const bytes = Buffer.alloc(4 + Buffer.byteLength(text));
  bytes.writeUInt32BE(length >>> 0, 0);
  bytes.write(text, 4);
  return bytes;
}

export const STRANGER_BEHAVIOURS: readonly Behaviour[] = [
  silent('tcp-silent', 100, Buffer.alloc(0)),
  silent('tcp-silent-many-addresses', 300, Buffer.alloc(0), anyAddress),
  silent('client-hello-half', 100, Buffer.concat([CLIENT_HELLO_START, randomBytes(100)])),
  silent('record-of-16-kib-announced', 100, Buffer.of(0x16, 3, 1, 0x40, 0)),
  {
    name: 'tcp-and-away',
    round: async (attack) => attack.drop(await attack.attacker.tcp()),
  },
  {
    name: 'tcp-and-reset',
    round: async (attack) => void (await attack.attacker.tcp()).resetAndDestroy(),
  },
  {
    name: 'half-close-at-once',
    round: async (attack) => {
      const socket = attack.keep(await attack.attacker.tcp());
      socket.resume();
      socket.end();
      await attack.pause(20);
      attack.drop(socket);
    },
  },
  saying('garbage', () => randomBytes(500)),
  saying('garbage-many-addresses', () => randomBytes(500), anyAddress),
  saying('http', () => Buffer.from('GET / HTTP/1.1\r\nHost: gray\r\n\r\n')),
  saying('ssh', () => Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')),
  saying('postgres-ssl-request', () => Buffer.from('0000000804d2162f', 'hex')),
  saying('tls-alert', () => Buffer.from('15030300020228', 'hex')),
  saying('client-hello-garbage', () => Buffer.concat([CLIENT_HELLO_START, randomBytes(600)])),
  {
    name: 'client-hello-drip',
    round: async (attack) => {
      const socket = attack.keep(await attack.attacker.tcp());
      socket.resume();
      for (const byte of Buffer.concat([CLIENT_HELLO_START, Buffer.alloc(300)])) {
        if (attack.over || socket.destroyed) break;
        socket.write(Buffer.of(byte));
        await attack.pause(5);
      }
      attack.drop(socket);
    },
  },
  secured('tls-without-alpn', [], nothing),
  secured('tls-other-alpn', ['h2', 'http/1.1'], nothing),
  secured('lane-without-certificate', ['routy/1'], nothing),
  secured('lane-self-signed', ['routy/1'], nothing, () =>
    selfSigned(randomBytes(4).toString('hex')),
  ),
  secured('enrol-silent', ENROL, (attack) => attack.pause(500)),
  secured('enrol-garbage', ENROL, async (attack, socket) => {
    socket.write(randomBytes(200));
    await attack.pause(50);
  }),
  secured('enrol-length-huge', ENROL, async (attack, socket) => {
    socket.write(message('{}', Math.floor(Math.random() * 2 ** 31) + 2 ** 30));
    await attack.pause(50);
  }),
  secured('enrol-no-json', ENROL, async (attack, socket) => {
    socket.write(
      message(
        randomBytes(100)
          .toString('latin1')
          .replace(/[^ -~]/g, 'x'),
      ),
    );
    await attack.pause(50);
  }),
  secured('enrol-invented-invite', ENROL, async (attack, socket) => {
    const invite = { type: 'join', invite: randomBytes(9).toString('base64url'), proof: 'x' };
    socket.write(message(JSON.stringify(invite)));
    await attack.pause(50);
  }),
];
