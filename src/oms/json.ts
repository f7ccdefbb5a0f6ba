// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';

const MAX_DEPTH = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses JSON that signer and verifier must read alike: valid UTF-8, no byte order mark, no member named twice in one
 * object (parsers disagree on which one counts), at most 64 levels deep.
 * @throws BUNDLE_MALFORMED
 */
export function parseStrictJson(bytes: Uint8Array, what: string): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw malformed(`${what} is not valid UTF-8`, cause);
  }
  const problem = structureProblem(text);
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
 * One pass over the text that looks only at nesting and member names; JSON.parse judges everything else afterwards.
 * Runs before JSON.parse, so that depth is bounded by the time a recursive consumer could see the value.
 */
function structureProblem(text: string): string | undefined {
  // One entry per open container: the names seen in an object, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let lastString: string | undefined;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: {
        const end = endOfString(text, i);
        lastString = text.slice(i + 1, end);
        i = end;
        break;
      }
      case 0x3a: {
        const names = open.at(-1);
        if (names === undefined || lastString === undefined) break;
        const name = unescapeName(lastString);
        if (names.has(name)) return `member '${printable(name, 80)}' appears twice`;
        names.add(name);
        lastString = undefined;
        break;
      }
      case 0x7b:
      case 0x5b:
        if (open.length === MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
        open.push(text[i] === '{' ? new Set() : undefined);
        break;
      case 0x7d:
      case 0x5d:
        open.pop();
        break;
    }
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
