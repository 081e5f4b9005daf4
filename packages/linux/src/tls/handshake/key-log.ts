const CLIENT = 'CLIENT_TRAFFIC_SECRET_0 ';
const SERVER = 'SERVER_TRAFFIC_SECRET_0 ';
const SPACE = 0x20;

/**
 * The application traffic secrets of a handshake, out of the lines that node:tls gives in its `keylog`
 * event: label, the client's random bytes and the secret, the latter two in hex (the format of NSS key
 * logs). They are held here alone: no line is kept, and none becomes text, which could not be cleared.
 */
export class KeyLog {
  #client: Uint8Array | undefined;
  #server: Uint8Array | undefined;

  /** Takes a line, and clears it. */
  take(line: Uint8Array): void {
    if (begins(line, CLIENT)) this.#client = secretOf(line);
    if (begins(line, SERVER)) this.#server = secretOf(line);
    line.fill(0);
  }

  /** Hands the secrets over to whoever clears them after use; once. */
  release(isClient: boolean): { sendSecret: Uint8Array; receiveSecret: Uint8Array } | undefined {
    const [client, server] = [this.#client, this.#server];
    if (client === undefined || server === undefined) {
      this.clear();
      return undefined;
    }
    this.#client = undefined;
    this.#server = undefined;
    return isClient
      ? { sendSecret: client, receiveSecret: server }
      : { sendSecret: server, receiveSecret: client };
  }

  /** They are not wanted any more. */
  clear(): void {
    this.#client?.fill(0);
    this.#server?.fill(0);
    this.#client = undefined;
    this.#server = undefined;
  }
}

function begins(line: Uint8Array, label: string): boolean {
  for (let i = 0; i < label.length; i++) if (line[i] !== label.charCodeAt(i)) return false;
  return true;
}

/** The last word of the line, from hex. */
function secretOf(line: Uint8Array): Uint8Array {
  const start = line.lastIndexOf(SPACE) + 1;
  let end = start;
  while (end < line.length && digit(line[end]!) >= 0) end += 1;
  const secret = new Uint8Array((end - start) >> 1);
  for (let i = 0; i < secret.length; i++) {
    secret[i] = (digit(line[start + 2 * i]!) << 4) | digit(line[start + 2 * i + 1]!);
  }
  return secret;
}

/** The value of a hex digit; -1 for what is none. */
function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = (code | 0x20) - 0x61;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}
