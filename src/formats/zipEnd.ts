// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly } from './byteSource.ts';
import { Defect } from './finding.ts';

const END = Buffer.from('PK\x05\x06', 'latin1');
const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR_BYTES = 20;
const MAX_COMMENT_BYTES = 65_535;
/** What the end record says when only the ZIP64 one has room for it. */
const ELSEWHERE = [0xffff, 0xffff, 0xffff, 0xffff, 0xffffffff, 0xffffffff];

/** The central directory: where it lies, and how many members it lists. */
export type Directory = { readonly start: number; readonly end: number; readonly entries: number };

/**
 * One reader takes the directory that lies where the end record says, another the one right before that record, by its size; one follows the
 * ZIP64 locator, another does not. So only an archive in which all of them find the same is read. @throws Defect
 */
export async function findDirectory(source: ByteSource): Promise<Directory> {
  const size = Math.min(source.sizeBytes, END64_BYTES + LOCATOR_BYTES + END_BYTES + MAX_COMMENT_BYTES);
  const tailStart = source.sizeBytes - size;
  const tail = await readExactly(source, tailStart, size, 'the end');
  const at = tail.lastIndexOf(END);
  if (at < 0 || at + END_BYTES > size) throw new Defect('is no readable zip: it has no end record');
  if (at + END_BYTES + tail.readUInt16LE(at + 20) !== size) throw new Defect('is no readable zip: the file does not end with its end record');
  const plain = [
    ...[tail.readUInt16LE(at + 4), tail.readUInt16LE(at + 6), tail.readUInt16LE(at + 8), tail.readUInt16LE(at + 10)],
    ...[tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)],
  ];
  const wide = readZip64(tail, tailStart, at - LOCATOR_BYTES);
  if (wide?.some((value, field) => plain[field] !== value && plain[field] !== ELSEWHERE[field])) throw new Defect('has two end records that disagree');
  const [disk, directoryDisk, entriesHere, entries = 0, directoryBytes = 0, start = 0] = wide ?? plain;
  if (disk !== 0 || directoryDisk !== 0) throw new Defect('is spread over several disks');
  if (entriesHere !== entries) throw new Defect('has two counts of its members');
  const end = tailStart + at - (wide === undefined ? 0 : END64_BYTES + LOCATOR_BYTES);
  if (start + directoryBytes !== end) throw new Defect('has its directory elsewhere than right before its end record');
  return { start, end, entries };
}

/** The fields of the ZIP64 end record, in the order of the plain one, when a locator stands between the two. */
function readZip64(tail: Buffer, tailStart: number, locator: number): readonly number[] | undefined {
  if (locator < 0 || tail.toString('latin1', locator, locator + 4) !== 'PK\x06\x07') return undefined;
  const at = locator - END64_BYTES;
  if (at < 0 || tail.toString('latin1', at, at + 4) !== 'PK\x06\x06') throw new Defect('has no ZIP64 end record before its locator');
  const u64 = (position: number): number => Number(tail.readBigUInt64LE(position));
  // Behind its fixed part could be more, which no writer uses.
  if (u64(at + 4) !== END64_BYTES - 12) throw new Defect('has a ZIP64 end record of another size');
  if (tail.readUInt32LE(locator + 4) !== 0 || u64(locator + 8) !== tailStart + at || tail.readUInt32LE(locator + 16) > 1)
    throw new Defect('has its ZIP64 end record elsewhere than its locator says');
  return [tail.readUInt32LE(at + 16), tail.readUInt32LE(at + 20), u64(at + 24), u64(at + 32), u64(at + 40), u64(at + 48)];
}
