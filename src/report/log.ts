// SPDX-License-Identifier: Apache-2.0
import { writeSync } from 'node:fs';
import { exitCodeOf, type SerialisedError } from '../base/errors.ts';
import type { Emit, Event, FileOrigin } from '../base/events.ts';
import { createProgress, formatBytes, formatProgress } from './progress.ts';

export type LogFormat = 'human' | 'plain' | 'json';

/** `quiet`: what somebody has to know; `verbose`: every file, too. */
export type LogDetail = 'quiet' | 'normal' | 'verbose';

/** A log that listens to events. `close` ends its timers and clears the progress bar. */
export type Log = { readonly emit: Emit; close(): void };

const PROGRESS_MS = 10_000;
const BAR_MS = 200;
const WARNING: readonly Event['kind'][] = ['warning', 'waived', 'fileRetried'];

export type LogTarget = { write(text: string): void; readonly colour: boolean; readonly terminal: boolean };

/** On a terminal, unless NO_COLOR says otherwise (no-color.org: any text that is not empty). */
export function wantsColour(terminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  return terminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** Standard error, written synchronously: nothing may be lost when the process ends. */
export const STDERR: LogTarget = {
  terminal: process.stderr.isTTY === true,
  colour: wantsColour(process.stderr.isTTY === true, process.env),
  write(text) {
    try {
      writeSync(2, text);
    } catch {
      // A closed or full pipe must not turn a verdict into a crash.
    }
  },
};

export function createLog(format: LogFormat, target: LogTarget = STDERR, detail: LogDetail = 'normal'): Log {
  const progress = createProgress(() => performance.now());
  let bar = '';
  let running = false;
  const clearBar = (): void => {
    if (bar !== '') target.write('\r\u001b[K');
    bar = '';
  };
  const show = (): void => {
    if (!running || detail === 'quiet') return;
    const now = progress.read();
    if (format === 'human') {
      if (!target.terminal) return;
      clearBar();
      bar = `  ${formatProgress(now)}`;
      target.write(bar);
    } else if (format === 'plain') target.write(`${stamp()} INFO  progress: ${formatProgress(now)}\n`);
    else {
      const { secondsLeft, bytesPerSecond, ...rest } = now;
      target.write(
        jsonLine('info', 'progress', {
          ...rest,
          bytesPerSecond: Math.round(bytesPerSecond),
          ...(secondsLeft !== undefined && { secondsLeft: Math.ceil(secondsLeft) }),
        }),
      );
    }
  };
  const timer = setInterval(show, format === 'human' ? BAR_MS : PROGRESS_MS);
  timer.unref();
  return {
    emit(event) {
      progress.take(event);
      if (event.kind === 'manifestRead' || event.kind === 'treeRead') running = true;
      if (event.kind === 'modelDone' || event.kind === 'modelSigned' || event.kind === 'failed') running = false;
      if (!isTold(event, detail)) return;
      const text = format === 'json' ? json(event) : format === 'plain' ? plain(event) : human(event, target.colour);
      clearBar();
      target.write(text);
    },
    close() {
      clearInterval(timer);
      clearBar();
    },
  };
}

/** Events of every file and every chunk would drown the rest; the report has them. */
function isTold({ kind }: Event, detail: LogDetail): boolean {
  if (kind === 'bytes' || kind === 'sizeKnown') return false;
  if (kind === 'fileDone') return detail === 'verbose';
  return detail !== 'quiet' || kind === 'failed' || WARNING.includes(kind);
}

function json(event: Event): string {
  const { kind, ...facts } = event;
  const level = kind === 'failed' ? 'error' : WARNING.includes(kind) ? 'warn' : 'info';
  const extra = event.kind === 'failed' ? { ...event.error, exitCode: event.exitCode ?? exitCodeOf(event.error.code) } : facts;
  return jsonLine(level, kind, extra);
}

function jsonLine(level: string, event: string, facts: object): string {
  return `${JSON.stringify({ time: new Date().toISOString(), level, event, ...facts })}\n`;
}

function plain(event: Event): string {
  const level = event.kind === 'failed' ? 'ERROR' : WARNING.includes(event.kind) ? 'WARN ' : 'INFO ';
  return sentence(event)
    .split('\n')
    .map((line) => `${stamp()} ${level} ${line}\n`)
    .join('');
}

function human(event: Event, colour: boolean): string {
  const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  switch (event.kind) {
    case 'failed':
      return `${paint(31, '✗')} ${sentence(event)}\n`;
    case 'modelDone':
    case 'modelSigned':
      return `${paint(32, '✓')} ${sentence(event)}\n`;
    case 'warning':
    case 'waived':
    case 'fileRetried':
      return `${paint(33, '!')} ${sentence(event)}\n`;
    case 'modelStart':
      return `${paint(1, '▸')} ${sentence(event)}\n`;
    default:
      return `  ${sentence(event)}\n`;
  }
}

const ORIGINS: Readonly<Record<FileOrigin, string>> = {
  fetched: 'fetched',
  unpacked: 'unpacked',
  kept: 'kept, it was right',
  resumed: 'kept from an earlier start',
  inPlace: 'verified',
  unchanged: 'unchanged since it was verified',
};

/** What happened, in words. */
function sentence(event: Event): string {
  switch (event.kind) {
    case 'modelStart':
      return `${event.destination === undefined ? 'verifying' : 'pulling'} ${event.source}${event.destination === undefined ? '' : ` to ${event.destination}`}`;
    case 'bundleFound':
      return `bundle ${event.uri} (${formatBytes(event.sizeBytes)})`;
    case 'signatureVerified':
      return `signed by ${event.signer} [${event.method}]`;
    case 'manifestRead':
      return `manifest lists ${event.files} files${event.totalBytes === undefined ? '' : ` (${formatBytes(event.totalBytes)})`}, model digest sha256:${event.rootDigest}`;
    case 'unpacking':
      return `unpacking ${event.archive} (${formatBytes(event.sizeBytes)})`;
    case 'treeRead':
      return `reading ${event.files} files (${formatBytes(event.totalBytes)}) of ${event.source}`;
    case 'fileRetried':
      return `${event.path}: attempt ${event.attempt} failed (${event.error.code}: ${event.error.message}); trying again`;
    case 'published':
      return `published ${event.files} files in ${event.destination}`;
    case 'modelDone':
      return `Verification succeeded: ${event.source}, ${event.files} files, ${formatBytes(event.totalBytes)} in ${(event.ms / 1000).toFixed(1)} s`;
    case 'modelSigned':
      return `Signing succeeded: ${event.source}, ${event.files} files, ${formatBytes(event.totalBytes)} in ${(event.ms / 1000).toFixed(1)} s by ${event.signer}\nbundle ${event.bundle}, model digest sha256:${event.rootDigest}`;
    case 'listening':
      return `endpoints at port ${event.port}: /startup, /ready, /healthz, /metrics, /`;
    case 'ready':
      return 'ready';
    case 'warning':
      return event.message;
    case 'waived':
      return `NOT REFUSED only because of warn mode (${event.rule}): ${event.code}: ${event.message}`;
    case 'ruleDecided':
      return `${event.layer}: ${event.rule === undefined ? 'no rule matches' : `rule '${event.rule}' decides`}${event.mode === 'enforce' ? '' : `, mode ${event.mode}`}`;
    case 'failed':
      return refusal(event.error, event.exitCode);
    case 'fileDone':
      return `${ORIGINS[event.origin]} ${event.path} (${formatBytes(event.sizeBytes)})`;
    case 'bytes':
    case 'sizeKnown':
      return '';
  }
}

/** What, where, expected, found, and what to do now. */
export function refusal(error: SerialisedError, exitCode = exitCodeOf(error.code)): string {
  const { context } = error;
  const verdict = exitCodeOf(error.code) === 1 ? 'BLOCKED' : 'FAILED';
  const lines = [`${verdict} ${error.code} (exit ${exitCode}): ${error.message}`];
  const told = (fact: string): boolean => error.message.includes(fact);
  if (context.expected !== undefined && !told(context.expected)) lines.push(`  expected: ${context.expected}`);
  if (context.found !== undefined && !told(context.found)) lines.push(`  found:    ${context.found}`);
  lines.push(`  what now: ${error.hint}`);
  return lines.join('\n');
}

function stamp(): string {
  return new Date().toISOString();
}
