import { fileURLToPath } from 'node:url';

/** Machines that lack something that the native data plane needs. */
export type FakeMachine =
  | 'no-koffi'
  | 'broken-koffi'
  | 'no-accept4'
  | 'no-epoll'
  | 'darwin'
  | 'riscv64';

const PRELOADED = fileURLToPath(new URL('./fake-machine-preload.mjs', import.meta.url));

/** What is started meanwhile finds itself on such a machine; this process does not. */
export async function onMachine<T>(machine: FakeMachine, start: () => Promise<T>): Promise<T> {
  const { NODE_OPTIONS, ROUTY_TEST_MACHINE } = process.env;
  process.env.NODE_OPTIONS = `${NODE_OPTIONS ?? ''} --import=${PRELOADED}`;
  process.env.ROUTY_TEST_MACHINE = machine;
  try {
    return await start();
  } finally {
    restore({ NODE_OPTIONS, ROUTY_TEST_MACHINE });
  }
}

function restore(before: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
