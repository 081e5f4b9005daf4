import type { TunnelKind } from './tunnel.ts';

/** No tunnel: the load generator connects to the services themselves. */
export const direct: TunnelKind = {
  name: 'direct',
  note: 'one loopback TCP connection, no tunnel',
  missing: () => null,
  start: (services) =>
    Promise.resolve({
      name: 'direct',
      ports: services,
      pids: null,
      failure: () => null,
      stop: () => Promise.resolve(),
    }),
};
