/**
 * The sums of `@routy/link/stats` as metrics of prom-client, which its user brings along.
 *
 * @module @routy/link/prometheus
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ClassSnapshot, Counters, Statistics } from '../stats/statistics.ts';

const LABELS = ['class', 'kind'] as const;

const COUNTERS: Readonly<Record<keyof Counters, readonly [name: string, help: string]>> = {
  bytesSent: ['sent_bytes_total', 'Bytes sent'],
  bytesReceived: ['received_bytes_total', 'Bytes received'],
  messagesSent: ['sent_messages_total', 'Messages sent'],
  messagesReceived: ['received_messages_total', 'Messages received'],
  retries: ['retries_total', 'What was tried again'],
  drops: ['drops_total', 'Messages that were dropped'],
};

/**
 * Shows the sums by class as metrics of `registry`, taken when it is asked. Single streams are not
 * shown: their number has no bound. The user of the link brings prom-client along.
 */
export function registerStatistics(
  registry: Registry,
  statistics: Statistics,
  prefix = 'routy_link_',
): void {
  const classes = () => statistics.snapshot().classes;
  for (const key of Object.keys(COUNTERS) as (keyof Counters)[]) {
    const [name, help] = COUNTERS[key];
    new Counter({
      name: prefix + name,
      help,
      labelNames: LABELS,
      registers: [registry],
      // A counter of prom-client cannot be set; the sums themselves never run backwards.
      collect() {
        this.reset();
        for (const sum of classes()) this.inc(labelsOf(sum), sum.counters[key]);
      },
    });
  }
  new Gauge({
    name: `${prefix}live`,
    help: 'Streams, conversations or sessions that have not ended',
    labelNames: LABELS,
    registers: [registry],
    collect() {
      for (const sum of classes()) this.set(labelsOf(sum), sum.live);
    },
  });
  new Gauge({
    name: `${prefix}rtt_seconds`,
    help: 'Round trip measured last',
    labelNames: LABELS,
    registers: [registry],
    collect() {
      for (const sum of classes()) {
        if (sum.rttMs !== undefined) this.set(labelsOf(sum), sum.rttMs / 1000);
      }
    },
  });
}

function labelsOf({ kind, class: className }: ClassSnapshot): { kind: string; class: string } {
  return { kind, class: className };
}
