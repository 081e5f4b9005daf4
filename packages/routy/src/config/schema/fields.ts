import {
  type Address,
  formatDuration,
  formatSize,
  isName,
  type Parsed,
  parseAddress,
  parseDuration,
  parseSize,
  parseTcpAddress,
  type TcpAddress,
} from '@routy/proto/base';
import * as z from 'zod';

/**
 * `local`: may differ from node to node. `visible`: must fit what other nodes say, and a mistake
 * shows at once. `shared`: must be equal on every node and is compared at every handshake.
 */
export type SettingClass = 'local' | 'visible' | 'shared';

/** What is known of a key besides its type; the documentation is generated from it. */
export interface SettingMeta {
  readonly class: SettingClass;
  readonly description: string;
  /** What a value must be, after "expected": `a duration such as "5s"`. */
  readonly expects: string;
  /** A value as TOML writes it, for a message about a missing key. */
  readonly example: string;
  readonly unit?: 'duration' | 'size' | 'count' | undefined;
  /** As TOML writes it; absent for a key without default. */
  readonly default?: string | undefined;
  /** Permitted range, for people. */
  readonly range?: string | undefined;
  /** For editors: a regular expression the text must match. */
  readonly pattern?: string | undefined;
}

/** Every key of the schema with its meta. */
export const settings = z.registry<SettingMeta>();

type Common = Pick<SettingMeta, 'class' | 'description'>;
type Read<T> = { readonly value: T } | { readonly error: string };

const NAME_RULE = '1 to 63 of a-z, 0-9 and "-", not beginning or ending with "-"';
/** `sun_path` of Linux without its final zero, unix(7). */
const SOCKET_PATH_MAX = 107;
const NAME_PATTERN = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';

/** Duration field in milliseconds, within [min, max]; with a default when `initial` is given. */
export function duration(common: Common & { min: string; max: string; initial: string }) {
  const { min, max, initial } = common;
  const read = within(parseDuration, min, max, formatDuration);
  return textField(read)
    .prefault(initial)
    .register(settings, {
      ...about(common),
      expects: 'a duration such as "500ms", "5s" or "10m"',
      example: `"${initial}"`,
      unit: 'duration',
      default: `"${initial}"`,
      range: `${min} to ${max}`,
      pattern: '^\\d+\\s*(ms|s|m|h)$',
    });
}

/** Size field in bytes, within [min, max], with a default. */
export function size(common: Common & { min: string; max: string; initial: string }) {
  const { min, max, initial } = common;
  return textField(within(parseSize, min, max, formatSize))
    .prefault(initial)
    .register(settings, {
      ...about(common),
      expects: 'a size such as "64KiB", "4MiB" or "1GiB"',
      example: `"${initial}"`,
      unit: 'size',
      default: `"${initial}"`,
      range: `${min} to ${max}`,
      pattern: '^\\d+\\s*(B|KiB|MiB|GiB)$',
    });
}

/** Whole number within [min, max], with a default. */
export function count(common: Common & { min: number; max: number; initial: number }) {
  const { min, max, initial } = common;
  return z
    .int()
    .min(min)
    .max(max)
    .default(initial)
    .register(settings, {
      ...about(common),
      expects: `a whole number from ${min} to ${max}`,
      example: String(initial),
      unit: 'count',
      default: String(initial),
      range: `${min} to ${max}`,
    });
}

/** Name of a node, site or service. */
export function name(common: Common & { example: string }) {
  return textField((text) => readName(text)).register(settings, {
    ...about(common),
    expects: `a name such as "${common.example}"`,
    example: `"${common.example}"`,
    pattern: `^${NAME_PATTERN}$`,
  });
}

/** `host:port`. `dialled` addresses must have a port other than 0. */
export function tcpAddress(common: Common & { example: string; dialled: boolean }) {
  const read = (text: string): Read<TcpAddress> => readTcp(text, common.dialled, common.example);
  return textField(read).register(settings, {
    ...about(common),
    expects: `an address such as "${common.example}"`,
    example: `"${common.example}"`,
  });
}

/** `host:port` or `unix:/path`. */
export function address(common: Common & { example: string; dialled: boolean }) {
  const read = (text: string): Read<Address> => {
    if (!text.startsWith('unix:')) return readTcp(text, common.dialled, common.example);
    if (new TextEncoder().encode(text.slice('unix:'.length)).length > SOCKET_PATH_MAX) {
      return { error: `"${text}": a socket path has at most ${SOCKET_PATH_MAX} bytes` };
    }
    const parsed = parseAddress(text);
    if (parsed !== undefined) return { value: parsed };
    return { error: `"${text}" is not an absolute socket path; expected "unix:/run/app.sock"` };
  };
  return textField(read).register(settings, {
    ...about(common),
    expects: `an address such as "${common.example}" or "unix:/run/app.sock"`,
    example: `"${common.example}"`,
  });
}

/** Text with its own reader; no default. */
export function text<T>(
  meta: Omit<SettingMeta, 'unit' | 'range'>,
  read: (text: string) => Read<T>,
): z.ZodType<T, string> {
  return textField(read).register(settings, meta);
}

/** One of a few words, with an optional default. */
export function choice<const T extends readonly [string, ...string[]]>(
  common: Common & { values: T },
) {
  return z.enum(common.values).register(settings, {
    ...about(common),
    expects: oneOf(common.values),
    example: `"${common.values[0]}"`,
  });
}

/** A word of a few, with a default. */
export function choiceWithDefault<const T extends readonly [string, ...string[]]>(
  common: Common & { values: T; initial: T[number] },
) {
  return z
    .enum(common.values)
    .default(common.initial as never)
    .register(settings, {
      ...about(common),
      expects: oneOf(common.values),
      example: `"${common.initial}"`,
      default: `"${common.initial}"`,
    });
}

/** A name that keeps the rules, or what is wrong with it. */
export function readName(text: string): Read<string> {
  if (isName(text)) return { value: text };
  const likely = text
    .trim()
    .toLowerCase()
    .replace(/[\s_.]+/g, '-');
  const advice = isName(likely) ? `; did you mean "${likely}"?` : '';
  return { error: `"${text}" is not a name: ${NAME_RULE}${advice}` };
}

function about(common: Common): Common {
  return { class: common.class, description: common.description };
}

function textField<T>(read: (text: string) => Read<T>) {
  return z.string().transform((value, context): T => {
    const result = read(value);
    if ('value' in result) return result.value;
    context.addIssue({ code: 'custom', message: result.error });
    return z.NEVER;
  });
}

function within(
  parse: (text: string) => Parsed,
  min: string,
  max: string,
  format: (value: number) => string,
): (text: string) => Read<number> {
  const least = amountOf(parse(min));
  const most = amountOf(parse(max));
  return (text) => {
    const parsed = parse(text);
    if ('error' in parsed) return parsed;
    if (parsed.value >= least && parsed.value <= most) return parsed;
    return { error: `"${text}" is out of range: ${format(least)} to ${format(most)}` };
  };
}

function amountOf(parsed: Parsed): number {
  return 'value' in parsed ? parsed.value : Number.NaN;
}

function readTcp(text: string, dialled: boolean, example: string): Read<TcpAddress> {
  const parsed = parseTcpAddress(text);
  if (parsed === undefined) return { error: addressError(text, example) };
  if (/^fe[89ab][0-9a-f]:[^%]*$/i.test(parsed.host)) {
    return {
      error: `"${text}": a link-local address needs its interface, such as "[${parsed.host}%eth0]:${parsed.port}"`,
    };
  }
  if (dialled && parsed.port === 0) return { error: `"${text}": nothing can be dialled at port 0` };
  return { value: parsed };
}

function addressError(text: string, example: string): string {
  const expected = `expected host:port such as "${example}"`;
  if (/^\d+$/.test(text)) return `"${text}" is a port without a host; ${expected}`;
  if (text.includes('://')) return `"${text}" is a URL; ${expected}`;
  if (/^[0-9a-fA-F:]+:[0-9a-fA-F:]*$/.test(text) && text.split(':').length > 2) {
    return `"${text}": an IPv6 address needs brackets, such as "[::1]:7443"`;
  }
  const port = /^[^:\s]+:(\d+)$/.exec(text)?.[1];
  if (port !== undefined) return `"${text}": port ${port} is out of range: 1 to 65535`;
  if (!text.includes(':')) return `"${text}" has no port; ${expected}`;
  return `"${text}" is not an address; ${expected}`;
}

function oneOf(values: readonly string[]): string {
  const quoted = values.map((value) => `"${value}"`);
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}
