import {
  type ChannelCredentials,
  Client,
  credentials as clientCredentials,
  type ClientDuplexStream,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  ServerCredentials,
} from '@grpc/grpc-js';
import type { TlsCredentials } from '../../../packages/link/src/transport/tls/credentials.ts';
import type { Library, LinkClient, MessageSink } from '../library.ts';
import { decodeReceived, ReceivedCount } from '../received.ts';

type Method = MethodDefinition<Buffer, Buffer>;

const CONNECT_MS = 10_000;

const identity = (bytes: Buffer): Buffer => bytes;

const messages = method('Messages', true);
const echo = method('Echo', true);
const request = method('Request', false);

/** A unary call for each request; streams of messages and streams are bidirectional calls. */
export const grpc: Library = {
  async serve(credentials) {
    const server = new Server();
    server.addService(
      { messages, echo, request },
      { messages: countMessages, echo: sendBack, request: answer },
    );
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', serverCredentials(credentials), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  },

  async connect(credentials, port) {
    const client = new Client(`127.0.0.1:${port}`, channelCredentials(credentials));
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + CONNECT_MS, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
    return new GrpcClient(client);
  },
};

function method(name: string, isStream: boolean): Method {
  return {
    path: `/bench.Link/${name}`,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

/** The cipher suite is taken from `GRPC_SSL_CIPHER_SUITES` alone, which has no other but TLS 1.3's. */
function serverCredentials({ keyPem, certChainPem, caPem }: TlsCredentials): ServerCredentials {
  const pair = { private_key: Buffer.from(keyPem), cert_chain: Buffer.from(certChainPem) };
  return ServerCredentials.createSsl(Buffer.from(caPem), [pair], true);
}

function channelCredentials({ keyPem, certChainPem, caPem }: TlsCredentials): ChannelCredentials {
  const [ca, key, chain] = [Buffer.from(caPem), Buffer.from(keyPem), Buffer.from(certChainPem)];
  // Certificates name nodes and no hosts.
  return clientCredentials.createSsl(ca, key, chain, { checkServerIdentity: () => undefined });
}

const countMessages: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  const received = new ReceivedCount();
  call.on('data', (message: Buffer) => received.add(message));
  call.once('end', () => {
    call.write(received.encode());
    call.end();
  });
};

const sendBack: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  call.on('data', (message: Buffer) => call.write(message));
  call.once('end', () => call.end());
};

const answer: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
  callback(null, Buffer.from(call.request));
};

class GrpcClient implements LinkClient {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async openMessages(): Promise<MessageSink> {
    const call = this.#stream(messages);
    const answered = first(call);
    return {
      send: (message) => (call.write(message as Buffer) ? undefined : drained(call)),
      finish: async () => {
        call.end();
        return decodeReceived(await answered);
      },
    };
  }

  request(body: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const path = request.path;
      this.#client.makeUnaryRequest(path, identity, identity, body as Buffer, (error, value) => {
        if (error === null) resolve(value!);
        else reject(error);
      });
    });
  }

  async openStream(message: Uint8Array): Promise<void> {
    const call = this.#stream(echo);
    const ended = new Promise((resolve) => {
      call.once('status', resolve);
    });
    const answered = first(call);
    call.write(message as Buffer);
    await answered;
    call.end();
    await ended;
  }

  #stream({ path }: Method): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(path, identity, identity);
  }
}

function first(call: ClientDuplexStream<Buffer, Buffer>): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    call.on('data', resolve);
    call.once('error', reject);
  });
}

function drained(call: ClientDuplexStream<Buffer, Buffer>): Promise<void> {
  return new Promise((resolve) => {
    call.once('drain', resolve);
  });
}
