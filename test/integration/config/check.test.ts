import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type CheckOptions,
  type CheckReport,
  checkConfig,
  renderReport,
} from '../../../packages/routy/src/config/check.ts';
import { renderProblems } from '../../../packages/routy/src/config/toml/problems.ts';

const fixtures = fileURLToPath(new URL('./broken-configs', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'routy-check-'));
after(() => rmSync(root, { recursive: true }));

interface Machine {
  /** The file with `@STATE@` in place of the state directory. */
  readonly template: string;
  /** The state directory, as `init` on the CA's node leaves it for red/red1 and gray/gray1. */
  readonly state: string;
  readonly config: string;
}

let machines = 0;

function machineWith(template: string): Machine {
  const directory = join(root, String(machines++));
  const state = join(directory, 'state');
  mkdirSync(join(state, 'ca'), { recursive: true, mode: 0o700 });
  for (const file of ['node.key', 'node.crt', 'ca.crt', 'ca.key']) {
    writeFileSync(join(state, file), '', { mode: 0o600 });
  }
  const issued = [
    { site: 'red', node: 'red1' },
    { site: 'gray', node: 'gray1' },
  ];
  const journal = issued.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  writeFileSync(join(state, 'ca', 'issued.jsonl'), journal);
  const config = join(directory, 'routy.toml');
  writeFileSync(config, template.replaceAll('@STATE@', state), { mode: 0o644 });
  return { template, state, config };
}

async function check(machine: Machine, options: CheckOptions = {}): Promise<CheckReport> {
  return await checkConfig(machine.config, { unprivilegedPortMin: 1024, ...options });
}

/** As printed, had the machine's paths been `@STATE@` and `routy.toml`. */
function printed(machine: Machine, report: CheckReport): string {
  const problems = report.problems.map((problem) => ({
    ...problem,
    message: neutral(machine, problem.message),
    hint: problem.hint && neutral(machine, problem.hint),
  }));
  return renderProblems(problems, machine.template, 'routy.toml');
}

function neutral(machine: Machine, text: string): string {
  return text.replaceAll(machine.state, '@STATE@').replaceAll(machine.config, 'routy.toml');
}

/** What is broken besides the file. */
const BREAK: Readonly<Record<string, (machine: Machine) => CheckOptions | undefined>> = {
  'missing-key-file': ({ state }) => {
    rmSync(join(state, 'node.key'));
    return undefined;
  },
  'readable-key': ({ state }) => {
    chmodSync(join(state, 'node.key'), 0o644);
    return undefined;
  },
  'missing-state': ({ state }) => {
    rmSync(state, { recursive: true });
    return undefined;
  },
  'other-certificate': () => ({
    credentialsProblem: (_state, node, site) => ({
      message: `the certificate is for gray/gray1, not for ${site}/${node}`,
      hint: 'correct name and site in [node], or enrol this node',
    }),
  }),
};

const names = readdirSync(fixtures)
  .filter((file) => file.endsWith('.toml'))
  .map((file) => file.slice(0, -'.toml'.length));

test('there are ten broken files or more, and nothing breaks a file that is not there', () => {
  assert.ok(names.length >= 10);
  assert.deepEqual(
    Object.keys(BREAK).filter((name) => !names.includes(name)),
    [],
  );
});

for (const name of names) {
  test(`broken file: ${name}`, async () => {
    const machine = machineWith(readFileSync(join(fixtures, `${name}.toml`), 'utf8'));
    const report = await check(machine, BREAK[name]?.(machine));
    assert.equal(report.ok, false);
    const expected = readFileSync(join(fixtures, `${name}.txt`), 'utf8');
    assert.equal(`${printed(machine, report)}\n`, expected);
  });
}

const GOOD = `[node]
name = "red1"
site = "red"
state = "@STATE@"

[[peer]]
address = "gray.example:7443"

[service.postgres]
target = "127.0.0.1:5432"
allow = ["gray", "gray/gray1"]
`;

test('a good file on a good machine has nothing to say', async () => {
  const machine = machineWith(GOOD);
  const report = await check(machine, { credentialsProblem: () => undefined });
  assert.equal(printed(machine, report), '');
  assert.equal(report.ok, true);
  assert.equal(report.config?.node.name, 'red1');
});

test('an invited site and the site of a forward are known; without a CA here every site is', async () => {
  const text = GOOD.replace('"gray/gray1"', '"blue", "green", "green/green1"');
  const forward = '[[forward]]\nlisten = "127.0.0.1:6432"\nto = "blue/x"\n';
  const machine = machineWith(text + forward);
  const before = await check(machine);
  assert.deepEqual(
    before.problems.map((problem) => problem.path),
    ['service.postgres.allow.2', 'service.postgres.allow.3'],
  );
  mkdirSync(join(machine.state, 'invites'));
  const invite = { site: 'green', node: 'green1' };
  writeFileSync(join(machine.state, 'invites', 'x.json'), JSON.stringify(invite));
  assert.equal(printed(machine, await check(machine)), '');

  const elsewhere = machineWith(text + forward);
  rmSync(join(elsewhere.state, 'ca'), { recursive: true });
  assert.equal(printed(elsewhere, await check(elsewhere)), '');
});

test('a journal line that a crash cut off is passed over', async () => {
  const machine = machineWith(GOOD);
  appendFileSync(join(machine.state, 'ca', 'issued.jsonl'), '{"site":"blu');
  assert.equal(printed(machine, await check(machine)), '');
});

test('certificates are not looked at while their files are missing or unsafe', async () => {
  const machine = machineWith(GOOD);
  chmodSync(join(machine.state, 'ca.key'), 0o640);
  const report = await check(machine, {
    credentialsProblem: () => assert.fail('asked for certificates'),
  });
  assert.equal(
    printed(machine, report),
    `routy.toml:4:9: error: private key @STATE@/ca.key can be read by others (mode 0640)
    4 | state = "@STATE@"
      |         ^^^^^^^^^
  hint: chmod 600 @STATE@/ca.key; if somebody may have read it, enrol with a new key`,
  );
});

test('a native plane that cannot be had here is a warning; nobody else is asked for one', async () => {
  const native = machineWith(GOOD.replace('[node]\n', '[node]\ndata_plane = "native"\n'));
  const report = await check(native, { planeMissing: async () => 'not on darwin' });
  assert.equal(report.ok, true);
  assert.match(
    printed(native, report),
    /^routy\.toml:2:14: warning: the native data plane cannot be had here: not on darwin\n[\s\S]*hint: the node will run/,
  );
  assert.equal(printed(native, await check(native, { planeMissing: async () => undefined })), '');
  await check(machineWith(GOOD), { planeMissing: () => assert.fail('asked for a plane') });
});

test('what is doubtful is a warning and leaves the file usable', async () => {
  const text = `${GOOD.replace('allow = ["gray", "gray/gray1"]\n', '')}
[[peer]]
address = "other.example:7443"
via = "http://user:secret@proxy.example:3128"

[[forward]]
listen = "127.0.0.1:0"
to = "gray/x"
`;
  const machine = machineWith(text);
  chmodSync(machine.state, 0o755);
  chmodSync(machine.config, 0o664);
  const report = await check(machine);
  assert.equal(report.ok, true);
  assert.notEqual(report.config, undefined);
  assert.deepEqual(
    report.problems.map(({ line, severity, message }) => [
      line,
      severity,
      neutral(machine, message),
    ]),
    [
      [4, 'warning', 'state directory @STATE@ is open to others (mode 0755)'],
      [9, 'warning', 'nobody may open service "postgres": allow is empty'],
      [14, 'warning', '"via" holds a password, and everybody may read routy.toml (mode 0664)'],
      [17, 'warning', 'port 0 is another port at every start'],
      [0, 'warning', 'others than its owner may change routy.toml (mode 0664)'],
    ],
  );
});

test('missing certificates and a node with nothing to carry are told', async () => {
  const machine = machineWith(GOOD.slice(0, GOOD.indexOf('[service')));
  rmSync(join(machine.state, 'node.crt'));
  rmSync(join(machine.state, 'ca.crt'));
  const report = await check(machine);
  assert.deepEqual(
    report.problems.map(({ severity, message }) => [severity, neutral(machine, message)]),
    [
      ['error', 'certificate @STATE@/node.crt is missing'],
      ['error', "the fabric's CA certificate @STATE@/ca.crt is missing"],
      ['warning', 'there is neither a service nor a forward: nothing would be carried'],
    ],
  );
});

test('the report is printed with the path that was asked for', async () => {
  const machine = machineWith(GOOD.replace('"red1"', '5'));
  const report = await check(machine);
  assert.equal(
    renderReport(report).split('\n')[0],
    `${machine.config}:2:8: error: "name" in [node]: expected a name such as "red1", got the number 5`,
  );
});

test('a file that is not there is an error of its own', async () => {
  await assert.rejects(checkConfig(join(root, 'nowhere.toml')), { code: 'config-unreadable' });
});
