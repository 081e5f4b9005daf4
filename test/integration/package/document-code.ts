import { codeBlocks } from './markdown.ts';

/** What the blocks of documents take for granted, by its name. */
const GIVEN: Readonly<Record<string, string>> = {
  link: 'import("@routy/link").Link',
  peer: 'import("@routy/link").Peer',
  stream: 'import("@routy/link").LinkStream',
  messages: 'import("@routy/link/streams").MessageStream<string>',
  credentials: 'import("@routy/link").TlsCredentials',
  redCredentials: 'import("@routy/link").TlsCredentials',
  grayCredentials: 'import("@routy/link").TlsCredentials',
  TEXT: 'import("@routy/link/streams").MessageCodec<string>',
  signal: 'AbortSignal',
  nextName: '(signal: AbortSignal) => Promise<string>',
  nodesOf:
    '(name: string | number, signal: AbortSignal) => Promise<{ site: string; host: string; port: number }[]>',
};

/** The TypeScript of a document, each block as a module of its own. */
export function compiledBlocks(document: string): string[] {
  return codeBlocks(document)
    .filter(({ language }) => language === 'ts')
    .map(({ text }) => `${givenTo(text)}${text}\nexport {};\n`);
}

/** Declares what a block uses and does not make itself. */
function givenTo(text: string): string {
  const names = Object.keys(GIVEN).filter(
    (name) =>
      new RegExp(`\\b${name}\\b`).test(text) &&
      !new RegExp(`\\b(?:const|let|function) ${name}\\b`).test(text),
  );
  return names.map((name) => `declare const ${name}: ${GIVEN[name]};\n`).join('');
}

/** In a sentence: `` `NatMap` of `@routy/link/locators` ``, `` `Transport` and `Lane` of … ``. */
const OF_ENTRY = /((?:`\w+`(?:,\s+|\s+and\s+)?)+)\s+of\s+`(@routy\/link[\w/]*)`/g;
/** In a sentence: `` `peer.vitals` ``, `` `stream.become({ … })` ``. */
const MEMBER = /`(link|peer|stream|messages)\.(\w+)/g;

/** In a table: `` | event of a peer | ``, and the names before the second bar. */
const EVENTS = /^\| event of a (peer|link) \|.*\n\|[-|]*\n((?:\|.*\n)+)/gm;
const EVENT_TYPES = { peer: 'PeerEvents', link: 'LinkEvents' };

/** Assigns the events of the tables to all there are: none is missing and none is made up. */
function eventsOf(document: string): string[] {
  return [...document.matchAll(EVENTS)].map(([, of, rows], i) => {
    const names = rows!
      .split('\n')
      .flatMap((row) => [...(row.split('|')[1]?.matchAll(/`(\w+)`/g) ?? [])]);
    const type = `import('@routy/link').${EVENT_TYPES[of as 'peer' | 'link']}`;
    const list = names.map(([, name]) => `${name}: true`).join(', ');
    return `export const events${i}: Record<keyof ${type}, true> = { ${list} };\n`;
  });
}

/** A module that uses everything the sentences of a document say is there. */
export function mentionsOf(document: string): string {
  const prose = document.replace(/^```.*?^```$/gms, '');
  const types = [...prose.matchAll(OF_ENTRY)].flatMap(([, names, entry]) =>
    [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => [name!, entry!] as const),
  );
  const imports = types.map(
    ([name, entry], i) => `import { type ${name} as Named${i} } from '${entry}';\n`,
  );
  const members = [...prose.matchAll(MEMBER)].map(([, of, name]) => `void ${of}.${name};\n`);
  const given = ['link', 'peer', 'stream', 'messages'].map(
    (name) => `declare const ${name}: ${GIVEN[name]};\n`,
  );
  return [...imports, ...given, ...new Set(members), ...eventsOf(document), 'export {};\n'].join(
    '',
  );
}
