import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LinkBehaviour, StreamResetError } from '../../../packages/link/src/index.ts';
import { type MemoryLab, memoryLab, TEXT, textOf } from '../../support/link-lab.ts';

/** What the process is warned of with a code while `run` goes on. */
async function warningsOf(code: string, run: (lab: MemoryLab) => Promise<void>): Promise<string[]> {
  const lab = await memoryLab();
  const warnings: (Error & { code?: string })[] = [];
  const hear = (warning: Error) => void warnings.push(warning);
  process.on('warning', hear);
  await run(lab);
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', hear);
  await lab.close();
  return warnings.filter((warning) => warning.code === code).map(({ message }) => message);
}

describe('a failure that nobody listens for is a warning of the process', {
  timeout: 120_000,
}, () => {
  test('of an accept function; a refusal is none', async () => {
    const warnings = await warningsOf('ROUTY_ACCEPT_FAILED', async (lab) => {
      const failing = async (error: Error) => {
        lab.gray.protocol({
          name: 'fails',
          accept: () => {
            throw error;
          },
        });
        const messages = textOf(await lab.red.dial(lab.at).open({ protocol: 'fails' }));
        await assert.rejects(messages.receive(), { message: error.message });
      };
      await failing(new StreamResetError('not-allowed', 'on purpose'));
      await failing(new Error('by mistake'));
    });
    assert.deepEqual(warnings, ['the accept or reply function of fails has failed: by mistake']);
  });

  test('of a conversation; one that was stopped, and one that is watched, are none', async () => {
    const warnings = await warningsOf('ROUTY_CONVERSATION_FAILED', async (lab) => {
      const behaviours: Record<string, LinkBehaviour<string>> = {
        unseen: {},
        awaited: {},
        watched: { status: () => undefined },
      };
      const over = Object.entries(behaviours).map(([protocol, behaviour]) => {
        lab.gray.protocol({ name: protocol, accept: async (stream) => textOf(stream).send('one') });
        const { promise, resolve } = withResolvers();
        const message = () => {
          // Behind the failure: the conversation is over by then.
          setImmediate(resolve);
          throw new Error('the disk is full');
        };
        const conversation = lab.red.converse('gray/gray1', {
          ...{ protocol, codecs: { 1: TEXT }, behaviour: { ...behaviour, message } },
        });
        return protocol === 'awaited' ? conversation.ended : promise;
      });
      lab.red.converse('gray/gray1', {
        ...{ protocol: 'stopped', codecs: { 1: TEXT }, behaviour: {} },
      });
      lab.red.dial(lab.at);
      await Promise.all(over);
    });
    const text = 'the conversation in unseen has ended by a failure: message: the disk is full';
    assert.deepEqual(warnings, [text]);
  });
});

function withResolvers() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
