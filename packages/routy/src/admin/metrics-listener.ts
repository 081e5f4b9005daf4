import { createServer, type Server } from 'node:http';
import { ListeningSocket, type ReopenDelays } from '@routy/link/transport';
import type { RoutyError, TcpAddress } from '@routy/proto/base';
import type { NodeControl } from '../status/control.ts';
import { answer, CONNECTIONS_MAX, SERVER_OPTIONS } from './http.ts';
import { metricsRoutes } from './routes.ts';

/** The optional TCP listener for Prometheus: `/metrics`, `/healthz` and `/readyz`, nothing else. */
export interface MetricsListener {
  /** The address in use; with port 0 configured, the port that was given. */
  readonly address: TcpAddress;
  close(): Promise<void>;
}

export interface MetricsHandlers {
  /** It listens, at first or again. */
  onListening(address: TcpAddress): void;
  /** The address cannot be had; it is tried again for ever. */
  onError(error: RoutyError): void;
  /** For tests. */
  readonly delays?: ReopenDelays;
}

/** Figures are a side matter: an address that cannot be had is reported and tried again. */
export async function startMetricsListener(
  address: TcpAddress,
  control: NodeControl,
  handlers: MetricsHandlers,
): Promise<MetricsListener> {
  const routes = metricsRoutes(control);
  const servers = new Set<Server>();
  let failed = false;
  const listening = new ListeningSocket({
    address,
    delays: handlers.delays,
    createServer: () => {
      const server = createServer(SERVER_OPTIONS, (request, response) => {
        void answer(routes, request, response);
      });
      server.maxConnections = CONNECTIONS_MAX;
      servers.add(server);
      server.once('close', () => servers.delete(server));
      return server;
    },
    onConnection: () => undefined,
    onError: (error) => {
      failed = true;
      handlers.onError(error);
    },
    onReopened: () => handlers.onListening(listening.address),
  });
  await listening.insist();
  if (!failed) handlers.onListening(listening.address);
  return {
    get address() {
      return listening.address;
    },
    close: async () => {
      listening.close();
      for (const server of servers) server.closeAllConnections();
    },
  };
}
