// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import type { ManifestFile } from '../../src/oms/manifest.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { createChecker } from '../../src/transfer/checker.ts';

const path = 'weights.bin' as ModelPath;
const sha256 = (bytes: Uint8Array): HexDigest => createHash('sha256').update(bytes).digest('hex') as HexDigest;
const whole = (content: Uint8Array): ManifestFile => ({ path, algorithm: 'sha256', parts: [{ range: 'whole', digest: sha256(content) }] });

function sharded(content: Uint8Array, size: number): ManifestFile {
  const starts = Array.from({ length: Math.ceil(content.length / size) }, (_, i) => i * size);
  const [first, ...rest] = starts.map((start) => {
    const end = Math.min(start + size, content.length);
    return { range: { start, end }, digest: sha256(content.subarray(start, end)) };
  });
  if (first === undefined) throw new Error('an empty file has no shards');
  return { path, algorithm: 'sha256', parts: [first, ...rest], sizeBytes: content.length };
}

/** Feeds `content` in pieces; the code it ends with. */
async function check(file: ManifestFile, content: Uint8Array, pieces: readonly number[] = []): Promise<string> {
  const checker = await createChecker(file);
  try {
    let position = 0;
    for (const piece of [...pieces, content.length]) {
      checker.update(content.subarray(position, position + piece));
      position = Math.min(content.length, position + piece);
    }
    checker.finish();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('a checker', () => {
  test('takes the right bytes however they are cut, as a whole and in shards', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 500 });
    const pieces = fc.array(fc.nat(60), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(bytes, pieces, fc.integer({ min: 1, max: 200 }), async (content, cuts, size) => {
        expect(await check(whole(content), content, cuts)).toBe('ok');
        expect(await check(sharded(content, size), content, cuts)).toBe('ok');
      }),
    );
  });

  test('refuses every other content, however it is cut', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.integer({ min: 1, max: 100 }), async (content, at, change, size) => {
        const other = Uint8Array.from(content);
        other[at % content.length] = (other[at % content.length] ?? 0) ^ change;
        expect(await check(whole(content), other)).toBe('DIGEST_MISMATCH');
        expect(await check(sharded(content, size), other)).toBe('DIGEST_MISMATCH');
      }),
    );
  });

  test('refuses a file that ends early or goes on', async () => {
    const content = Buffer.alloc(250, 'x');
    const file = sharded(content, 100);
    expect(await check(file, content.subarray(0, 200))).toBe('SIZE_MISMATCH');
    expect(await check(file, Buffer.alloc(0))).toBe('SIZE_MISMATCH');
    expect(await check(file, Buffer.concat([content, Buffer.from('y')]))).toBe('SIZE_MISMATCH');
    expect(await check(whole(content), content.subarray(1))).toBe('DIGEST_MISMATCH');
  });

  test('refuses at the first wrong shard, before the rest has arrived', async () => {
    const content = Buffer.alloc(300, 'x');
    const checker = await createChecker(sharded(content, 100));
    expect(() => checker.update(Buffer.alloc(100, 'y'))).toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }));
  });

  test('takes an empty file', async () => {
    expect(await check(whole(Buffer.alloc(0)), Buffer.alloc(0))).toBe('ok');
    expect(await check(whole(Buffer.alloc(0)), Buffer.from('x'))).toBe('DIGEST_MISMATCH');
  });
});
