import { BlockList, isIP } from 'node:net';

/** The client addresses that a forward takes. */
export class ClientList {
  readonly #list: BlockList | undefined;

  /** Addresses and networks (`10.0.0.0/8`); undefined takes everybody. */
  constructor(entries: readonly string[] | undefined) {
    if (entries === undefined) return;
    this.#list = new BlockList();
    for (const entry of entries) {
      const [address, bits] = entry.split('/') as [string, string?];
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
      if (bits === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(bits), family);
    }
  }

  /** `address` is undefined for a unix socket, and for a client that has gone already. */
  admits(address: string | undefined): boolean {
    if (this.#list === undefined) return true;
    if (address === undefined) return false;
    const plain = address.split('%', 1)[0]!.replace(/^::ffff:(?=\d+\.)/i, '');
    return this.#list.check(plain, isIP(plain) === 4 ? 'ipv4' : 'ipv6');
  }
}
