// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/base/events.ts';
import { createLog, type LogDetail, type LogFormat, wantsColour } from '../../src/report/log.ts';

const EVENTS: readonly Event[] = [
  { kind: 'modelStart', source: 'model' },
  { kind: 'fileDone', path: 'weights.bin', sizeBytes: 2048, origin: 'fetched' },
  { kind: 'warning', message: 'look here' },
  { kind: 'failed', error: { code: 'IO', message: 'no', hint: 'Check it.', context: {} } },
];

function logged(format: LogFormat, detail: LogDetail): string {
  let text = '';
  const log = createLog(format, { colour: false, terminal: false, write: (more) => (text += more) }, detail);
  for (const event of EVENTS) log.emit(event);
  log.close();
  return text;
}

describe.each<LogFormat>(['human', 'plain', 'json'])('a %s log', (format) => {
  test('tells of every file only when it is verbose', () => {
    expect(logged(format, 'normal')).not.toContain('weights.bin');
    expect(logged(format, 'verbose')).toContain('weights.bin');
  });

  test('that is quiet keeps warnings and failures, and nothing else', () => {
    const text = logged(format, 'quiet');
    for (const words of ['look here', 'Check it.']) expect(text).toContain(words);
    for (const words of ['model', 'weights.bin']) expect(text).not.toContain(words);
  });
});

test.each([
  [true, {}, true],
  [false, {}, false],
  [true, { NO_COLOR: '1' }, false],
  [true, { NO_COLOR: '' }, true],
  [true, { TERM: 'dumb' }, false],
] as const)('colours on a terminal (%s) with %o: %s', (terminal, env, wanted) => {
  expect(wantsColour(terminal, env)).toBe(wanted);
});
