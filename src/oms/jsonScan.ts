// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';

const MAX_DEPTH = 64;

/** A string or an array to be left out, by the names that lead to it through objects. */
export type Apart = { readonly kind: 'text' | 'list'; readonly path: readonly string[] };

/** Where it stands, quotes or brackets included; `commas` are those between the elements of the array. */
export type Hole = { readonly kind: Apart['kind']; readonly start: number; readonly end: number; readonly commas: readonly number[] };

export type Scanned = { readonly kind: 'problem'; readonly problem: string } | { readonly kind: 'scanned'; readonly hole: Hole | undefined };

/**
 * One pass over JSON that looks only at nesting, member names, the number of values and the one to be left out; JSON.parse judges everything
 * else afterwards.
 */
export function scanJson(bytes: Buffer, maxValues: number, apart?: Apart): Scanned {
  // One entry per open container: the names seen in an object, or undefined for an array...
  const open: (Set<string> | undefined)[] = [];
  // ...and the member whose value is being read.
  const path: (string | undefined)[] = [];
  let values = 1;
  // Used again: a manifest has an object for each of its files.
  const spare: Set<string>[] = [];
  let lastStart = -1;
  let lastEnd = -1;
  let hole: Hole | undefined;
  let listStart = -1;
  // While in the list to be left out: how deep its elements are.
  let listDepth = -1;
  const commas: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    switch (byte) {
      case 0x22:
        lastStart = i + 1;
        lastEnd = endOfString(bytes, i);
        if (apart?.kind === 'text' && hole === undefined && isAt(path, apart) && isPlain(bytes, lastStart, lastEnd))
          hole = { kind: 'text', start: i, end: lastEnd + 1, commas };
        i = lastEnd;
        break;
      case 0x3a: {
        const names = open.at(-1);
        if (names === undefined || lastStart < 0) break;
        const name = bytes.toString('utf8', lastStart, lastEnd);
        // JSON.parse of V8 13 may give such a member the name that stands in the text: which one depends on what the process has parsed before.
        if (name.includes('\\')) return { kind: 'problem', problem: `the name of member '${printable(name, 80)}' is written with an escape` };
        if (names.has(name)) return { kind: 'problem', problem: `member '${printable(name, 80)}' appears twice` };
        names.add(name);
        path[path.length - 1] = name;
        lastStart = -1;
        break;
      }
      case 0x2c:
        values++;
        if (path.length > 0) path[path.length - 1] = undefined;
        if (open.length === listDepth) commas.push(i);
        break;
      case 0x7b:
      case 0x5b:
        values++;
        if (open.length === MAX_DEPTH) return { kind: 'problem', problem: `nested deeper than ${MAX_DEPTH} levels` };
        if (byte === 0x5b && apart?.kind === 'list' && listStart < 0 && isAt(path, apart)) {
          listStart = i;
          listDepth = open.length + 1;
        }
        open.push(byte === 0x7b ? (spare.pop() ?? new Set()) : undefined);
        path.push(undefined);
        break;
      case 0x7d:
      case 0x5d: {
        if (open.length === listDepth) {
          listDepth = -1;
          if (byte === 0x5d) hole = { kind: 'list', start: listStart, end: i + 1, commas };
        }
        const names = open.pop();
        path.pop();
        names?.clear();
        if (names !== undefined) spare.push(names);
        break;
      }
    }
    if (values > maxValues) return { kind: 'problem', problem: `holds more than ${Math.floor(maxValues)} values` };
  }
  return { kind: 'scanned', hole };
}

function isAt(path: readonly (string | undefined)[], { path: wanted }: Apart): boolean {
  return path.length === wanted.length && wanted.every((name, i) => path[i] === name);
}

/** Whether a string closes and is what it says: without escapes, and without the control characters that only escapes may write. */
function isPlain(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === 0x5c || byte < 0x20) return false;
  }
  return end < bytes.length;
}

/** Index of the quote that closes the string opened at `start`; the end of the bytes when it never closes. */
function endOfString(bytes: Buffer, start: number): number {
  for (let i = start + 1; i < bytes.length; i++) {
    if (bytes[i] === 0x22) return i;
    if (bytes[i] === 0x5c) i++;
  }
  return bytes.length;
}
