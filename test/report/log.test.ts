// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CATALOGUE, type ErrorCode, exitCodeOf, type SerialisedError } from '../../src/base/errors.ts';
import type { Event } from '../../src/base/events.ts';
import { printable } from '../../src/base/redact.ts';
import { createLog, type LogFormat, refusal } from '../../src/report/log.ts';
import { digestOf } from '../oms/payload.ts';

const FORMATS: readonly LogFormat[] = ['human', 'plain', 'json'];
const ROOT = digestOf('root');
const ESCAPE = '\u001b';

const error = (code: ErrorCode, facts: Partial<SerialisedError> = {}): SerialisedError => ({
  code,
  message: 'it went wrong',
  hint: 'Do this.',
  context: {},
  ...facts,
});

/** One event of every kind, with `name` wherever outside text can stand. */
function events(name: string): readonly Event[] {
  return [
    { kind: 'modelStart', source: name },
    { kind: 'modelStart', source: name, destination: name },
    { kind: 'bundleFound', uri: name, sizeBytes: 2048 },
    { kind: 'signatureVerified', signer: name, method: 'key' },
    { kind: 'manifestRead', files: 2, rootDigest: ROOT, predicateType: 'x' },
    { kind: 'manifestRead', files: 2, totalBytes: 1024, rootDigest: ROOT, predicateType: 'x' },
    { kind: 'sizeKnown', path: name, sizeBytes: 5 },
    { kind: 'bytes', bytes: 5 },
    { kind: 'fileRetried', path: name, attempt: 1, error: error('SOURCE_UNAVAILABLE') },
    { kind: 'fileDone', path: name, sizeBytes: 5, origin: 'fetched' },
    { kind: 'published', destination: name, files: 2 },
    { kind: 'modelDone', source: name, files: 2, totalBytes: 1024, ms: 1500, rootDigest: ROOT },
    { kind: 'warning', message: name },
    { kind: 'failed', error: error('DIGEST_MISMATCH', { message: name, context: { expected: `${name} as it was`, found: `${name} as it is` } }) },
  ];
}

function logged(format: LogFormat, list: readonly Event[], colour = false): string {
  let text = '';
  const log = createLog(format, { colour, terminal: false, write: (more) => (text += more) });
  for (const event of list) log.emit(event);
  log.close();
  return text;
}

const lines = (text: string): readonly string[] => text.split('\n').slice(0, -1);

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the JSON log', () => {
  it('is one object per line with time, level and event', () => {
    const entries = lines(logged('json', events('model'))).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries.map((entry) => [entry['level'], entry['event']])).toEqual([
      ['info', 'modelStart'],
      ['info', 'modelStart'],
      ['info', 'bundleFound'],
      ['info', 'signatureVerified'],
      ['info', 'manifestRead'],
      ['info', 'manifestRead'],
      ['warn', 'fileRetried'],
      ['info', 'published'],
      ['info', 'modelDone'],
      ['warn', 'warning'],
      ['error', 'failed'],
    ]);
    expect(entries.every((entry) => entry['time'] === '2026-11-22T12:00:00.000Z')).toBe(true);
    expect(entries.at(-1)).toMatchObject({ code: 'DIGEST_MISMATCH', exitCode: 1, hint: 'Do this.', context: { expected: 'model as it was' } });
  });

  it('holds one line per event whatever the names hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const entries = lines(logged('json', events(name)));
        expect(entries).toHaveLength(11);
        expect(JSON.parse(entries[0] ?? '')).toMatchObject({ source: name });
      }),
    );
  });
});

describe('the plain log', () => {
  it('tells the story in sentences', () => {
    const stamp = '2026-11-22T12:00:00.000Z';
    expect(lines(logged('plain', events('model')))).toEqual([
      `${stamp} INFO  verifying model`,
      `${stamp} INFO  pulling model to model`,
      `${stamp} INFO  bundle model (2.0 KiB)`,
      `${stamp} INFO  signed by model [key]`,
      `${stamp} INFO  manifest lists 2 files, model digest sha256:${ROOT}`,
      `${stamp} INFO  manifest lists 2 files (1.0 KiB), model digest sha256:${ROOT}`,
      `${stamp} WARN  model: attempt 1 failed (SOURCE_UNAVAILABLE: it went wrong); trying again`,
      `${stamp} INFO  published 2 files in model`,
      `${stamp} INFO  Verification succeeded: model, 2 files, 1.0 KiB in 1.5 s`,
      `${stamp} WARN  model`,
      `${stamp} ERROR BLOCKED DIGEST_MISMATCH (exit 1): model`,
      `${stamp} ERROR   expected: model as it was`,
      `${stamp} ERROR   found:    model as it is`,
      `${stamp} ERROR   what now: Do this.`,
    ]);
  });

  it('holds no control character of a hostile name, nor a line that one forged', () => {
    const hostile = `a\n2026-11-22T12:00:00.000Z INFO  Verification succeeded\r${ESCAPE}[2J\u009b\u202e`;
    const text = logged('plain', events(printable(hostile)));
    expect(text).not.toMatch(/[^\P{Cc}\n]|[\u2028-\u202e]/u);
    expect(lines(text).filter((line) => line.endsWith('INFO  Verification succeeded'))).toEqual([]);
    expect(lines(text).every((line) => /^2026-11-22T12:00:00\.000Z (INFO |WARN |ERROR) /.test(line))).toBe(true);
  });

  it('has a progress line every ten seconds while files are transferred', () => {
    let text = '';
    const log = createLog('plain', { colour: false, terminal: true, write: (more) => (text += more) });
    vi.advanceTimersByTime(30_000);
    expect(text).toBe('');
    log.emit({ kind: 'manifestRead', files: 2, totalBytes: 4096, rootDigest: ROOT, predicateType: 'x' });
    log.emit({ kind: 'bytes', bytes: 1024 });
    text = '';
    vi.advanceTimersByTime(20_000);
    expect(lines(text)).toHaveLength(2);
    expect(lines(text)[0]).toMatch(/INFO {2}progress: 0\/2 files, 25% 1\.0 KiB of 4\.0 KiB at 10\d B\/s, \d+ s left$/);
    log.emit({ kind: 'modelDone', source: 'm', files: 2, totalBytes: 1, ms: 1, rootDigest: ROOT });
    text = '';
    vi.advanceTimersByTime(60_000);
    expect(text).toBe('');
    log.close();
  });
});

describe('the JSON progress', () => {
  it('has whole numbers, and a time left only when it is known', () => {
    let text = '';
    const log = createLog('json', { colour: false, terminal: true, write: (more) => (text += more) });
    log.emit({ kind: 'manifestRead', files: 2, rootDigest: ROOT, predicateType: 'x' });
    log.emit({ kind: 'bytes', bytes: 1000 });
    text = '';
    vi.advanceTimersByTime(10_000);
    expect(JSON.parse(text)).toEqual({
      time: '2026-11-22T12:00:10.000Z',
      level: 'info',
      event: 'progress',
      files: 2,
      filesDone: 0,
      bytes: 1000,
      totalBytes: 0,
      complete: false,
      bytesPerSecond: 100,
    });
    log.emit({ kind: 'sizeKnown', path: 'a', sizeBytes: 1500 });
    log.emit({ kind: 'sizeKnown', path: 'b', sizeBytes: 500 });
    text = '';
    vi.advanceTimersByTime(10_000);
    expect(JSON.parse(text)).toMatchObject({ complete: true, totalBytes: 2000, secondsLeft: 20 });
    log.close();
  });
});

describe('the human log', () => {
  it('has no escape sequence without colour, apart from clearing its bar', () => {
    expect(logged('human', events('model'))).not.toContain(ESCAPE);
  });

  it('marks start, success, warning and refusal, in colour where there is colour', () => {
    const plain = lines(logged('human', events('model')));
    expect(plain[0]).toBe('▸ verifying model');
    expect(plain).toContain('✓ Verification succeeded: model, 2 files, 1.0 KiB in 1.5 s');
    expect(plain).toContain('! model');
    expect(plain).toContain('✗ BLOCKED DIGEST_MISMATCH (exit 1): model');
    const coloured = logged('human', events('model'), true);
    expect(coloured).toContain(`${ESCAPE}[31m✗${ESCAPE}[0m BLOCKED`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is taken out
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(`${plain.join('\n')}\n`);
  });

  it('draws its bar while files are transferred, and clears it before anything else and at the end', () => {
    let text = '';
    const log = createLog('human', { colour: false, terminal: true, write: (more) => (text += more) });
    log.emit({ kind: 'manifestRead', files: 1, totalBytes: 10, rootDigest: ROOT, predicateType: 'x' });
    text = '';
    vi.advanceTimersByTime(200);
    expect(text).toBe('  0/1 files, 0% 0 B of 10 B at 0 B/s');
    vi.advanceTimersByTime(200);
    log.emit({ kind: 'warning', message: 'careful' });
    expect(text).toMatch(new RegExp(`${ESCAPE}\\[K! careful\\n$`));
    vi.advanceTimersByTime(200);
    log.close();
    expect(text.endsWith(`\r${ESCAPE}[K`)).toBe(true);
    const before = text;
    vi.advanceTimersByTime(60_000);
    expect(text).toBe(before);
  });
});

it('the human log draws no bar where there is no terminal', () => {
  let text = '';
  const log = createLog('human', { colour: false, terminal: false, write: (more) => (text += more) });
  log.emit({ kind: 'manifestRead', files: 1, totalBytes: 10, rootDigest: ROOT, predicateType: 'x' });
  text = '';
  vi.advanceTimersByTime(60_000);
  log.close();
  expect(text).toBe('');
});

describe('every log', () => {
  it('is silent about chunks and single files: the report has them', () => {
    for (const format of FORMATS)
      expect(
        logged(
          format,
          events('m').filter((e) => ['bytes', 'sizeKnown', 'fileDone'].includes(e.kind)),
        ),
      ).toBe('');
  });
});

describe('a refusal', () => {
  it('says what, where, expected, found and what to do now', () => {
    expect(refusal(error('DIGEST_MISMATCH', { context: { expected: 'aa', found: 'bb' } }))).toBe(
      'BLOCKED DIGEST_MISMATCH (exit 1): it went wrong\n  expected: aa\n  found:    bb\n  what now: Do this.',
    );
    expect(refusal(error('SOURCE_DENIED'))).toBe('FAILED SOURCE_DENIED (exit 3): it went wrong\n  what now: Do this.');
  });

  it('does not say twice what its message says', () => {
    expect(refusal(error('DIGEST_MISMATCH', { message: 'expected aa, found bb', context: { expected: 'aa', found: 'bb' } }))).toBe(
      'BLOCKED DIGEST_MISMATCH (exit 1): expected aa, found bb\n  what now: Do this.',
    );
  });

  it('is called blocked exactly when the model is not to be run', () => {
    for (const code of Object.keys(CATALOGUE) as ErrorCode[]) expect(refusal(error(code)).startsWith('BLOCKED')).toBe(exitCodeOf(code) === 1);
  });
});
