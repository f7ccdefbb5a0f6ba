// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isNonEmpty } from '../../src/base/brands.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { createChecker } from '../../src/transfer/checker.ts';
import { createDigester } from '../../src/transfer/digester.ts';

const path = 'weights.bin' as ModelPath;
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

/** The same bytes in pieces of any size. */
function piecesOf(content: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < content.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    pieces.push(content.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 });

it('digests a whole file, however its bytes arrive', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, sizes, async (content, cut) => {
      const digester = await createDigester({ path, algorithm: 'sha256' });
      for (const piece of piecesOf(content, cut)) digester.update(piece);
      expect(digester.finish()).toEqual([{ range: 'whole', digest: createHash('sha256').update(content).digest('hex') }]);
    }),
  );
});

it.each(['sha256', 'blake2b', 'blake3'] as const)('makes shards that cover a file and that the checker accepts, with %s', async (algorithm) => {
  await fc.assert(
    fc.asyncProperty(bytes, sizes, sizes, fc.integer({ min: 1, max: 100 }), async (content, cut, otherCut, shardSizeBytes) => {
      const digester = await createDigester({ path, algorithm, shardSizeBytes });
      for (const piece of piecesOf(content, cut)) digester.update(piece);
      const parts = digester.finish();
      expect(parts.map((part) => part.range)).toEqual(
        Array.from({ length: Math.ceil(content.length / shardSizeBytes) }, (_, i) => ({
          start: i * shardSizeBytes,
          end: Math.min(content.length, (i + 1) * shardSizeBytes),
        })),
      );
      if (!isNonEmpty(parts)) return;
      const checker = await createChecker({ path, algorithm, parts, sizeBytes: content.length });
      for (const piece of piecesOf(content, otherCut)) checker.update(piece);
      expect(checker.finish()).toEqual(parts);
    }),
  );
});
