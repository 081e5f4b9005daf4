import type { LogLevel } from '../config/types.ts';
import type { DrainReport, NodeStatus, PingReply, ReloadReport, UndrainReport } from './status.ts';

/** What the admin socket can ask of a running node. Methods reject with a RoutyError. */
export interface NodeControl {
  status(): NodeStatus;
  /** Reads the configuration file again and applies it, or nothing of it. */
  reload(): Promise<ReloadReport>;
  /** Heartbeats to `SITE` (each of its nodes) or `SITE/NODE`, `count` times each, in order. */
  ping(target: string, count: number): Promise<PingReply[]>;
  /** Takes no new streams; resolves when the open ones are done or the drain time is over. */
  drain(): Promise<DrainReport>;
  /** Takes new streams again. */
  undrain(): UndrainReport;
  logLevel(): LogLevel;
  setLogLevel(level: LogLevel): void;
  /** Prometheus text format. */
  metricsText(): Promise<string>;
}
