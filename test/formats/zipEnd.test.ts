// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { Defect } from '../../src/formats/finding.ts';
import { type Directory, findDirectory } from '../../src/formats/zipEnd.ts';
import { u16, u32, u64 } from './look.ts';

/** 7 bytes of members and 10 of a directory of 3, and the lies about them. */
type Told = { disk?: number; directoryDisk?: number; here?: number; entries?: number; size?: number; start?: number };
type Wide = Told & { recordSize?: number; recordDisk?: number; at?: number; disks?: number; signature?: string; between?: string };
const BODY = 'membersDIRECTORY!';

function end({ disk = 0, directoryDisk = 0, here = 3, entries = 3, size = 10, start = 7 }: Told = {}, comment = '', says = comment.length): Buffer {
  const counts = [u16(disk), u16(directoryDisk), u16(here), u16(entries)];
  return Buffer.concat([Buffer.from('PK\x05\x06'), ...counts, u32(size), u32(start), u16(says), Buffer.from(comment, 'latin1')]);
}

function end64({ disk = 0, directoryDisk = 0, here = 3, entries = 3, size = 10, start = 7, ...wide }: Wide = {}): Buffer {
  return Buffer.concat([
    ...[Buffer.from(wide.signature ?? 'PK\x06\x06'), u64(wide.recordSize ?? 44), u16(45), u16(45), u32(disk), u32(directoryDisk)],
    ...[u64(here), u64(entries), u64(size), u64(start), Buffer.from(wide.between ?? '')],
    ...[Buffer.from('PK\x06\x07'), u32(wide.recordDisk ?? 0), u64(wide.at ?? BODY.length), u32(wide.disks ?? 1)],
  ]);
}

const file = (...parts: (string | Buffer)[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part as string, 'latin1')));
const found = (...parts: (string | Buffer)[]): Promise<Directory> => findDirectory(bufferSource(file(...parts)));
const ALL = { here: 0xffff, entries: 0xffff, size: 0xffffffff, start: 0xffffffff };

describe('the directory of a zip', () => {
  it('lies right before the end record', async () => {
    expect(await found(BODY, end())).toEqual({ start: 7, end: 17, entries: 3 });
    expect(await found(end({ here: 0, entries: 0, size: 0, start: 0 }))).toEqual({ start: 0, end: 0, entries: 0 });
  });

  it.each([1, 100, 65_534, 65_535])('also when a comment of %i bytes stands behind that', async (length) => {
    expect(await found(BODY, end({}, 'x'.repeat(length)))).toEqual({ start: 7, end: 17, entries: 3 });
    expect(await found(BODY, end64(), end({}, 'x'.repeat(length)))).toEqual({ start: 7, end: 17, entries: 3 });
    const body = 'y'.repeat(100_000);
    expect(await found(body, end64({ size: 99_993, at: 100_000 }), end({ size: 99_993 }, 'x'.repeat(length)))).toMatchObject({ end: 100_000 });
  });

  it('lies right before the ZIP64 end record, whose fields are also in the plain one where it has room', async () => {
    expect(await found(BODY, end64(), end())).toEqual({ start: 7, end: 17, entries: 3 });
    expect(await found(BODY, end64(), end(ALL))).toEqual({ start: 7, end: 17, entries: 3 });
    expect(await found(BODY, end64(), end({ ...ALL, disk: 0xffff, directoryDisk: 0xffff }))).toEqual({ start: 7, end: 17, entries: 3 });
    expect(await found(BODY, end64({ here: 70_000, entries: 70_000 }), end({ here: 0xffff, entries: 0xffff }))).toMatchObject({ entries: 70_000 });
    // Some count disks from none.
    expect(await found(BODY, end64({ disks: 0 }), end())).toEqual({ start: 7, end: 17, entries: 3 });
  });

  it('may lie beyond 4 GiB', async () => {
    const far = 5 * 2 ** 30;
    const ends = file(end64({ start: far - 10, at: far }), end({ start: 0xffffffff }));
    const source = {
      sizeBytes: far + ends.length,
      read: async (position: number, length: number) => Buffer.concat([Buffer.alloc(far - position), ends]).subarray(0, length),
    };
    expect(await findDirectory(source)).toEqual({ start: far - 10, end: far, entries: 3 });
  });

  const ELSEWHERE = 'has its directory elsewhere than right before its end record';
  const NOT_LAST = 'is no readable zip: the file does not end with its end record';
  const NONE = 'is no readable zip: it has no end record';
  const DISAGREE = 'has two end records that disagree';
  it.each<[string, (string | Buffer)[], string]>([
    ['no end record', [BODY], NONE],
    ['half an end record', [BODY, end().subarray(0, -1)], NONE],
    ['an end record that begins another', [BODY, end({ start: 0x06054b50 })], NONE],
    ['bytes behind its end record', [BODY, end(), 'x'], NOT_LAST],
    ['a comment that is cut off', [BODY, end({}, 'x', 2)], NOT_LAST],
    ['a comment that goes on', [BODY, end({}, 'xx', 1)], NOT_LAST],
    ['an end record in its comment', [BODY, end({}, `${end().toString('latin1')}x`)], NOT_LAST],
    ['an end record with a comment, in its comment', [BODY, end({}, end({}, 'x').toString('latin1'))], ELSEWHERE],
    ['bytes behind its directory', [BODY, 'x', end()], ELSEWHERE],
    ['bytes before what it counts from', ['x', BODY, end()], ELSEWHERE],
    ['a directory that is shorter', [BODY, end({ size: 9 })], ELSEWHERE],
    ['a directory that begins later', [BODY, end({ start: 8 })], ELSEWHERE],
    ['a directory of its whole length at its beginning', [BODY, end({ size: 17, start: 7 })], ELSEWHERE],
    ['two counts', [BODY, end({ here: 2 })], 'has two counts of its members'],
    ['another disk', [BODY, end({ disk: 1 })], 'is spread over several disks'],
    ['a directory on another disk', [BODY, end({ directoryDisk: 1 })], 'is spread over several disks'],
    ['fields for which there is no room, and no ZIP64 record', [BODY, end(ALL)], ELSEWHERE],
    ['a locator of nothing', [BODY, end64().subarray(56), end()], 'has no ZIP64 end record before its locator'],
    ['nothing but a locator', [end64().subarray(56), end()], 'has no ZIP64 end record before its locator'],
    ['another record before its locator', [BODY, end64({ signature: 'PK\x06\x05' }), end()], 'has no ZIP64 end record before its locator'],
    ['bytes behind its ZIP64 record', [BODY, end64({ between: 'x' }), end()], 'has no ZIP64 end record before its locator'],
    ['a longer ZIP64 record', [BODY, end64({ recordSize: 45 }), end()], 'has a ZIP64 end record of another size'],
    ['a locator that leads elsewhere', [BODY, end64({ at: 16 }), end()], 'has its ZIP64 end record elsewhere than its locator says'],
    ['a locator that leads to another disk', [BODY, end64({ recordDisk: 1 }), end()], 'has its ZIP64 end record elsewhere than its locator says'],
    ['a locator that counts two disks', [BODY, end64({ disks: 2 }), end()], 'has its ZIP64 end record elsewhere than its locator says'],
    ['another count in ZIP64', [BODY, end64({ entries: 2, here: 2 }), end()], DISAGREE],
    ['another count here in ZIP64', [BODY, end64(), end({ here: 2 })], DISAGREE],
    ['another size in ZIP64', [BODY, end64(), end({ size: 9 })], DISAGREE],
    ['another place in ZIP64', [BODY, end64(), end({ start: 8 })], DISAGREE],
    ['another disk than in ZIP64', [BODY, end64(), end({ disk: 1 })], DISAGREE],
    ['another disk of the directory than in ZIP64', [BODY, end64(), end({ directoryDisk: 1 })], DISAGREE],
    ['two counts in ZIP64', [BODY, end64({ here: 2 }), end(ALL)], 'has two counts of its members'],
    ['another disk in ZIP64', [BODY, end64({ disk: 1 }), end({ disk: 1 })], 'is spread over several disks'],
    ['a directory on another disk in ZIP64', [BODY, end64({ directoryDisk: 1 }), end({ directoryDisk: 1 })], 'is spread over several disks'],
    ['bytes between its directory and ZIP64', [BODY, 'x', end64({ at: 18 }), end()], ELSEWHERE],
    ['a directory in ZIP64 that is shorter', [BODY, end64({ size: 9 }), end(ALL)], ELSEWHERE],
  ])('is refused with %s', async (_what, parts, message) => {
    await expect(found(...parts)).rejects.toThrow(new Defect(message));
  });
});
