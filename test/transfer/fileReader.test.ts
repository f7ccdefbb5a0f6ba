// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, test, vi } from 'vitest';
import { readThrough } from '../../src/transfer/fileReader.ts';
import { PIECE_BYTES } from '../../src/transfer/memory.ts';
import { scratch } from '../support/model.ts';

const MIB = 1024 * 1024;

/** Takes what is read, as it was when it was handed over. */
async function readAll(path: string, mayBlock: boolean, buffers: Buffer[] = []): Promise<Buffer> {
  await using handle = await open(path);
  const pieces: Buffer[] = [];
  let length = 0;
  await readThrough(handle.fd, {
    name: 'weights.bin',
    buffers,
    mayBlock,
    async take(bytes, position) {
      expect(position).toBe(length);
      // The next piece may be on its way meanwhile: it must not come into the same memory.
      await new Promise((resolve) => setTimeout(resolve, 1));
      pieces.push(Buffer.from(bytes));
      length += bytes.length;
    },
  });
  return Buffer.concat(pieces);
}

describe.each([true, false])('a file read where waiting is allowed: %s', (mayBlock) => {
  test.each([0, 1, PIECE_BYTES, MIB, 9 * MIB + 5])('arrives in its order, all %i bytes', async (sizeBytes) => {
    using tmp = scratch();
    const content = randomBytes(sizeBytes);
    writeFileSync(tmp.at('in'), content);
    expect((await readAll(tmp.at('in'), mayBlock)).equals(content)).toBe(true);
  });

  test('gives its memory back, to be used for the next one', async () => {
    using tmp = scratch();
    const content = randomBytes(3 * MIB);
    writeFileSync(tmp.at('in'), content);
    const buffers: Buffer[] = [];
    await readAll(tmp.at('in'), mayBlock, buffers);
    const kept = [...buffers];
    expect((await readAll(tmp.at('in'), mayBlock, buffers)).equals(content)).toBe(true);
    expect(new Set(buffers)).toEqual(new Set(kept));
  });

  test('ends with what the taker throws, and gives its memory back', async () => {
    using tmp = scratch();
    writeFileSync(tmp.at('in'), randomBytes(3 * MIB));
    await using handle = await open(tmp.at('in'));
    const buffers: Buffer[] = [];
    const refused = new Error('no more');
    const take = (_: Buffer, position: number): void => {
      if (position >= MIB) throw refused;
    };
    await expect(readThrough(handle.fd, { name: 'weights.bin', buffers, mayBlock, take })).rejects.toBe(refused);
    expect(buffers).toHaveLength(2);
  });

  test('that cannot be read ends with IO and its name', async () => {
    using tmp = scratch();
    await using handle = await open(tmp.path);
    await expect(readThrough(handle.fd, { name: 'weights.bin', buffers: [], mayBlock, take() {} })).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringContaining('reading weights.bin'),
    });
  });
});

test('what takes long is asked for beforehand, in larger pieces, until it is looked again', async () => {
  using tmp = scratch();
  const content = randomBytes(40 * MIB);
  writeFileSync(tmp.at('in'), content);
  await using handle = await open(tmp.at('in'));
  let now = 0;
  using _ = vi.spyOn(performance, 'now').mockImplementation(() => ++now);
  const lengths: number[] = [];
  const take = (bytes: Buffer, position: number): void => {
    lengths.push(bytes.length);
    expect(bytes.equals(content.subarray(position, position + bytes.length))).toBe(true);
  };
  await readThrough(handle.fd, { name: 'weights.bin', buffers: [], mayBlock: true, take });
  expect(lengths.slice(0, 34)).toEqual([PIECE_BYTES, ...Array(16).fill(MIB), PIECE_BYTES, ...Array(16).fill(MIB)]);
  expect(lengths.reduce((sum, length) => sum + length)).toBe(content.length);
});

test('a thread that reads what is in memory gives way to the others every few MiB', async () => {
  using tmp = scratch();
  writeFileSync(tmp.at('in'), randomBytes(32 * MIB));
  await using handle = await open(tmp.at('in'));
  let turns = 0;
  let running = true;
  const others = (): void => {
    turns++;
    if (running) setImmediate(others);
  };
  setImmediate(others);
  await readThrough(handle.fd, { name: 'weights.bin', buffers: [], mayBlock: true, take() {} });
  running = false;
  expect(turns).toBeGreaterThanOrEqual(7);
});
