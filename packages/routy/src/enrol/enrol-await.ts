import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { TLSSocket } from 'node:tls';
import {
  ALPN_ENROL,
  ConnectionAcceptor,
  type ConnectionRefusal,
  ListeningSocket,
  NodeTlsEngine,
  TLS_PROFILE,
  type UnverifiedConnection,
} from '@routy/link/transport';
import { RoutyError, type TcpAddress } from '@routy/proto/base';
import { type Clock, DAY_MS, systemClock } from '../pki/clock.ts';
import { createCsr } from '../pki/csr.ts';
import { ensureNodeKey, publicKeyDer } from '../pki/key.ts';
import { requireName } from '../pki/names.ts';
import { type Enrolled, installVerified, requireNotEnrolled } from '../pki/node/install.ts';
import { spkiPin } from '../pki/pin.ts';
import { importKeyPair, loadX509, SIGNING_ALGORITHM } from '../pki/x509.ts';
import { formatAdoptionText } from './adoption-text.ts';
import { EnrolChannel } from './enrol-channel.ts';
import {
  asRefusal,
  type EnrolmentLog,
  openProved,
  optionalTextField,
  PeerRefusal,
  type Proving,
  proveMessage,
  STEP_MS,
  textField,
} from './enrol-protocol.ts';

export interface Adoption {
  /** `ADDRESS#PIN`, for the operator of the CA's node. */
  readonly addressAndPin: string;
  /** What is listened on; the port is the real one when 0 was asked for. */
  readonly listen: TcpAddress;
  /**
   * Resolves when this node was adopted: certificate stored, nothing listening any more. Rejects
   * with `adoption-stopped` after `close`. A listener that fails is opened again.
   */
  readonly adopted: Promise<Enrolled>;
  /** Gives up waiting. */
  close(): Promise<void>;
}

interface AwaitOptions {
  readonly stateDir: string;
  readonly listen: TcpAddress;
  readonly advertise?: TcpAddress | undefined;
  readonly node?: string | undefined;
  readonly log: EnrolmentLog;
  readonly stepMs?: number;
  readonly now?: Clock;
}

/**
 * Makes this node's key and a one-time secret, and listens for the node that adopts it. Strangers,
 * garbage and wrong proofs are refused, logged, and change nothing.
 *
 * @param options.advertise the address to print, when it is not the one listened on
 * @param options.node the name to suggest; the adopter may decide otherwise
 * @throws RoutyError `already-enrolled`, `is-ca-node`, `name-invalid`, `listen-failed`, and those
 *   of the state directory
 */
export async function awaitAdoption(options: AwaitOptions): Promise<Adoption> {
  const now = options.now ?? systemClock;
  if (options.node !== undefined) requireName('node', options.node);
  await requireNotEnrolled(options.stateDir, now());
  const keyPem = await ensureNodeKey(options.stateDir);
  const secret = randomBytes(16);
  const certPem = await selfSignedPem(keyPem, now());
  const waiter = new AdoptionWaiter({ keyPem, certPem, secret }, options);
  const listen = await waiter.listen();
  const address = { ...(options.advertise ?? dialable(listen)), kind: 'tcp' as const };
  return {
    addressAndPin: formatAdoptionText({
      address,
      keyPin: spkiPin(publicKeyDer(keyPem)),
      secret: secret.toString('base64url'),
    }),
    listen,
    adopted: waiter.adopted,
    close: async () => waiter.close(),
  };
}

class AdoptionWaiter {
  readonly adopted: Promise<Enrolled>;
  readonly #listening: ListeningSocket;
  readonly #acceptor: ConnectionAcceptor<Socket, TLSSocket>;
  readonly #keyPem: string;
  readonly #secret: Buffer;
  readonly #options: AwaitOptions;
  readonly #connections = new Set<Socket>();
  #settle!: { resolve(enrolled: Enrolled): void; reject(error: RoutyError): void };
  /** One proven adopter at a time, and none after one succeeded. */
  #busy = false;

  constructor(own: { keyPem: string; certPem: string; secret: Buffer }, options: AwaitOptions) {
    this.#keyPem = own.keyPem;
    this.#secret = own.secret;
    this.#options = options;
    this.adopted = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever awaits `adopted` still sees the rejection; nobody doing so is no defect.
    this.adopted.catch(() => undefined);
    const context = { ...TLS_PROFILE, key: own.keyPem, cert: own.certPem };
    this.#acceptor = new ConnectionAcceptor({
      tls: new NodeTlsEngine({
        context: () => context,
        protocols: [ALPN_ENROL],
        requestCert: false,
      }),
      onSecure: (socket, connection) => {
        connection.hold();
        void this.#serve(socket, connection);
      },
      onRefused: (refusal) => this.#turnedAway(refusal),
      handshakeMs: options.stepMs ?? STEP_MS,
    });
    this.#listening = new ListeningSocket({
      address: options.listen,
      onConnection: (socket) => {
        this.#connections.add(socket);
        socket.once('close', () => this.#connections.delete(socket));
        this.#acceptor.accept(socket);
      },
      onError: ({ code, message }) => this.#refused('everybody', code, message, 'us'),
      onReopened: () => {},
    });
  }

  /**
   * The address it listens on.
   *
   * @throws RoutyError `listen-failed`
   */
  async listen(): Promise<TcpAddress> {
    try {
      await this.#listening.open();
    } catch (error) {
      throw new RoutyError('listen-failed', (error as RoutyError).message, {
        hint: 'choose an address of this machine and a free port with --listen',
        cause: error,
      });
    }
    const { host, port } = this.#listening.address;
    return { kind: 'tcp', host, port };
  }

  close(): void {
    this.#stopListening();
    this.#settle.reject(
      new RoutyError('adoption-stopped', 'stopped before anybody adopted this node', {
        hint: 'start it again with routy up --await-adoption; the PIN will be another',
      }),
    );
  }

  async #serve(socket: TLSSocket, connection: UnverifiedConnection): Promise<void> {
    const remote = connection.from;
    let channel: EnrolChannel | undefined;
    try {
      channel = new EnrolChannel(socket, this.#options.stepMs ?? STEP_MS);
      const enrolled = await this.#converse(channel, connection);
      const { identity, serial } = enrolled;
      this.#options.log({ kind: 'enrolled', remote, ...identity, serial });
      channel.close();
      await channel.closed;
      this.#stopListening();
      this.#settle.resolve(enrolled);
    } catch (error) {
      const refusal = asRefusal(error);
      const peerRefused = refusal instanceof PeerRefusal;
      this.#refused(remote, refusal.code, refusal.message, peerRefused ? 'peer' : 'us');
      if (channel === undefined) socket.destroy();
      else if (peerRefused) channel.close();
      else channel.refuse(refusal);
    }
  }

  async #converse(channel: EnrolChannel, connection: UnverifiedConnection): Promise<Enrolled> {
    const { exporter } = channel;
    const theirs: Proving = { secret: this.#secret, exporter, sender: 'adopter' };
    const offer = openProved(await channel.receive('proved'), 'adopt', theirs);
    // It knows the secret: no crowd pushes it out.
    connection.admit();
    if (this.#busy) {
      throw new RoutyError('adoption-busy', 'another adoption of this node is under way', {
        hint: 'see how it ends, then try again',
      });
    }
    this.#busy = true;
    try {
      return await this.#accept(channel, offer, theirs);
    } catch (error) {
      this.#busy = false;
      throw error;
    }
  }

  async #accept(
    channel: EnrolChannel,
    offer: Readonly<Record<string, unknown>>,
    theirs: Proving,
  ): Promise<Enrolled> {
    const ours: Proving = { ...theirs, sender: 'newcomer' };
    const fabric = requireName('fabric', textField(offer, 'fabric'));
    const site = requireName('site', textField(offer, 'site'));
    const caPem = textField(offer, 'ca');
    const node = optionalTextField(offer, 'node') ?? this.#options.node;
    if (node === undefined) {
      throw new RoutyError('node-name-missing', 'neither side names the node', {
        hint: 'give the newcomer a name: routy adopt … --node NAME',
      });
    }
    const csr = await createCsr(this.#keyPem, { node, site });
    channel.send(proveMessage({ type: 'request', csr: csr.toString('base64url') }, ours));
    const answer = openProved(await channel.receive('proved'), 'certificate', theirs);
    const enrolled = await installVerified({
      stateDir: this.#options.stateDir,
      keyPem: this.#keyPem,
      certificatePem: textField(answer, 'certificate'),
      caPem,
      expected: { fabric, site, node },
      nowMs: (this.#options.now ?? systemClock)(),
    });
    channel.send(proveMessage({ type: 'adopted' }, ours));
    return enrolled;
  }

  #refused(remote: string, code: string, reason: string, by: 'us' | 'peer'): void {
    this.#options.log({ kind: 'refused', remote, code, reason, by });
  }

  /** Its handshake came to nothing. */
  #turnedAway({ remoteAddress, code, reason }: ConnectionRefusal): void {
    this.#refused(remoteAddress, code, reason, 'us');
  }

  #stopListening(): void {
    this.#listening.close();
    this.#acceptor.close();
    for (const socket of this.#connections) socket.destroy();
  }
}

/** An address others can dial, as far as this machine knows: for `0.0.0.0` one of its own. */
function dialable(listen: TcpAddress): TcpAddress {
  if (listen.host !== '0.0.0.0' && listen.host !== '::') return listen;
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const preferred = own.find(({ family }) => family === 'IPv4') ?? own[0];
  return preferred === undefined ? listen : { ...listen, host: preferred.address };
}

/** The certificate only carries the key: the adopter knows it by its pin, not by names or dates. */
async function selfSignedPem(keyPem: string, nowMs: number): Promise<string> {
  const x509 = await loadX509();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(8).toString('hex'),
    name: 'CN=Routy newcomer',
    notBefore: new Date(nowMs - DAY_MS),
    notAfter: new Date(nowMs + 3650 * DAY_MS),
    signingAlgorithm: SIGNING_ALGORITHM,
    keys: await importKeyPair(keyPem),
  });
  return certificate.toString('pem');
}
