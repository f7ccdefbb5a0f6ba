// SPDX-License-Identifier: Apache-2.0

/** As Python decodes names: what is not UTF-8 stays visible as a replacement character, which no module has. */
export function decodeUtf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Python's `raw-unicode-escape`, so that `o\u0073` is seen to be `os`. */
export function unescapeUnicode(text: string): string {
  return text.replace(/(\\*)\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/g, (all, before: string, short: string | undefined, long: string | undefined) => {
    // Behind a backslash that is itself escaped nothing is.
    if (before.length % 2 === 1) return all;
    return before + character(Number.parseInt(short ?? long ?? '', 16), all);
  });
}

const SIMPLE: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\n': '',
};

/** Python's escapes in byte strings, so that `\x6fs` is seen to be `os`. The bytes are then read as UTF-8. */
export function unescapeBytes(text: string): string {
  const bytes = text.replace(/\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\s\S]))/g, (all, hex: string | undefined, octal: string | undefined, other = '') => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
    return SIMPLE[other] ?? all;
  });
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** What Python's `int(text, 0)` or C's `strtol` may take, and more: the loader that is stricter stops, which is no reason to stop here. */
export function isInteger(text: string): boolean {
  return /^[\s\d+\-_a-fxolA-FXOL]+$/.test(text);
}

/** Undefined for other numbers than plain decimal ones: loaders differ on `010`. */
export function decimal(text: string): number | undefined {
  const digits = /^\s*([-+]?(?:0|[1-9]\d*))L?\s*$/.exec(text)?.[1];
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : undefined;
}

export function isFloat(text: string): boolean {
  return /^\s*[-+]?(?:\d[\d_]*\.?[\d_]*(?:e[-+]?\d[\d_]*)?|\.\d[\d_]*(?:e[-+]?\d[\d_]*)?|inf(?:inity)?|nan)\s*$/i.test(text);
}

/** As Python's `int(text)`; a text for numbers that a double cannot tell apart. Undefined: no index. */
export function memoIndex(text: string): number | string | undefined {
  const [, sign, digits] = /^\s*([-+]?)(\d+(?:_\d+)*)\s*$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const index = BigInt(digits.replaceAll('_', ''));
  if (sign === '-' && index !== 0n) return undefined;
  return index <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(index) : `${index}`;
}

function character(code: number, otherwise: string): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : otherwise;
}
