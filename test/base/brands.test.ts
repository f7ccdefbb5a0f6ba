// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hexDigest, isNonEmpty, toHexDigest } from '../../src/base/brands.ts';

it('a digest is lower-case hex of exactly its length', () => {
  expect(hexDigest('00ff', 2)).toBe('00ff');
  for (const text of ['', '0', '00f', '00FF', '00fg', '00 f', '0x0f', '00ff00', '00ff\n']) expect(hexDigest(text, 2)).toBeUndefined();
  expect(hexDigest('', 0)).toBeUndefined();
});

it('a digest comes out of its bytes and back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
      const digest = toHexDigest(Buffer.from(bytes));
      expect(hexDigest(digest, bytes.length)).toBe(digest);
      expect(hexDigest(digest, bytes.length + 1)).toBeUndefined();
    }),
  );
});

it('a list is empty or not', () => {
  expect(isNonEmpty([])).toBe(false);
  expect(isNonEmpty([undefined])).toBe(true);
});
