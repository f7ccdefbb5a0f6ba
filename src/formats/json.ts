// SPDX-License-Identifier: Apache-2.0
import { Defect } from './finding.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** How a reader of JSON is meant to be: as `python`, which also takes NaN and Infinity; or `strict`, with no member named twice in one object. */
export type Dialect = 'python' | 'strict';

/** @throws Defect */
export function parseJson(bytes: Uint8Array, dialect: Dialect): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Defect('is not valid UTF-8');
  }
  if (dialect === 'strict') refuseTwice(text);
  else if (/\b(?:NaN|Infinity)\b/.test(text))
    text = text.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?\b(?:NaN|Infinity)\b/g, (token) => (token.startsWith('"') ? token : 'null'));
  try {
    return JSON.parse(text);
  } catch {
    throw new Defect('is not valid JSON');
  }
}

/** Parsers disagree on which of two members counts. Members are compared as they are written, after their escapes. */
function refuseTwice(text: string): void {
  const open: (Set<string> | undefined)[] = [];
  // A text that does not end reaches to the end: else it would be looked for anew from each quote in it.
  const tokens = /"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"(\s*:)?|\\?$)|[{}[\]]/g;
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === '{' || token === '[') {
      if (open.length >= 64) throw new Defect('is nested deeper than 64 levels');
      open.push(token === '{' ? new Set() : undefined);
    } else if (token === '}' || token === ']') open.pop();
    else if (colon !== undefined) {
      const name = unescapeName(token.slice(0, -colon.length));
      if (open.at(-1)?.has(name)) throw new Defect(`names ‘${name.slice(0, 80)}’ twice`);
      open.at(-1)?.add(name);
    }
  }
}

function unescapeName(token: string): string {
  if (!token.includes('\\')) return token;
  try {
    return JSON.stringify(JSON.parse(token));
  } catch {
    return token;
  }
}
