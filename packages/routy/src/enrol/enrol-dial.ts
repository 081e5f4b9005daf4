import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ALPN_ENROL, TLS_PROFILE } from '@routy/link/transport';
import { errorText, formatHostPort, RoutyError, type TcpAddress } from '@routy/proto/base';

/** Opens a TCP connection; handed in to dial through a proxy. It must settle within the time. */
export type DialTcp = (address: TcpAddress, timeoutMs: number) => Promise<Socket>;

/**
 * Dials and finishes a TLS 1.3 handshake for enrolment. **Who answered is not known yet**: the
 * caller checks the pin before it sends anything.
 *
 * @throws RoutyError `enrol-unreachable`, `enrol-timeout`, `enrol-not-routy`
 */
export async function dialEnrolment(
  address: TcpAddress,
  options: { readonly stepMs: number; readonly dialTcp?: DialTcp | undefined },
): Promise<TLSSocket> {
  const name = formatHostPort(address.host, address.port);
  const { stepMs } = options;
  let tcp: Socket;
  try {
    tcp = await (options.dialTcp ?? dialDirectly)(address, stepMs);
  } catch (error) {
    throw unreachable(name, error);
  }
  const socket = await handshake(tcp, address, stepMs);
  if (socket.alpnProtocol === ALPN_ENROL) return socket;
  socket.destroy();
  throw notRouty(name, `it does not speak ${ALPN_ENROL}`);
}

function dialDirectly(address: TcpAddress, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: address.host, port: address.port });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(timedOut(address, timeoutMs)), timeoutMs);
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function handshake(tcp: Socket, address: TcpAddress, timeoutMs: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      socket: tcp,
      ...TLS_PROFILE,
      ALPNProtocols: [ALPN_ENROL],
      // No root to check against yet: the caller compares the pin.
      rejectUnauthorized: false,
      ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
    });
    const fail = (error: RoutyError): void => {
      clearTimeout(timer);
      socket.off('close', onClose);
      socket.destroy();
      tcp.destroy();
      reject(error);
    };
    const name = formatHostPort(address.host, address.port);
    const onClose = (): void => fail(notRouty(name, 'it closed the connection'));
    const timer = setTimeout(() => fail(timedOut(address, timeoutMs)), timeoutMs);
    // Stays for the life of the socket: an error without a listener would end the process.
    socket.on('error', (error) => fail(notRouty(name, error.message)));
    socket.once('close', onClose);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('close', onClose);
      resolve(socket);
    });
  });
}

/** One code for every way of not getting there, whoever dialled; the advice of the dialler stays. */
function unreachable(name: string, error: unknown): RoutyError {
  if (error instanceof RoutyError && error.code === 'enrol-timeout') return error;
  const hint = error instanceof RoutyError ? error.hint : undefined;
  return new RoutyError('enrol-unreachable', `cannot connect to ${name}: ${errorText(error)}`, {
    hint:
      hint ??
      'check the address, that routy is up there, and that the firewall lets this machine dial it',
    cause: error,
  });
}

function timedOut(address: TcpAddress, timeoutMs: number): RoutyError {
  const name = formatHostPort(address.host, address.port);
  return new RoutyError('enrol-timeout', `${name} did not answer within ${timeoutMs} ms`, {
    hint: 'check the address, and that the firewall lets this machine dial it',
  });
}

function notRouty(name: string, why: string): RoutyError {
  return new RoutyError('enrol-not-routy', `${name} did not accept enrolment: ${why}`, {
    hint: 'check that the address is the one routy listens on there, and that routy is up',
  });
}

/** An address that leads elsewhere or nowhere. */
const PASSED_OVER_CODES: ReadonlySet<string> = new Set([
  'enrol-unreachable',
  'enrol-timeout',
  'enrol-not-routy',
  'enrol-lost',
  'pin-mismatch',
  'not-ca',
]);

/**
 * Asks one address after the other until one answers. A refusal by the fabric itself is final; an
 * address that leads elsewhere is passed over.
 *
 * @param what names the addresses in the error, when there are several
 * @throws RoutyError the refusal, or that of the last address
 */
export async function askInTurn<T>(
  addresses: readonly TcpAddress[],
  what: string,
  ask: (address: TcpAddress) => Promise<T>,
): Promise<T & { readonly address: TcpAddress }> {
  const failures: RoutyError[] = [];
  for (const address of addresses) {
    try {
      return { ...(await ask(address)), address };
    } catch (error) {
      if (!isPassedOver(error)) throw error;
      failures.push(error);
    }
  }
  const last = failures.at(-1)!;
  if (failures.length === 1) throw last;
  const words = failures.map((failure) => failure.message).join('; ');
  throw new RoutyError(last.code, `none of ${what} would do: ${words}`, {
    ...(last.hint === undefined ? {} : { hint: last.hint }),
    cause: last,
  });
}

/** True for a failure after which another address, or another way, may do. */
export function isPassedOver(error: unknown): error is RoutyError {
  return error instanceof RoutyError && PASSED_OVER_CODES.has(error.code);
}
