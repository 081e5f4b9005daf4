import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';

/** How old what is known of the file may be, in ms. */
const FRESH_MS = 1000;

/**
 * Names that this machine knows by itself: those of its hosts file, and `localhost` (RFC 6761
 * §6.3). They are answered here, at once, since getaddrinfo answers them only when the lookups
 * before them have ended.
 */
export class HostsFile {
  readonly #path: string;
  #names = new Map<string, string[]>();
  #readAtMs = Number.NEGATIVE_INFINITY;
  #version = '';

  constructor(path = '/etc/hosts') {
    this.#path = path;
  }

  /** The addresses of the name in the order of the file; undefined when it has none here. */
  addressesOf(host: string): string[] | undefined {
    const name = host.toLowerCase();
    this.#refresh();
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    return name === 'localhost' || name.endsWith('.localhost') ? ['127.0.0.1', '::1'] : undefined;
  }

  /** Read without a thread: it is a small local file, and threads are what may be missing. */
  #refresh(): void {
    const nowMs = performance.now();
    if (nowMs - this.#readAtMs < FRESH_MS) return;
    this.#readAtMs = nowMs;
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version === this.#version) return;
      this.#names = parseHosts(readFileSync(this.#path, 'utf8'));
      this.#version = version;
    } catch {
      this.#names = new Map();
      this.#version = '';
    }
  }
}

/** Lines of `ADDRESS NAME...`, `#` begins a comment; a name may stand in several lines. */
export function parseHosts(text: string): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const alias of aliases) {
      const name = alias.toLowerCase();
      const known = names.get(name);
      if (known === undefined) names.set(name, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return names;
}
