import { createHmac } from 'node:crypto';
import { errorText, RoutyError } from '@routy/proto/base';
import { equalBytes } from '../pki/pin.ts';

/** Most bytes of one message's JSON. */
export const MESSAGE_BYTES_MAX = 16 * 1024;
/** Each step (connect, handshake, one message) has so long. */
export const STEP_MS = 10_000;

export const REASON_CHARS_MAX = 400;

export type EnrolMessage = Readonly<Record<string, unknown>>;

/** What an enrolling side tells its log. */
export type EnrolmentEvent =
  | {
      readonly kind: 'enrolled';
      /** `host:port` */
      readonly remote: string;
      readonly fabric: string;
      readonly site: string;
      readonly node: string;
      readonly serial: string;
    }
  | {
      readonly kind: 'refused';
      readonly remote: string;
      /** Stable, as in RoutyError: `invite-used`, `proof-wrong`, `enrol-timeout`… */
      readonly code: string;
      readonly reason: string;
      /** Who refused: this side or the other. */
      readonly by: 'us' | 'peer';
    };

export type EnrolmentLog = (event: EnrolmentEvent) => void;

/**
 * A direction of a conversation in which every message is proved with a shared secret: the message
 * travels as `body` text beside an HMAC-SHA256 over direction, TLS exporter and body.
 */
export interface Proving {
  readonly secret: Uint8Array;
  readonly exporter: Uint8Array;
  /** Who sends: a message of one side cannot be thrown back at it as the other's. */
  readonly sender: 'adopter' | 'newcomer';
}

/** Wraps `message` with its proof. */
export function proveMessage(message: EnrolMessage, proving: Proving): EnrolMessage {
  const body = JSON.stringify(message);
  return { type: 'proved', body, proof: bodyProof(body, proving).toString('base64url') };
}

/**
 * Unwraps a proved message.
 *
 * @throws RoutyError `proof-wrong`, `enrol-message-broken`
 */
export function openProved(wrapped: EnrolMessage, type: string, proving: Proving): EnrolMessage {
  const body = textField(wrapped, 'body');
  const proof = Buffer.from(textField(wrapped, 'proof'), 'base64url');
  if (!equalBytes(bodyProof(body, proving), proof)) {
    throw new RoutyError('proof-wrong', `the ${proving.sender} did not prove the one-time secret`, {
      hint: 'copy ADDRESS#PIN again in full from the newcomer; it changes whenever the newcomer is started',
    });
  }
  const message = parseMessage(body);
  if (message.type === type) return message;
  throw brokenMessage(`a message "${type}" was expected`);
}

function bodyProof(body: string, proving: Proving): Buffer {
  return createHmac('sha256', proving.secret)
    .update(`routy-${proving.sender}\0`)
    .update(proving.exporter)
    .update(body)
    .digest();
}

/**
 * A text field of a message.
 *
 * @throws RoutyError `enrol-message-broken` when it is missing or not text
 */
export function textField(message: EnrolMessage, field: string): string {
  const value = message[field];
  if (typeof value === 'string') return value;
  throw brokenMessage(`"${field}" must be text`);
}

export function optionalTextField(message: EnrolMessage, field: string): string | undefined {
  return message[field] === undefined ? undefined : textField(message, field);
}

/** Anything caught, as a refusal that may be told to the other side. */
export function asRefusal(error: unknown): RoutyError {
  if (error instanceof RoutyError) return error;
  return new RoutyError('internal', errorText(error));
}

/**
 * The message in a JSON text.
 *
 * @throws RoutyError `enrol-message-broken`
 */
export function parseMessage(body: string): EnrolMessage {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw brokenMessage('it is not JSON', error);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw brokenMessage('it is not an object');
  }
  return value as EnrolMessage;
}

/** The error for a message that is not what it should be. */
export function brokenMessage(why: string, cause?: unknown): RoutyError {
  return new RoutyError('enrol-message-broken', `an enrolment message cannot be read: ${why}`, {
    hint: 'install the same version of routy on both nodes',
    cause,
  });
}

/** Another node's refusal as an error here. Its words are data: shortened, control characters out. */
export function refusalOf(message: EnrolMessage): RoutyError {
  const code = typeof message.code === 'string' ? message.code : '';
  const hint = printable(message.hint);
  return new PeerRefusal(
    /^[a-z][a-z0-9-]{0,40}$/.test(code) ? code : 'enrol-refused',
    printable(message.reason) ?? 'the other side refused without a reason',
    hint === undefined ? {} : { hint },
  );
}

/** A refusal that the other side sent: there is no use in sending it back. */
export class PeerRefusal extends RoutyError {}

function printable(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  return value.replace(/\p{C}/gu, ' ').slice(0, REASON_CHARS_MAX);
}
