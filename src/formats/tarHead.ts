// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readExactly } from './byteSource.ts';
import { Defect } from './finding.ts';

export const BLOCK_BYTES = 512;
type Field = { readonly start: number; readonly end: number };
const SIZE: Field = { start: 124, end: 136 };
const CHECKSUM: Field = { start: 148, end: 156 };
/** Mode, owner, group, time of modification, numbers of a device. */
const NUMBERS: readonly Field[] = [
  { start: 100, end: 108 },
  { start: 108, end: 116 },
  { start: 116, end: 124 },
  { start: 136, end: 148 },
  { start: 329, end: 337 },
  { start: 337, end: 345 },
];
const TIMES: readonly Field[] = [
  { start: 476, end: 488 },
  { start: 488, end: 500 },
];
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export type TarHeader = { readonly type: string; readonly name: string; readonly sizeBytes: number };

/** Whether any reader takes the first block for a header: some take checksums that no writer writes, or of signed bytes. `readHeader` does not. */
export async function looksLikeTar(source: ByteSource): Promise<boolean> {
  if (source.sizeBytes < BLOCK_BYTES) return false;
  const block = await readExactly(source, 0, BLOCK_BYTES, 'the first header');
  const written = readings(block);
  return written.has(checksum(block)) || written.has(checksum(new Int8Array(block)));
}

/** The header, as writers write it; undefined for an empty block, the end. What only some readers read, or read otherwise, is a defect. */
export function readHeader(block: Buffer, position: number): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  // The blank or zero at its end keeps node-tar from reading on.
  const written = octal(block, CHECKSUM, /^ *([0-7]+)[ \0]+$/);
  if (written !== checksum(block)) throw new Defect(`has a header at byte ${position} whose checksum is wrong`);
  const sizeBytes = size(block);
  // At a number that it cannot read Python ends, and node-tar looks for a header in the content.
  if (sizeBytes === undefined || !NUMBERS.every((field) => isNumber(block, field))) throw new Defect('has a number that cannot be read');
  if (text(block.subarray(157, 257)) !== '') throw new Defect('has a member that is no file (a link)');
  const name = text(block.subarray(0, 100));
  const posix = block.toString('latin1', 257, 265) === 'ustar\x0000';
  // Behind a prefix that is short enough, star and node-tar write times.
  const times = posix && block[475] === 0;
  if (times && !TIMES.every((field) => isNumber(block, field))) throw new Defect('has a number that cannot be read');
  const prefix = text(block.subarray(345, times ? 475 : 500));
  if (prefix !== '' && !posix) throw new Defect('has a name whose first part only some readers see');
  return { type: String.fromCharCode(block[156] ?? 0), name: prefix === '' ? name : `${prefix}/${name}`, sizeBytes };
}

/** Up to the first zero, behind which are only zeros. */
export function text(field: Buffer): string {
  const end = field.indexOf(0);
  if (end < 0) return field.toString();
  if (field.subarray(end).some((byte) => byte !== 0)) throw new Defect('has a name with bytes behind its end');
  return field.toString('utf8', 0, end);
}

function size(block: Buffer): number | undefined {
  if (block[SIZE.start] !== 0x80) return octal(block, SIZE, /^ *([0-7]+)[ \0]*$/);
  return isNumber(block, SIZE) ? block.readUIntBE(SIZE.end - 6, 6) : undefined;
}

/** Octal digits, or the base 256 of GNU, of either sign; or nothing. */
function isNumber(block: Buffer, field: Field): boolean {
  const [first = 0, ...rest] = block.subarray(field.start, field.end);
  if (first === 0x80 || first === 0xff) return rest.slice(0, -6).every((byte) => byte === (first === 0xff ? 0xff : 0));
  return octal(block, field, /^ *([0-7]*)[ \0]*$/) !== undefined;
}

function octal(block: Buffer, { start, end }: Field, pattern: RegExp): number | undefined {
  const digits = pattern.exec(block.toString('latin1', start, end))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

/** The sum of the bytes, with blanks for the checksum. */
function checksum(block: Uint8Array | Int8Array): number {
  let sum = (CHECKSUM.end - CHECKSUM.start) * 0x20;
  for (const [i, byte] of block.entries()) if (i < CHECKSUM.start || i >= CHECKSUM.end) sum += byte;
  return sum;
}

/** All that some reader takes the checksum for: octal as Python takes it, nothing for 0, base 256 of both signs, the base 64 of an old GNU tar. */
function readings(block: Buffer): ReadonlySet<number> {
  const found = new Set<number>();
  const { start, end } = CHECKSUM;
  // GNU tar skips a zero in front, node-tar takes four bytes more.
  for (const field of [block.subarray(start, end), block.subarray(start + 1, end), block.subarray(start, end + 4)]) {
    const digits = field.toString('latin1').replace(/\0.*$/s, '').trim();
    found.add(Number.parseInt(digits, 8)).add(Number.parseInt(digits.replace(/[^0-7-]/g, ''), 8));
    if (digits === '') found.add(0);
    if (/^[+-]/.test(digits)) found.add(base64(digits.slice(1)) * (digits.startsWith('-') ? -1 : 1));
    if ((field[0] ?? 0) < 0x80) continue;
    const [bits, value] = [field.length * 8, BigInt(`0x${field.toString('hex')}`)];
    found.add(Number(BigInt.asUintN(bits - 1, value))).add(Number(BigInt.asIntN(bits, value)));
  }
  return found;
}

function base64(digits: string): number {
  return [...(/^[A-Za-z0-9+/]*/.exec(digits)?.[0] ?? '')].reduce((value, digit) => value * 64 + BASE64.indexOf(digit), 0);
}
