// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/base/events.ts';
import { createProgress, formatBytes, formatProgress, type Progress } from '../../src/report/progress.ts';
import { digestOf } from '../oms/payload.ts';

const manifest = (files: number, totalBytes?: number): Event => ({
  kind: 'manifestRead',
  files,
  rootDigest: digestOf('root'),
  predicateType: 'x',
  ...(totalBytes !== undefined && { totalBytes }),
});
const bytes = (count: number): Event => ({ kind: 'bytes', bytes: count });
const size = (path: string, sizeBytes: number): Event => ({ kind: 'sizeKnown', path, sizeBytes });
const done = (path: string): Event => ({ kind: 'fileDone', path, sizeBytes: 1, origin: 'fetched' });

/** Progress after events that happen at the given times (ms). */
function progressOf(...timed: readonly (readonly [number, Event])[]): (atMs: number) => Progress {
  let clock = 0;
  const progress = createProgress(() => clock);
  for (const [at, event] of timed) {
    clock = at;
    progress.take(event);
  }
  return (at) => {
    clock = at;
    return progress.read();
  };
}

describe('progress', () => {
  it('sums bytes and files, and reckons rate and time left from the start of the transfer', () => {
    const read = progressOf([5000, manifest(2, 1000)], [6000, bytes(200)], [7000, bytes(200)], [7000, done('a')]);
    expect(read(7000)).toEqual({ files: 2, filesDone: 1, bytes: 400, totalBytes: 1000, complete: true, bytesPerSecond: 200, secondsLeft: 3 });
  });

  it('knows no time left until every length is known', () => {
    const read = progressOf([0, manifest(2)], [0, size('a', 600)], [1000, bytes(100)]);
    expect(read(1000)).toMatchObject({ totalBytes: 600, complete: false, secondsLeft: undefined });
    expect(progressOf([0, manifest(2)], [0, size('a', 600)], [0, size('b', 400)], [0, size('a', 600)], [1000, bytes(100)])(1000)).toMatchObject({
      totalBytes: 1000,
      complete: true,
      secondsLeft: 9,
    });
  });

  it('knows no time left while nothing moves, and none is left when more came than expected', () => {
    expect(progressOf([0, manifest(1, 10)])(0)).toMatchObject({ bytesPerSecond: 0, secondsLeft: undefined });
    expect(progressOf([0, manifest(1, 10)], [10, bytes(25)])(1000)).toMatchObject({ bytes: 25, secondsLeft: 0 });
  });

  it('divides by no zero', () => {
    expect(Number.isFinite(progressOf([0, manifest(1, 10)], [0, bytes(10)])(0).bytesPerSecond)).toBe(true);
  });

  it('begins anew with every model', () => {
    expect(progressOf([0, manifest(1, 10)], [0, bytes(10)], [0, done('a')], [2000, manifest(3, 30)])(3000)).toMatchObject({
      files: 3,
      filesDone: 0,
      bytes: 0,
      totalBytes: 30,
    });
  });
});

describe('the progress line', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [2 ** 20, '1.0 MiB'],
    [5 * 2 ** 30, '5.0 GiB'],
    [2 ** 40, '1.0 TiB'],
    [2 ** 50, '1024.0 TiB'],
  ])('writes %i bytes as %s', (count, text) => {
    expect(formatBytes(count)).toBe(text);
  });

  it('shows files, share, bytes, rate and time left', () => {
    const progress: Progress = { files: 4, filesDone: 1, bytes: 1536, totalBytes: 4096, complete: true, bytesPerSecond: 1024.4, secondsLeft: 2.5 };
    expect(formatProgress(progress)).toBe('1/4 files, 37% 1.5 KiB of 4.0 KiB at 1.0 KiB/s, 3 s left');
  });

  it('leaves out what is not known, and never shows more than all', () => {
    const unknown: Progress = { files: 4, filesDone: 1, bytes: 10, totalBytes: 5, complete: false, bytesPerSecond: 0, secondsLeft: undefined };
    expect(formatProgress(unknown)).toBe('1/4 files, 10 B at 0 B/s');
    expect(formatProgress({ ...unknown, complete: true })).toBe('1/4 files, 100% 10 B of 5 B at 0 B/s');
    expect(formatProgress({ ...unknown, complete: true, totalBytes: 0, bytes: 0 })).toBe('1/4 files, 0 B of 0 B at 0 B/s');
  });
});
