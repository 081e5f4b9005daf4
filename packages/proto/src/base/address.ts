/** A TCP address. `host` is a name, an IPv4 or an IPv6 literal without
 * brackets, a link-local one with its zone (`fe80::1%eth0`); `port` 0..65535. */
export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
}

/** A unix socket by its absolute path. */
export interface UnixAddress {
  readonly kind: 'unix';
  readonly path: string;
}

/** Where something listens or is reached: TCP or a unix socket. */
export type Address = TcpAddress | UnixAddress;

/** `host:port`, `[v6]:port` or `unix:/path`, as users write it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return formatHostPort(address.host, address.port);
}

/** `host:port`, with brackets around an IPv6 literal. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Parses what {@link formatAddress} writes; undefined when it is not an address. */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    return path.startsWith('/') ? { kind: 'unix', path } : undefined;
  }
  return parseTcpAddress(text);
}

/** Parses `host:port` or `[v6]:port`; undefined when it is neither or the port is out of range. */
export function parseTcpAddress(text: string): TcpAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[A-Za-z0-9._-]+)?)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(
    text,
  );
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) return undefined;
  return { kind: 'tcp', host: (match[1] ?? match[2])!, port };
}
