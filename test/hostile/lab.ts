import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpuSeconds } from '../../bench/measure.ts';
import { freePort } from '../../bench/processes.ts';
import type { TlsCredentials } from '../../packages/link/src/transport/lane.ts';
import type { NodeStatus } from '../../packages/routy/src/status/status.ts';
import { Daemon, runOk, until } from '../support/process.ts';
import { getJson, joinLineIn } from '../support/nodes/routy.ts';
import { issuePapers } from '../support/nodes/routy-intruder.ts';
import type { AttackerOptions } from './attacker.ts';
import type { AttackOrder } from './attacker-main.ts';
import type { TargetPorts } from './targets-main.ts';

const CLI = fileURLToPath(new URL('../../packages/routy/dist/cli/main.js', import.meta.url));

/** In seconds. */
export interface CpuUse {
  readonly gray: number;
  readonly hostile: number;
}

export interface AttackResult {
  readonly rounds: number;
  readonly errors: readonly string[];
}

/**
 * gray/gray1 under attack, with default limits, and an honest tunnel through it: clients of
 * blue/blue1 reach services of gray. The attacker has the papers of red/red1.
 */
export class HostileLab {
  readonly directory = mkdtempSync(join(tmpdir(), 'routy-hostile-'));
  readonly #daemons: Daemon[] = [];
  /** The attacker and the targets behind the services that it may use. */
  readonly #hostile: Daemon[] = [];
  #gray!: Daemon;
  #attacker!: Daemon;
  #ports!: { readonly honestEcho: number; readonly honestSource: number };

  static async start(): Promise<HostileLab> {
    const lab = new HostileLab();
    try {
      await lab.#start();
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  /** Local ports of blue that lead to an echo and to a source of bytes at gray. */
  get ports() {
    return this.#ports;
  }

  get grayPid(): number {
    return this.#gray.pid;
  }

  get grayRuns(): boolean {
    return this.#gray.running;
  }

  /** Used so far by gray, and by the attacker and its targets. */
  cpuSeconds(): CpuUse {
    const hostile = this.#hostile.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
    return { gray: cpuSeconds(this.grayPid), hostile };
  }

  /** Everything that gray has written to its log. */
  grayLog(): string {
    return readFileSync(this.#gray.logFile, 'utf8');
  }

  async status(): Promise<NodeStatus> {
    return (await getJson(join(this.directory, 'gray', 'admin.sock'), '/status')) as NodeStatus;
  }

  /** Has the attacker do one thing for so long. */
  attack(order: AttackOrder): Promise<AttackResult> {
    const { child } = this.#attacker;
    return new Promise((resolve, reject) => {
      const onExit = (): void =>
        reject(new Error(`the attacker ended: ${this.#attacker.output()}`));
      child.once('exit', onExit);
      child.once('message', (result: AttackResult) => {
        child.off('exit', onExit);
        resolve(result);
      });
      child.send(order);
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#daemons.map((daemon) => daemon.stop('SIGTERM', 10_000)));
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const [honest, hostile] = await Promise.all([
      this.#targets('honest'),
      this.#targets('hostile'),
    ]);
    const lanes = await freePort();
    const trap = await freePort();
    const line = await this.#initGray(lanes);
    this.#configureGray({ lanes, trap, honest, hostile });
    this.#gray = this.#node('gray');
    await until('gray listens', async () => (await this.status()).listening);
    await runOk(process.execPath, [CLI, 'join', line, ...this.#at('blue'), '--node', 'blue1']);
    this.#ports = { honestEcho: await freePort(), honestSource: await freePort() };
    const { honestEcho, honestSource } = this.#ports;
    this.#append('blue', forward(honestEcho, 'gray/honest-echo', 'hold 5s'));
    this.#append('blue', forward(honestSource, 'gray/honest-source', 'hold 5s'));
    this.#node('blue');
    await until('blue is up', async () => (await this.status()).peers[0]?.state === 'up');
    await this.#startAttacker(lanes, trap);
  }

  async #targets(name: string): Promise<TargetPorts> {
    const daemon = this.#script(`targets-${name}`, './targets-main.ts');
    if (name === 'hostile') this.#hostile.push(daemon);
    return new Promise((resolve) => daemon.child.once('message', resolve));
  }

  /** Inits gray and gives a join line for blue. */
  async #initGray(lanes: number): Promise<string> {
    const made = ['init', '--site', 'gray', '--node', 'gray1', '--invite', 'blue'];
    const listen = ['--listen', `127.0.0.1:${lanes}`];
    return joinLineIn(
      await runOk(process.execPath, [CLI, ...made, ...listen, ...this.#at('gray')]),
    );
  }

  #configureGray(ports: {
    lanes: number;
    trap: number;
    honest: TargetPorts;
    hostile: TargetPorts;
  }): void {
    const { honest, hostile } = ports;
    this.#append('gray', service('honest-echo', honest.echo, 'blue'));
    this.#append('gray', service('honest-source', honest.source, 'blue'));
    this.#append('gray', service('secret', honest.echo, 'blue'));
    this.#append('gray', service('echo', hostile.echo, 'red'));
    this.#append('gray', service('sink', hostile.sink, 'red'));
    this.#append('gray', service('source', hostile.source, 'red'));
    this.#append('gray', service('stuck', hostile.stuck, 'red'));
    // Nothing listens at the discard port of this machine.
    this.#append('gray', service('dead', 9, 'red'));
    this.#append('gray', forward(ports.trap, 'red/trap', 'hold 1s'));
  }

  async #startAttacker(port: number, trapPort: number): Promise<void> {
    const red = await issuePapers(join(this.directory, 'gray'), this.directory, {
      site: 'red',
      node: 'red1',
    });
    const papers: TlsCredentials = {
      identity: red.identity,
      keyPem: readFileSync(red.keyFile, 'utf8'),
      certChainPem: readFileSync(red.certFile, 'utf8'),
      caPem: readFileSync(join(this.directory, 'gray', 'ca.crt'), 'utf8'),
    };
    this.#attacker = this.#script('attacker', './attacker-main.ts');
    this.#hostile.push(this.#attacker);
    this.#attacker.child.send({ port, trapPort, papers } satisfies AttackerOptions);
  }

  #at(name: string): string[] {
    return ['--config', this.#file(`${name}.toml`), '--state', this.#file(name)];
  }

  #file(name: string): string {
    return join(this.directory, name);
  }

  #append(name: string, toml: string): void {
    appendFileSync(this.#file(`${name}.toml`), toml);
  }

  #node(name: string): Daemon {
    const up = [
      '-c',
      'ulimit -n 65536; exec "$@"',
      'sh',
      process.execPath,

      CLI,
      'up',
    ];
    return this.#daemon(name, '/bin/sh', [...up, '--config', this.#file(`${name}.toml`)], false);
  }

  #script(name: string, file: string): Daemon {
    const main = fileURLToPath(new URL(file, import.meta.url));
    return this.#daemon(name, process.execPath, ['--import', 'tsx', main], true);
  }

  #daemon(name: string, command: string, args: readonly string[], ipc: boolean): Daemon {
    const daemon = new Daemon(name, command, args, { logFile: this.#file(`${name}.log`), ipc });
    this.#daemons.push(daemon);
    return daemon;
  }
}

function service(name: string, port: number, allow: string): string {
  return `\n[service.${name}]\ntarget = "127.0.0.1:${port}"\nallow = ["${allow}"]\n`;
}

function forward(port: number, to: string, unavailable: string): string {
  const listen = `listen = "127.0.0.1:${port}"`;
  return `\n[[forward]]\n${listen}\nto = "${to}"\nunavailable = "${unavailable}"\n`;
}
