// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWriter } from '../../src/transfer/writer.ts';
import { scratch } from '../support/model.ts';

describe('a writer', () => {
  test('puts down all chunks in order, however large they are', async () => {
    using tmp = scratch();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.nat(5000), fc.constantFrom(0, 65_536, 1024 * 1024, 1024 * 1024 + 1)), { maxLength: 12 }), async (sizes) => {
        const chunks = sizes.map((size, i) => Buffer.alloc(size, i + 1));
        await using file = await open(tmp.at('out'), 'w+');
        const writer = createWriter(file.fd);
        for (const chunk of chunks) await writer.append(chunk);
        await writer.finish();
        expect(readFileSync(tmp.at('out')).equals(Buffer.concat(chunks))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test('tells of a failed write at the latest when it finishes, and is idle then', async () => {
    using tmp = scratch();
    const fd = openSync(tmp.at('read-only'), 'a');
    const readable = openSync(tmp.at('read-only'), 'r');
    try {
      const writer = createWriter(readable);
      await writer.append(Buffer.alloc(2 * 1024 * 1024));
      await expect(writer.finish()).rejects.toMatchObject({ code: 'EBADF' });
      await writer.idle();
    } finally {
      closeSync(readable);
      closeSync(fd);
    }
  });
});
