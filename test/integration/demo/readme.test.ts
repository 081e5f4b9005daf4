import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../../demo/network/ports.ts';
import { parseConfig } from '../../../packages/routy/src/config/load.ts';
import { cliOk, echoServer, Home, Running, scratch } from '../../support/nodes/cli-support.ts';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

test('the configuration in the README is valid', () => {
  const blocks = [...README.matchAll(/```toml\n([\s\S]*?)```/g)].map((match) => match[1]!);
  assert.ok(blocks.length > 0, 'no configuration in the README');
  for (const text of blocks) parseConfig(text, 'README.md');
});

test('the README: the CA on the node that is dialled', async (t) => {
  const pair = await Pair.of(t, 'The CA on the node that is dialled');
  const [init, grayUp] = pair.commands.gray;
  const [join, redUp] = pair.commands.red;
  const line = /routy-join-1:[^']+/.exec(await cliOk(...init!))?.[0];
  assert.ok(line !== undefined, 'init prints no join line');
  const gray = new Running(t, ...grayUp!);
  await gray.printed(/"event":"node-up"/);
  await cliOk(...join!.map((word) => (word.startsWith('routy-join-1:') ? line : word)));
  await pair.assertBytesFlow({ gray, red: new Running(t, ...redUp!) });
});

test('the README: the CA inside', async (t) => {
  const pair = await Pair.of(t, 'The CA inside');
  const [awaitAdoption] = pair.commands.gray;
  const [init, adopt] = pair.commands.red;
  const gray = new Running(t, ...awaitAdoption!);
  const [pin] = await gray.printed(/127\.0\.0\.1:\d+#[\w.-]+/);
  await cliOk(...init!);
  const red = new Running(t, ...adopt!.map((word) => (word.endsWith('#PIN') ? pin : word)));
  await pair.assertBytesFlow({ gray, red });
});

type Side = 'gray' | 'red';

/** Two nodes to be made by the commands of one section, each in a directory of its own. */
class Pair {
  readonly commands: Readonly<Record<Side, string[][]>>;
  readonly #forwards: Readonly<Record<Side, number>>;

  private constructor(commands: Record<Side, string[][]>, forwards: Record<Side, number>) {
    this.commands = commands;
    this.#forwards = forwards;
  }

  /** The first block of the section is typed on gray, the second on red. */
  static async of(t: TestContext, title: string): Promise<Pair> {
    const directory = scratch(t);
    const home = { gray: new Home(directory, 'gray'), red: new Home(directory, 'red') };
    const ports = await freePorts(['lanes', 'gray', 'red']);
    const blocks = codeBlocks(title);
    assert.equal(blocks.length, 2, `the section "${title}" has not one block a side`);
    const onSide = async (side: Side, block: string): Promise<string[][]> => {
      const target = await echoServer(t);
      return commandsIn(block).map((words) => {
        const here = words.map((word) =>
          word
            .replace(/(0\.0\.0\.0|gray\.example):7443/, `127.0.0.1:${ports.lanes}`)
            .replace('127.0.0.1:5432', target)
            .replace('127.0.0.1:6432', `127.0.0.1:${ports[side]}`),
        );
        return [...here, ...(makesNode(here) ? home[side].made : home[side].at)];
      });
    };
    const commands = {
      gray: await onSide('gray', blocks[0]!),
      red: await onSide('red', blocks[1]!),
    };
    for (const side of ['gray', 'red'] as const) {
      assert.ok(commands[side].length <= 2, `more than two commands on ${side}`);
    }
    return new Pair(commands, ports);
  }

  async assertBytesFlow(nodes: Readonly<Record<Side, Running>>): Promise<void> {
    for (const side of ['gray', 'red'] as const) {
      await nodes[side].printed(/"event":"forward-listening"/);
      const socket = connect({ host: '127.0.0.1', port: this.#forwards[side] });
      socket.write(`from ${side}`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      assert.equal(answer.toString(), `from ${side}`);
    }
  }
}

/** The code blocks without a language below a heading of the third level. */
function codeBlocks(title: string): string[] {
  const section = README.split(/^### /m).find((text) => text.startsWith(`${title}\n`));
  assert.ok(section !== undefined, `the README has no section "${title}"`);
  return [...section.matchAll(/^```\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
}

/** Each `routy …` of a block as its words, without `routy`, continuation lines joined. */
function commandsIn(block: string): string[][] {
  const lines = block.replaceAll('\\\n', ' ').trim().split('\n');
  return lines.map((line) => {
    const [program, ...words] = line.trim().split(/\s+/);
    assert.equal(program, 'routy', line);
    return words.map((word) => word.replaceAll("'", ''));
  });
}

function makesNode(words: readonly string[]): boolean {
  return ['init', 'join'].includes(words[0]!) || words.includes('--await-adoption');
}
