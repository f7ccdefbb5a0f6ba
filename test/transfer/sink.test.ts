// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import type { ManifestFile } from '../../src/oms/manifest.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { createSink } from '../../src/transfer/sink.ts';
import { scratch } from '../support/model.ts';

const content = randomBytes(2_000_000);
const fileOf = (bytes: Buffer): ManifestFile => ({
  path: 'weights.bin' as ModelPath,
  algorithm: 'sha256',
  parts: [{ range: 'whole', digest: createHash('sha256').update(bytes).digest('hex') as HexDigest }],
});

/** What a connection that fetches `start`..`end` puts, a few bytes at a time. */
function* chunksOf(start: number, end: number, step: number): Generator<number> {
  for (let at = start; at < end; at += step) yield at;
}

describe.each([
  ['in the same thread', false],
  ['in a thread of its own', true],
])('a sink that hashes %s', (_, hashApart) => {
  test('takes stretches in any interleaving, and hashes the file they make', { timeout: 60_000 }, async () => {
    using tmp = scratch();
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: content.length - 1 }), { minLength: 0, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.integer({ min: 20_000, max: 300_000 }), fc.infiniteStream(fc.nat(9)), fc.boolean(), async (at, step, picks, lends) => {
        await using out = await open(tmp.at('out'), 'w+');
        await using sink = await createSink({ file: fileOf(content), outputFd: out.fd, maxFileBytes: 1e9, hashApart }, () => {});
        const bounds = [0, ...at.toSorted((a, b) => a - b), content.length];
        const stretches = bounds.slice(1).map((end, i) => ({ end, left: chunksOf(bounds[i] ?? 0, end, step) }));
        const own = Buffer.alloc(300_000);
        while (stretches.length > 0) {
          const stretch = stretches[(picks.next().value ?? 0) % stretches.length];
          const position = stretch?.left.next();
          if (stretch === undefined || position === undefined || position.done === true) {
            stretches.splice(
              stretches.findIndex(({ end }) => end === stretch?.end),
              1,
            );
            continue;
          }
          const memory = (lends ? sink.lend?.(position.value) : undefined) ?? own;
          const length = Math.min(step, memory.length, stretch.end - position.value);
          content.copy(memory, 0, position.value, position.value + length);
          sink.put(memory.subarray(0, length), position.value);
          // The rest of a step that did not fit into the memory lent.
          if (length < step && position.value + length < stretch.end) {
            const end = Math.min(position.value + step, stretch.end);
            sink.put(content.subarray(position.value + length, end), position.value + length);
          }
          // The bytes are the sink's only during the call, unless it lent the memory itself.
          own.fill(0xee);
          if ((picks.next().value ?? 0) === 0) await new Promise((turn) => setImmediate(turn));
        }
        expect(await sink.finish()).toMatchObject({ sizeBytes: content.length, parts: fileOf(content).parts });
        expect(readFileSync(tmp.at('out')).equals(content)).toBe(true);
      }),
      { numRuns: hashApart ? 15 : 40 },
    );
  });

  test('refuses other content when all of it has come, and what is too long at once', async () => {
    using tmp = scratch();
    await using out = await open(tmp.at('out'), 'w+');
    await using wrong = await createSink({ file: fileOf(Buffer.from('other')), outputFd: out.fd, maxFileBytes: 1e9, hashApart }, () => {});
    wrong.put(content.subarray(1000), 1000);
    wrong.put(content.subarray(0, 1000), 0);
    await expect(wrong.finish()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', context: { path: 'weights.bin' } });
    await using long = await createSink({ file: fileOf(content), outputFd: out.fd, maxFileBytes: 999, hashApart }, () => {});
    expect(() => long.put(content.subarray(0, 1000), 0)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
  });

  test('stops at the shard that is wrong', async () => {
    using tmp = scratch();
    await using out = await open(tmp.at('out'), 'w+');
    const digest = '0'.repeat(64) as HexDigest;
    const file: ManifestFile = {
      ...fileOf(content),
      sizeBytes: 2000,
      parts: [
        { range: { start: 0, end: 1000 }, digest },
        { range: { start: 1000, end: 2000 }, digest },
      ],
    };
    await using sink = await createSink({ file, outputFd: out.fd, maxFileBytes: 1e9, hashApart }, () => {});
    const feed = async (): Promise<void> => {
      // Another thread tells of it a little later.
      for (let i = 0; i < 1000; i++) {
        sink.put(content.subarray(i, i + 1), i);
        await new Promise((turn) => setTimeout(turn, 5));
        sink.put(content.subarray(i + 1, 1000), i + 1);
        i = 1000;
      }
      for (let i = 1000; i < 2000; i++) {
        sink.put(content.subarray(i, i + 1), i);
        await new Promise((turn) => setTimeout(turn, 1));
      }
    };
    await expect(feed()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', message: expect.stringContaining('bytes 0 to 1000') });
  });

  test('says what a volume says that takes no more', async () => {
    await using full = await open('/dev/full', 'w+');
    await using sink = await createSink({ file: fileOf(content), outputFd: full.fd, maxFileBytes: 1e9, hashApart }, () => {});
    expect(() => sink.put(content, 0)).toThrow(expect.objectContaining({ code: 'NO_SPACE' }));
  });

  test('does not end while the file is being read back: its descriptor’s number will be another file’s next', async () => {
    using tmp = scratch();
    await using out = await open(tmp.at('out'), 'w+');
    const sink = await createSink({ file: fileOf(content), outputFd: out.fd, maxFileBytes: 1e9, hashApart }, () => {});
    sink.put(content.subarray(1), 1);
    sink.put(content.subarray(0, 1), 0);
    await sink[Symbol.asyncDispose]();
    expect(() => sink.put(content.subarray(0, 1), content.length)).toThrow();
  });
});
