import * as z from 'zod';
import {
  address,
  choice,
  choiceWithDefault,
  count,
  duration,
  name,
  size,
  tcpAddress,
  text,
} from './fields.ts';
import {
  ACCOUNT,
  readAccount,
  readAllowEntry,
  readIp,
  readMode,
  readNetwork,
  readProxy,
  readServiceName,
  readUnavailable,
} from './texts.ts';

export const nodeSchema = z.strictObject({
  name: name({
    class: 'visible',
    description: "This node's name, unique in its site. Must be the one in its certificate.",
    example: 'red1',
  }),
  site: name({
    class: 'visible',
    description: 'The site this node stands in. Must be the one in its certificate.',
    example: 'red',
  }),
  state: text(
    {
      class: 'local',
      description: 'Directory of keys, certificates and the admin socket; mode 0700.',
      expects: 'an absolute path such as "/var/lib/routy"',
      example: '"/var/lib/routy"',
      default: '"/var/lib/routy"',
      pattern: '^/',
    },
    (path) =>
      path.startsWith('/')
        ? { value: path }
        : { error: `"${path}" is not an absolute path such as "/var/lib/routy"` },
  ).prefault('/var/lib/routy'),
  drain_timeout: duration({
    class: 'local',
    description: 'How long a stopping node lets its streams finish before it resets them.',
    min: '0s',
    max: '24h',
    initial: '3s',
  }),
  data_plane: choiceWithDefault({
    class: 'local',
    description:
      'What carries the bytes of lanes, clients and targets. "native": system calls through koffi, on Linux (x64, arm64); where that cannot be had the node says why and is portable. "portable": Node\'s own sockets. "auto" is portable for now. The same on the wire: nodes may differ.',
    values: ['auto', 'portable', 'native'],
    initial: 'auto',
  }),
});

export const listenSchema = z.strictObject({
  address: tcpAddress({
    class: 'visible',
    description: 'Where other nodes dial this one. Leave the table out on a node that only dials.',
    example: '0.0.0.0:7443',
    dialled: false,
  }),
  advertise: z
    .array(
      tcpAddress({
        class: 'local',
        description:
          'Where newcomers dial this node, for `routy invite`; by default where it listens.',
        example: 'gray.example:7443',
        dialled: true,
      }),
    )
    .min(1)
    .optional(),
});

const peerAddress = {
  class: 'visible',
  example: 'gray.example:7443',
  dialled: true,
} as const;

export const peerSchema = z.strictObject({
  address: tcpAddress({ ...peerAddress, description: 'Where the peer listens.' }).optional(),
  addresses: z
    .array(
      tcpAddress({
        ...peerAddress,
        description: 'Several addresses of one peer, tried in order until one answers.',
      }),
    )
    .min(1)
    .optional(),
  via: text(
    {
      class: 'local',
      description: 'Proxy to dial through: HTTP CONNECT or SOCKS5.',
      expects: 'a proxy such as "http://proxy.example:3128" or "socks5://proxy.example:1080"',
      example: '"http://proxy.example:3128"',
      pattern: '^(http|socks5)://',
    },
    readProxy,
  ).optional(),
  lanes: count({
    class: 'local',
    description:
      'Lanes kept up to the peer at the same time. With more than one, streams go on at once when a lane is lost.',
    min: 1,
    max: 16,
    initial: 2,
  }),
});

function keepalive(whom: string, other: string) {
  return duration({
    class: 'local',
    description: `Silence after which ${whom} is asked whether it is still there (TCP keepalive; "0s": never). One that does not answer for 10 s more is gone, and ${other} is reset. Where bytes are on their way to it that needs koffi; without it the system tries for about 15 minutes. For new connections.`,
    min: '0s',
    max: '2h',
    initial: '60s',
  });
}

export const serviceSchema = z.strictObject({
  target: address({
    class: 'local',
    description: 'Where the service itself listens.',
    example: '127.0.0.1:5432',
    dialled: true,
  }),
  allow: z
    .array(
      text(
        {
          class: 'visible',
          description:
            'Sites ("gray") or nodes ("gray/gray1") that may open it. Nobody by default.',
          expects: 'a site such as "gray" or a node such as "gray/gray1"',
          example: '["gray"]',
          default: '[]',
        },
        readAllowEntry,
      ),
    )
    .default([]),
  proxy_protocol: choice({
    class: 'local',
    description: 'Tell the target where the client came from by a PROXY protocol header.',
    values: ['v1', 'v2'],
  }).optional(),
  source: text(
    {
      class: 'local',
      description:
        'Address of this machine that the target sees connections come from, so that its own rules can tell them from local ones. By default the system chooses, 127.0.0.1 for a local target.',
      expects: 'an IP address such as "127.0.0.9"',
      example: '"127.0.0.9"',
      pattern: '^[0-9a-fA-F:.]+$',
    },
    readIp,
  ).optional(),
  connect_timeout: duration({
    class: 'local',
    description: 'How long a connection to the target may take, the lookup of its name included.',
    min: '10ms',
    max: '10m',
    initial: '5s',
  }),
  keepalive: keepalive('the target', 'its client'),
});

export const forwardSchema = z.strictObject({
  listen: address({
    class: 'local',
    description: 'Local address that leads to the service.',
    example: '127.0.0.1:6432',
    dialled: false,
  }),
  to: text(
    {
      class: 'visible',
      description: 'The service, as SITE/SERVICE.',
      expects: 'a service such as "gray/postgres"',
      example: '"gray/postgres"',
      pattern: '^[a-z0-9-]+/[a-z0-9-]+$',
    },
    readServiceName,
  ),
  unavailable: text(
    {
      class: 'local',
      description:
        'While no node offers the service: "refuse" (the port does not listen) or "hold 10s" (a connection waits that long).',
      expects: '"refuse" or "hold 10s"',
      example: '"refuse"',
      default: '"refuse"',
      pattern: '^(refuse|hold \\d+(ms|s|m|h))$',
    },
    readUnavailable,
  ).prefault('refuse'),
  connect_timeout: duration({
    class: 'local',
    description:
      'How long the other node may take to answer a connection while a lane is up; then the client is reset. More than the connect_timeout of the service there.',
    min: '10ms',
    max: '1h',
    initial: '60s',
  }),
  keepalive: keepalive('a client', 'its target'),
  clients: z
    .array(
      text(
        {
          class: 'local',
          description:
            'Client addresses that may connect, judged when they do; others are reset at once. Everybody by default. For TCP.',
          expects: 'an address such as "10.0.0.7" or a network such as "10.0.0.0/8"',
          example: '["127.0.0.1", "10.0.0.0/8"]',
          pattern: '^[0-9a-fA-F:.]+(/\\d{1,3})?$',
        },
        readNetwork,
      ),
    )
    .min(1)
    .optional(),
  socket_owner: text(
    {
      class: 'local',
      description:
        'User that owns the unix socket, a name or a number. Only root may give it away.',
      expects: 'a user such as "postgres" or "26"',
      example: '"postgres"',
      pattern: ACCOUNT,
    },
    readAccount,
  ).optional(),
  socket_group: text(
    {
      class: 'local',
      description:
        'Group of the unix socket, a name or a number: any for root, else one that the user of Routy is in.',
      expects: 'a group such as "app" or "33"',
      example: '"app"',
      pattern: ACCOUNT,
    },
    readAccount,
  ).optional(),
  socket_mode: text(
    {
      class: 'local',
      description: 'Mode of the unix socket: who may write may connect.',
      expects: 'an octal mode such as "0660"',
      example: '"0660"',
      default: '"0660"',
      pattern: '^0?[0-7]{3}$',
    },
    readMode,
  ).optional(),
});

export const fabricSchema = z.strictObject({
  heartbeat_interval: duration({
    class: 'shared',
    description: 'Pause between two heartbeats on a lane.',
    min: '100ms',
    max: '10m',
    initial: '5s',
  }),
  heartbeat_misses: count({
    class: 'shared',
    description: 'Heartbeats in a row that may be missing before a lane counts as dead.',
    min: 1,
    max: 100,
    initial: 3,
  }),
  resume_time: duration({
    class: 'shared',
    description:
      'How long a session without a lane keeps its streams, counted from the last byte heard of the peer. "0s": they are reset as soon as the last lane is lost.',
    min: '0s',
    max: '24h',
    initial: '60s',
  }),
});

export const limitsSchema = z.strictObject({
  stream_window: size({
    class: 'local',
    description:
      'Most bytes one stream may have under way to this node; at most twice as many are kept of what it sends.',
    min: '64KiB',
    max: '1GiB',
    initial: '4MiB',
  }),
  session_buffer: size({
    class: 'local',
    description: 'Most bytes buffered by one session, both ways together.',
    min: '1MiB',
    max: '1024GiB',
    initial: '256MiB',
  }),
  process_buffer: size({
    class: 'local',
    description:
      'Most bytes buffered by the whole node, half for each direction. Peers share it fairly: a quarter is guaranteed in equal parts, of the rest each takes what the others leave.',
    min: '1MiB',
    max: '1024GiB',
    initial: '256MiB',
  }),
  streams: count({
    class: 'local',
    description:
      'Most streams open at once in one session. Each has a window of at least 8 KiB in the buffers: with the default ones a peer that is alone has room for some 10,000 idle streams, and 512 of any peer find room whatever others hold.',
    min: 1,
    max: 1_000_000,
    initial: 16_384,
  }),
});

export const adminSchema = z.strictObject({
  metrics_listen: tcpAddress({
    class: 'local',
    description:
      'Serves /metrics (Prometheus), /healthz and /readyz over plain HTTP. Off by default.',
    example: '127.0.0.1:9443',
    dialled: false,
  }).optional(),
});

export const logSchema = z.strictObject({
  level: choiceWithDefault({
    class: 'local',
    description: 'How much is logged.',
    values: ['error', 'warn', 'info', 'debug', 'trace'],
    initial: 'info',
  }),
  format: choiceWithDefault({
    class: 'local',
    description: '"auto" is "pretty" on a terminal and "json" elsewhere.',
    values: ['auto', 'json', 'pretty'],
    initial: 'auto',
  }),
});

/** The whole of `routy.toml`. The output has units read, but is not yet a `Config`. */
export const configSchema = z.strictObject({
  node: nodeSchema,
  listen: listenSchema.optional(),
  peer: z.array(peerSchema).default([]),
  service: z.record(z.string(), serviceSchema).default({}),
  forward: z.array(forwardSchema).default([]),
  fabric: fabricSchema.prefault({}),
  limits: limitsSchema.prefault({}),
  admin: adminSchema.prefault({}),
  log: logSchema.prefault({}),
});
