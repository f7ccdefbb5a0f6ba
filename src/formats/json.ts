// SPDX-License-Identifier: Apache-2.0
import { Defect } from './finding.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON that every reader understands alike. @throws Defect, also for a member named twice, a name with escapes, or more than 64 levels */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    // Headers are padded with blanks.
    text = utf8.decode(bytes).trimEnd();
  } catch {
    throw new Defect('is not valid UTF-8');
  }
  refuseDoubtfulNames(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new Defect('is not valid JSON');
  }
}

/** What only Python's reader takes becomes null, and no escape hides what a text says. */
export function plainJson(text: string): string {
  if (!text.includes('\\u') && !/\b(?:NaN|Infinity)\b/.test(text)) return text;
  return text.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?\b(?:NaN|Infinity)\b/g, (token) => (token.startsWith('"') ? unescaped(token) : 'null'));
}

/** The same string without the escapes that need not be: of all but control characters, quotes, backslashes and halves of pairs. */
function unescaped(token: string): string {
  if (!token.includes('\\u')) return token;
  return token.replace(/\\(?:u(?!00[01]|0022|005[cC]|[dD][89a-fA-F])([0-9a-fA-F]{4})|[\s\S])/g, (sequence, hex: string | undefined) =>
    hex === undefined ? sequence : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** Parsers disagree on which of two members counts, and V8 13 may misread a name that is written with escapes. */
function refuseDoubtfulNames(text: string): void {
  const open: (Set<string> | undefined)[] = [];
  // A text that does not end reaches to the end: else it would be looked for anew from each quote in it.
  const tokens = /"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"(\s*:)?|\\?$)|[{}[\]]/g;
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === '{' || token === '[') {
      if (open.length >= 64) throw new Defect('is nested deeper than 64 levels');
      open.push(token === '{' ? new Set() : undefined);
    } else if (token === '}' || token === ']') open.pop();
    else if (colon !== undefined) {
      const name = token.slice(0, -colon.length);
      if (name.includes('\\')) throw new Defect(`has a name that is written with an escape: ‘${name.slice(1, 81)}’`);
      if (open.at(-1)?.has(name)) throw new Defect(`names ‘${name.slice(0, 80)}’ twice`);
      open.at(-1)?.add(name);
    }
  }
}
