// SPDX-License-Identifier: Apache-2.0
import { isUtf8 } from 'node:buffer';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Apart, type Hole, scanJson } from './jsonScan.ts';

/** Small documents may be of short values only... */
const FREE_VALUES = 10_000;
/** ...in larger ones a value has at least as many bytes on average: what JSON.parse makes of `[],[],[],` takes thirty times the memory of the text. */
const BYTES_PER_VALUE = 16;

/** The elements of an array, each made when it is asked for. */
export type JsonList = Iterable<unknown> & { readonly length: number };

/**
 * Parses JSON that signer and verifier must read alike: valid UTF-8, no byte order mark, no member named twice in one
 * object (parsers disagree on which one counts), at most 64 levels deep and `maxValues` values long.
 * @throws BUNDLE_MALFORMED
 */
export function parseStrictJson(bytes: Uint8Array, what: string, maxValues?: number): unknown {
  return parse(bytes, what, undefined, maxValues).json;
}

/**
 * The same, but for the string at `path`: it is handed out as its UTF-8 bytes within `bytes`, and '' stands in its place. A large document can
 * be that one string. Without `text` there is no string at `path`, or one that is written with escapes and stands where it belongs.
 */
export function parseBesideText(
  bytes: Uint8Array,
  what: string,
  path: readonly string[],
  maxValues?: number,
): { readonly json: unknown; readonly text?: Buffer } {
  const { json, buffer, hole } = parse(bytes, what, { kind: 'text', path }, maxValues);
  return hole === undefined ? { json } : { json, text: buffer.subarray(hole.start + 1, hole.end - 1) };
}

/**
 * The same, but for the array at `path`: its elements are read one by one, as often as they are asked for, and [] stands in its place. All of them
 * have been parsed once when this returns: reading them does not fail. Without `list` there is no array at `path`.
 */
export function parseBesideList(
  bytes: Uint8Array,
  what: string,
  path: readonly string[],
  maxValues?: number,
): { readonly json: unknown; readonly list?: JsonList } {
  const { json, list } = parse(bytes, what, { kind: 'list', path }, maxValues);
  return list === undefined ? { json } : { json, list };
}

type Parsed = { readonly json: unknown; readonly buffer: Buffer; readonly hole: Hole | undefined; readonly list?: JsonList };

/** Depth and size are bounded by the time anything is made of the bytes. */
function parse(bytes: Uint8Array, what: string, apart: Apart | undefined, maxValues = Math.max(FREE_VALUES, bytes.length / BYTES_PER_VALUE)): Parsed {
  if (!isUtf8(bytes)) throw malformed(`${what} is not valid UTF-8`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const scanned = scanJson(buffer, maxValues, apart);
  if (scanned.kind === 'problem') throw malformed(`${what}: ${scanned.problem}`);
  const { hole } = scanned;
  try {
    if (hole === undefined) return { json: JSON.parse(buffer.toString()), buffer, hole };
    // A document is JSON exactly when it is with "" or [] in place of a string without escapes or an array, and so are the elements of that array.
    const placeholder = hole.kind === 'text' ? '""' : '[]';
    const json: unknown = JSON.parse(buffer.toString('utf8', 0, hole.start) + placeholder + buffer.toString('utf8', hole.end));
    if (hole.kind === 'text') return { json, buffer, hole };
    const list = listOf(buffer, hole);
    for (const _ of list);
    return { json, buffer, hole, list };
  } catch (cause) {
    throw malformed(`${what} is not valid JSON: ${whatInstead(buffer.toString())}`, cause);
  }
}

function listOf(buffer: Buffer, { start, end, commas }: Hole): JsonList {
  const borders = [start, ...commas, end - 1];
  const length = commas.length === 0 && /^[ \t\n\r]*$/.test(buffer.toString('latin1', start + 1, end - 1)) ? 0 : commas.length + 1;
  return {
    length,
    *[Symbol.iterator]() {
      for (let i = 0; i < length; i++) yield JSON.parse(buffer.toString('utf8', (borders[i] ?? 0) + 1, borders[i + 1]));
    },
  };
}

/** Most bundles that are none are half an upload, or a server's page in place of one. */
function whatInstead(text: string): string {
  const start = text.trimStart();
  if (start === '') return 'it is empty';
  if (start.startsWith('<')) return `it looks like a web page or XML, '${printable(start.slice(0, 40), 40)}'`;
  return /^[[{]/.test(start) && !/[\]}]$/.test(text.trimEnd())
    ? `it ends in the middle, after ${text.length} characters`
    : `it begins '${printable(start.slice(0, 40), 40)}'`;
}

export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function malformed(message: string, cause?: unknown): AppError {
  return new AppError('BUNDLE_MALFORMED', message, cause === undefined ? {} : { cause });
}
