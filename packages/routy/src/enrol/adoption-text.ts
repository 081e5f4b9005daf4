import { formatHostPort, parseTcpAddress, RoutyError, type TcpAddress } from '@routy/proto/base';
import { isPin } from '../pki/pin.ts';

const SECRET_PATTERN = /^[A-Za-z0-9_-]{22}$/;

/** What the newcomer prints and the adopter's operator pastes: `ADDRESS#KEYPIN.SECRET`. */
export interface AdoptionText {
  readonly address: TcpAddress;
  /** The pin of the newcomer's key. */
  readonly keyPin: string;
  /** 16 random bytes, base64url, good until the newcomer is adopted or stopped. */
  readonly secret: string;
}

export function formatAdoptionText({ address, keyPin, secret }: AdoptionText): string {
  return `${formatHostPort(address.host, address.port)}#${keyPin}.${secret}`;
}

/** @throws RoutyError `adoption-text-wrong` */
export function parseAdoptionText(text: string): AdoptionText {
  const compact = text.replace(/[\s'"`]/g, '');
  const hash = compact.indexOf('#');
  if (hash === -1) throw wrong('it has no # between address and pin');
  const address = parseTcpAddress(compact.slice(0, hash));
  if (address === undefined) {
    throw wrong(`${JSON.stringify(compact.slice(0, hash))} is not HOST:PORT`);
  }
  const [keyPin, secret, ...rest] = compact.slice(hash + 1).split('.');
  if (keyPin === undefined || !isPin(keyPin)) throw wrong('the pin after # is cut off or damaged');
  if (secret === undefined || !SECRET_PATTERN.test(secret) || rest.length > 0) {
    throw wrong('the secret after the pin is cut off or damaged');
  }
  return { address, keyPin, secret };
}

function wrong(why: string): RoutyError {
  return new RoutyError(
    'adoption-text-wrong',
    `this is not the ADDRESS#PIN of a newcomer: ${why}`,
    {
      hint: 'copy it again in full from what routy up --await-adoption printed',
    },
  );
}
