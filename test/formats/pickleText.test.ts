// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { decimal, decodeUtf8, isFloat, isInteger, memoIndex, unescapeBytes, unescapeUnicode } from '../../src/formats/pickleText.ts';

describe('bytes', () => {
  it('are read as UTF-8, and only those of the view', () => {
    expect(decodeUtf8(new Uint8Array(Buffer.from('<ä>')).subarray(1, 3))).toBe('ä');
    expect(decodeUtf8(Buffer.from('a\xffb', 'latin1'))).toBe('a\ufffdb');
    expect(decodeUtf8(Buffer.alloc(0))).toBe('');
  });
});

describe('escapes in UNICODE', () => {
  it.each([
    ['os', 'os'],
    [String.raw`o\u0073.\u0070ath`, 'os.path'],
    [String.raw`\u00e4\u00E4`, 'ää'],
    [String.raw`\U00000073\U0001F600`, 's😀'],
    [String.raw`\U0010ffff`, '\u{10ffff}'],
    // No such character.
    [String.raw`\U00110000`, String.raw`\U00110000`],
    [String.raw`\u00730`, 's0'],
    [String.raw`\U000000730`, 's0'],
    // A backslash that is escaped begins nothing.
    [String.raw`\\u0073`, String.raw`\\u0073`],
    [String.raw`\\\u0073`, String.raw`\\s`],
    [String.raw`\\\\u0073`, String.raw`\\\\u0073`],
    [String.raw`a\\U00000073b`, String.raw`a\\U00000073b`],
    [String.raw`\u007`, String.raw`\u007`],
    [String.raw`\u00g3`, String.raw`\u00g3`],
    [String.raw`\U0000007`, String.raw`\U0000007`],
    [String.raw`\x73\n\\`, String.raw`\x73\n\\`],
  ])('%s', (text, expected) => {
    expect(unescapeUnicode(text)).toBe(expected);
  });
});

describe('escapes in STRING', () => {
  it.each([
    ['os', 'os'],
    [String.raw`\x6fs.\x70\x61th`, 'os.path'],
    [String.raw`\xC3\xa4`, 'ä'],
    ['\xc3\xa4', 'ä'],
    [String.raw`\xff`, '\ufffd'],
    [String.raw`\157s`, 'os'],
    [String.raw`\1011`, 'A1'],
    [String.raw`\7\60`, '\x070'],
    // Nine bits, of which eight count.
    [String.raw`\557s`, 'os'],
    [String.raw`\1588`, '\r88'],
    [String.raw`\8`, String.raw`\8`],
    [String.raw`\\x6f`, String.raw`\x6f`],
    [String.raw`\'\"`, `'"`],
    [String.raw`\a\b\f\n\r\t\v`, '\x07\x08\x0c\x0a\x0d\x09\x0b'],
    ['o\\\ns', 'os'],
    ['\\\r', '\\\r'],
    [String.raw`\q\x6`, String.raw`\q\x6`],
    [String.raw`\xg0`, String.raw`\xg0`],
    ['\\', '\\'],
  ])('%j', (text, expected) => {
    expect(unescapeBytes(text)).toBe(expected);
  });
});

describe('an integer', () => {
  it.each(['0', '-17', '+5', ' 7\t', '10L', '10l', '0x1F', '0Xaf', '0o17', '0O7', '0b11', '1_000', 'feed'])('may be %j', (text) => {
    expect(isInteger(text)).toBe(true);
  });

  it.each(['', 'hello', '1.5', '12g', 'g12', '1,0', '½', '"1"'])('is not %j', (text) => {
    expect(isInteger(text)).toBe(false);
  });
});

describe('a decimal number', () => {
  it.each<[string, number | undefined]>([
    ['0', 0],
    ['7', 7],
    ['120', 120],
    ['-5', -5],
    ['+5', 5],
    ['10L', 10],
    ['  12L ', 12],
    ['\t3\r', 3],
    ['9007199254740991', 9_007_199_254_740_991],
    ['9007199254740992', undefined],
    ['-9007199254740992', undefined],
    ['010', undefined],
    ['00', undefined],
    ['0x10', undefined],
    ['1_0', undefined],
    ['1.5', undefined],
    ['10LL', undefined],
    ['10l', undefined],
    ['10 L', undefined],
    ['--1', undefined],
    ['- 1', undefined],
    ['x1', undefined],
    ['1x', undefined],
    ['L', undefined],
    ['', undefined],
  ])('of %j is %s', (text, expected) => {
    expect(decimal(text)).toBe(expected);
  });
});

describe('a float', () => {
  it.each([
    '0',
    '15',
    '-1.5',
    '+1.',
    '.5',
    '-.25',
    '1_0.5_0',
    '.5_0',
    '1e9',
    '1E9',
    '1.5e-10',
    '1.e+1_0',
    '.5e3',
    '.5e-1_0',
    ' 1.5\r',
    'inf',
    '-INF',
    'infinity',
    'nan',
    'NaN',
  ])('may be %j', (text) => {
    expect(isFloat(text)).toBe(true);
  });

  const OTHERS = ['', ' ', '.', '-', 'e5', '1e', '1e-', '.e5', '.5e', '1.5.2', '_1', '._5', '1e_5', '0x1p3', 'nano', 'xnan', 'x1', '1x', '1 2'];
  it.each(OTHERS)('is not %j', (text) => {
    expect(isFloat(text)).toBe(false);
  });
});

describe('an index of the memo', () => {
  it.each<[string, number | string | undefined]>([
    ['0', 0],
    ['17', 17],
    ['007', 7],
    ['+5', 5],
    ['-0', 0],
    ['-00', 0],
    [' 5\r', 5],
    ['1_000_000', 1_000_000],
    ['9007199254740991', 9_007_199_254_740_991],
    ['9007199254740992', '9007199254740992'],
    ['0099999999999999999999', '99999999999999999999'],
    ['-1', undefined],
    ['1__0', undefined],
    ['_1', undefined],
    ['1_', undefined],
    ['0x1', undefined],
    ['1L', undefined],
    ['1 2', undefined],
    ['--0', undefined],
    ['a1', undefined],
    ['', undefined],
    [' ', undefined],
  ])('of %j is %s', (text, expected) => {
    expect(memoIndex(text)).toBe(expected);
  });
});
