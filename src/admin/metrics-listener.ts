import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatHostPort, type TcpAddress } from '../base/address.ts';
import { errorText, RoutyError } from '../base/errors.ts';
import type { NodeControl } from './control.ts';
import { answer, CONNECTIONS_MAX, closeServer, SERVER_OPTIONS } from './http.ts';
import { metricsRoutes } from './routes.ts';

/** The optional TCP listener for Prometheus: `/metrics` and `/healthz`, nothing else. */
export interface MetricsListener {
  /** The address in use; with port 0 configured, the port that was given. */
  readonly address: TcpAddress;
  close(): Promise<void>;
}

/** Rejects with `metrics-listen` when the address cannot be listened on. */
export async function startMetricsListener(
  address: TcpAddress,
  control: NodeControl,
): Promise<MetricsListener> {
  const routes = metricsRoutes(control);
  const server = createServer(SERVER_OPTIONS, (request, response) => {
    void answer(routes, request, response);
  });
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    // Stays: accept errors come here too, and the listener survives them.
    server.on('error', (error) => {
      const shown = formatHostPort(address.host, address.port);
      reject(
        new RoutyError('metrics-listen', `cannot listen on ${shown}: ${errorText(error)}`, {
          hint: 'change metrics_listen in [admin] to a free address of this machine',
          cause: error,
        }),
      );
    });
    server.listen({ host: address.host, port: address.port }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { address: { ...address, port }, close: () => closeServer(server) };
}
