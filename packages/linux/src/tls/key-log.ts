/**
 * The application traffic secrets of a handshake, out of the lines that node:tls gives in its `keylog`
 * event (the format of NSS key logs). They are held here alone; no line is kept.
 */
export class KeyLog {
  #client: Uint8Array | undefined;
  #server: Uint8Array | undefined;

  readonly take = (line: Buffer): void => {
    const [label, , hex] = line.toString('latin1').trim().split(' ');
    if (label === 'CLIENT_TRAFFIC_SECRET_0') this.#client = Buffer.from(hex!, 'hex');
    if (label === 'SERVER_TRAFFIC_SECRET_0') this.#server = Buffer.from(hex!, 'hex');
  };

  /** Hands the secrets over to whoever clears them after use; once. */
  release(isClient: boolean): { sendSecret: Uint8Array; receiveSecret: Uint8Array } | undefined {
    const [client, server] = [this.#client, this.#server];
    this.#client = undefined;
    this.#server = undefined;
    if (client === undefined || server === undefined) return undefined;
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
