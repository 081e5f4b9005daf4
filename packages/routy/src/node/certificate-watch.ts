import { X509Certificate } from 'node:crypto';
import type { TlsCredentials } from '@routy/link/transport';
import { identityUri, RoutyError } from '@routy/proto/base';
import type { Log } from '../observe/log.ts';

const DAY_MS = 86_400_000;
/** From so long before its end on a certificate is spoken of. */
const WARN_MS = 30 * DAY_MS;
/** From so long before its end on it is an error. */
const ERROR_MS = 7 * DAY_MS;
/** Often enough for a clock that is set, or a machine that slept. */
const LOOK_MS = 3_600_000;

type Urgency = 'none' | 'warn' | 'error' | 'ended';

/** Key and certificate of the running node, and a line a day while the certificate nears its end. */
export class CertificateWatch {
  readonly #nowMs: () => number;
  readonly #log: Pick<Log, 'warn' | 'error'>;
  #credentials: TlsCredentials;
  #expiresAtMs: number;
  #timer: NodeJS.Timeout | undefined;
  #said: { readonly urgency: Urgency; readonly atMs: number } = { urgency: 'none', atMs: 0 };

  constructor(
    credentials: TlsCredentials,
    options: { readonly nowMs: () => number; readonly log: Pick<Log, 'warn' | 'error'> },
  ) {
    this.#credentials = credentials;
    this.#expiresAtMs = endOf(credentials);
    this.#nowMs = options.nowMs;
    this.#log = options.log;
  }

  /** What holds for the next handshake; the same object until {@link renew}. */
  get credentials(): TlsCredentials {
    return this.#credentials;
  }

  /** ISO 8601. */
  get expiresAt(): string {
    return new Date(this.#expiresAtMs).toISOString();
  }

  /** That it ends soon or has ended, in words; undefined while there is time. */
  get warning(): string | undefined {
    const leftMs = this.#expiresAtMs - this.#nowMs();
    switch (urgencyOf(leftMs)) {
      case 'none':
        return undefined;
      case 'ended':
        return `the certificate of this node ended at ${this.expiresAt}: no lane comes up any more`;
      default: {
        const days = Math.floor(leftMs / DAY_MS);
        return `the certificate of this node ends in ${days} days, at ${this.expiresAt}`;
      }
    }
  }

  start(): void {
    this.look();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Takes new key and certificate for the handshakes to come; lanes that are up go on. False when
   * they are those there are.
   */
  renew(credentials: TlsCredentials): boolean {
    const before = this.#credentials;
    if (
      before.certChainPem === credentials.certChainPem &&
      before.keyPem === credentials.keyPem &&
      before.caPem === credentials.caPem
    ) {
      return false;
    }
    this.#credentials = credentials;
    this.#expiresAtMs = endOf(credentials);
    this.look();
    return true;
  }

  /** @throws RoutyError `identity-differs` when they are another node's */
  requireSame({ identity }: TlsCredentials): void {
    const [is, was] = [identityUri(identity), identityUri(this.#credentials.identity)];
    if (is === was) return;
    throw new RoutyError('identity-differs', `the certificate is now for ${is}, not ${was}`, {
      hint: 'restart routy to run it as another node',
    });
  }

  /** Says how it stands: at once when it has become worse, else once a day. */
  look(): void {
    const nowMs = this.#nowMs();
    const urgency = urgencyOf(this.#expiresAtMs - nowMs);
    const { warning } = this;
    if (warning === undefined) {
      this.#said = { urgency, atMs: nowMs };
      return;
    }
    if (urgency === this.#said.urgency && Math.abs(nowMs - this.#said.atMs) < DAY_MS) return;
    this.#said = { urgency, atMs: nowMs };
    const event = urgency === 'ended' ? 'certificate-ended' : 'certificate-ends';
    const hint = 'renew it: routy cert renew; see docs/CERTIFICATES.md';
    const fields = { expiresAt: this.expiresAt, hint };
    if (urgency === 'warn') this.#log.warn(event, warning, fields);
    else this.#log.error(event, warning, fields);
  }
}

function urgencyOf(leftMs: number): Urgency {
  if (leftMs > WARN_MS) return 'none';
  if (leftMs > ERROR_MS) return 'warn';
  return leftMs > 0 ? 'error' : 'ended';
}

function endOf(credentials: TlsCredentials): number {
  return Date.parse(new X509Certificate(credentials.certChainPem).validTo);
}
