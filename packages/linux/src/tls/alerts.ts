/** Alert descriptions of RFC 8446 §6, by their numbers on the wire. */
const ALERTS = {
  close_notify: 0,
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_revoked: 44,
  certificate_expired: 45,
  certificate_unknown: 46,
  illegal_parameter: 47,
  unknown_ca: 48,
  access_denied: 49,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  insufficient_security: 71,
  internal_error: 80,
  inappropriate_fallback: 86,
  user_canceled: 90,
  missing_extension: 109,
  unsupported_extension: 110,
  unrecognized_name: 112,
  bad_certificate_status_response: 113,
  unknown_psk_identity: 115,
  certificate_required: 116,
  no_application_protocol: 120,
} as const;

export type AlertName = keyof typeof ALERTS;

const NAMES = new Map<number, string>(Object.entries(ALERTS).map(([name, code]) => [code, name]));

/** Of an alert that is not a close (RFC 8446 §6.2), and of one that is (§6.1). */
const FATAL = 2;
const WARNING = 1;

/** The two bytes of an alert (RFC 8446 §6). */
export function alertBytes(name: AlertName): Uint8Array {
  return Uint8Array.of(name === 'close_notify' ? WARNING : FATAL, ALERTS[name]);
}

/** By its number; one that is not known is named by it. */
export function alertName(code: number): string {
  return NAMES.get(code) ?? `alert ${code}`;
}

/** What the peer did against the protocol, and the alert that says so; ends the connection. */
export class ProtocolViolation extends Error {
  readonly alert: AlertName;

  constructor(alert: AlertName, message: string) {
    super(message);
    this.alert = alert;
  }
}
