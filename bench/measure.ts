import { readdirSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

/** Linux reports process times in ticks of 1/100 s to user space on every architecture we run on. */
const TICKS_PER_SECOND = 100;

/** The processes that make up a tunnel: red dials and stands by the service, gray listens. */
export interface NodePids {
  readonly red: readonly number[];
  readonly gray: readonly number[];
}

/** One number for each node of a tunnel. */
export interface PerNode {
  readonly red: number;
  readonly gray: number;
}

/** CPU seconds, user and system, used so far by a process and all its threads. Source: proc(5). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name in field 2 may hold spaces; what follows its last ')' starts with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process in bytes (VmRSS). */
function rssBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib ?? 0) * 1024;
}

export function cpuOf(pids: NodePids): PerNode {
  return { red: sum(pids.red, cpuSeconds), gray: sum(pids.gray, cpuSeconds) };
}

export function rssOf(pids: NodePids): PerNode {
  return { red: sum(pids.red, rssBytes), gray: sum(pids.gray, rssBytes) };
}

/** A process and everything below it; sshd, for one, forks for each connection. */
export function withDescendants(pid: number): number[] {
  const found = [pid];
  for (let index = 0; index < found.length; index++) {
    const parent = found[index]!;
    for (const task of readdirSync(`/proc/${parent}/task`)) {
      const children = readFileSync(`/proc/${parent}/task/${task}/children`, 'latin1');
      for (const child of children.split(' ')) if (child !== '') found.push(Number(child));
    }
  }
  return found;
}

/** The middle value, or the mean of the two in the middle; null of nothing. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly kernel: string;
  readonly node: string;
  /** Load average of the last minute when the bench began. */
  readonly loadAtStart: number;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    loadAtStart: Math.round(loadavg()[0]! * 100) / 100,
  };
}

function sum(pids: readonly number[], of: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + of(pid), 0);
}
