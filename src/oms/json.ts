// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';

const MAX_DEPTH = 64;
/** Small documents may be of short values only... */
const FREE_VALUES = 10_000;
/** ...in larger ones a value has at least as many bytes on average: what JSON.parse makes of `[],[],[],` takes thirty times the memory of the text. */
const BYTES_PER_VALUE = 16;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses JSON that signer and verifier must read alike: valid UTF-8, no byte order mark, no member named twice in one
 * object (parsers disagree on which one counts), at most 64 levels deep and `maxValues` values long.
 * @throws BUNDLE_MALFORMED
 */
export function parseStrictJson(bytes: Uint8Array, what: string, maxValues = Math.max(FREE_VALUES, bytes.length / BYTES_PER_VALUE)): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw malformed(`${what} is not valid UTF-8`, cause);
  }
  const problem = structureProblem(text, maxValues);
  if (problem !== undefined) throw malformed(`${what}: ${problem}`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed(`${what} is not valid JSON: ${whatInstead(text)}`, cause);
  }
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

/**
 * One pass over the text that looks only at nesting, member names and the number of values; JSON.parse judges everything else afterwards.
 * Runs before JSON.parse, so that depth and size are bounded by the time anything is made of the text.
 */
function structureProblem(text: string, maxValues: number): string | undefined {
  // One entry per open container: the names seen in an object, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let values = 1;
  // Used again: a manifest has an object for each of its files.
  const spare: Set<string>[] = [];
  let lastStart = -1;
  let lastEnd = -1;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22:
        lastStart = i + 1;
        lastEnd = endOfString(text, i);
        i = lastEnd;
        break;
      case 0x3a: {
        const names = open.at(-1);
        if (names === undefined || lastStart < 0) break;
        const name = unescapeName(text.slice(lastStart, lastEnd));
        if (names.has(name)) return `member '${printable(name, 80)}' appears twice`;
        names.add(name);
        lastStart = -1;
        break;
      }
      case 0x2c:
        values++;
        break;
      case 0x7b:
      case 0x5b:
        values++;
        if (open.length === MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
        open.push(text.charCodeAt(i) === 0x7b ? (spare.pop() ?? new Set()) : undefined);
        break;
      case 0x7d:
      case 0x5d: {
        const names = open.pop();
        names?.clear();
        if (names !== undefined) spare.push(names);
        break;
      }
    }
    if (values > maxValues) return `holds more than ${Math.floor(maxValues)} values`;
  }
  return undefined;
}

/** Index of the quote that closes the string opened at `start`; the end of the text when it never closes. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end >= 0) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}

function unescapeName(raw: string): string {
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}
