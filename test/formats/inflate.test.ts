// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource } from '../../src/formats/byteSource.ts';
import { BeyondLimits, Defect } from '../../src/formats/finding.ts';
import { type Compression, inflate } from '../../src/formats/inflate.ts';

const KINDS: readonly (readonly [Compression, (content: Buffer) => Buffer])[] = [
  ['deflate', (content) => deflateRawSync(content)],
  ['zlib', (content) => deflateSync(content)],
  ['gzip', (content) => gzipSync(content)],
];

const MIB = 1024 * 1024;
const raw = (text: string): ByteSource => bufferSource(deflateRawSync(text));
const budgetOf = (inflatedBytes = 1000): { inflatedBytes: number } => ({ inflatedBytes });
const textOf = async (source: ByteSource): Promise<string> => Buffer.from(await source.read(0, source.sizeBytes)).toString();

describe.each(KINDS)('what is compressed as %s', (kind, compress) => {
  const [other] = KINDS.filter(([name]) => name !== kind).map(([, one]) => one);

  it('is read as it was', async () => {
    const content = await inflate(bufferSource(compress(Buffer.from('hello'))), kind, budgetOf());
    expect(content.sizeBytes).toBe(5);
    expect(content.readableBytes).toBeUndefined();
    expect(await textOf(content)).toBe('hello');
  });

  it('may be nothing', async () => {
    expect((await inflate(bufferSource(compress(Buffer.alloc(0))), kind, budgetOf(), 0)).sizeBytes).toBe(0);
  });

  it('is not read as another kind', async () => {
    const wrong = bufferSource(other?.(Buffer.from('hello')) ?? Buffer.alloc(0));
    await expect(inflate(wrong, kind, budgetOf())).rejects.toThrow(Defect);
    await expect(inflate(wrong, kind, budgetOf())).rejects.toThrow(/^does not decompress: (incorrect header check|invalid .+|unexpected end of file)$/);
  });

  it('is refused when it is cut off, or nothing at all', async () => {
    const cut = compress(Buffer.from('hello')).subarray(0, -1);
    for (const content of [cut, cut.subarray(0, 4)]) {
      await expect(inflate(bufferSource(content), kind, budgetOf())).rejects.toThrow(new Defect('does not decompress: unexpected end of file'));
    }
  });

  it('has nothing behind it', async () => {
    const content = bufferSource(Buffer.concat([compress(Buffer.from('hello')), Buffer.from('\0!')]));
    await expect(inflate(content, kind, budgetOf())).rejects.toThrow(new Defect('has bytes behind its compressed ones'));
  });
});

describe('gzip', () => {
  const one = gzipSync('hello');

  it('may be several, one behind the other', async () => {
    const content = await inflate(bufferSource(Buffer.concat([one, gzipSync(' again')])), 'gzip', budgetOf());
    expect(await textOf(content)).toBe('hello again');
  });

  it('has nothing else behind it', async () => {
    const content = bufferSource(Buffer.concat([one, Buffer.from('!!')]));
    await expect(inflate(content, 'gzip', budgetOf())).rejects.toThrow(new Defect('does not decompress: incorrect header check'));
  });

  it('has the sum of its content', async () => {
    const damaged = Buffer.from(one);
    damaged.writeUInt32LE(0, damaged.length - 8);
    await expect(inflate(bufferSource(damaged), 'gzip', budgetOf())).rejects.toThrow(new Defect('does not decompress: incorrect data check'));
  });
});

describe('what is compressed', () => {
  it('may be larger than what is fetched at once', async () => {
    const content = randomBytes(MIB);
    const fetched: number[] = [];
    const packed = deflateRawSync(content);
    const source: ByteSource = {
      sizeBytes: packed.length,
      read: async (position, length) => {
        fetched.push(position);
        return packed.subarray(position, position + length);
      },
    };
    const unpacked = await inflate(source, 'deflate', budgetOf(2 * MIB));
    expect(content.equals(await unpacked.read(0, MIB))).toBe(true);
    expect(fetched).toEqual([0, 262_144, 524_288, 786_432, 1_048_576]);
  });

  it('is read from memory that the source may use again', async () => {
    const content = randomBytes(MIB);
    const packed = deflateRawSync(content);
    const memory = Buffer.alloc(262_144);
    const source: ByteSource = {
      sizeBytes: packed.length,
      read: async (position, length) => memory.subarray(0, packed.copy(memory, 0, position, position + length)),
    };
    expect(content.equals(await (await inflate(source, 'deflate', budgetOf(2 * MIB))).read(0, MIB))).toBe(true);
  });

  it('has the length that it is said to have', async () => {
    expect((await inflate(raw('hello'), 'deflate', budgetOf(), 5)).sizeBytes).toBe(5);
    await expect(inflate(raw('hello'), 'deflate', budgetOf(), 4)).rejects.toThrow(new Defect('decompresses to 5 bytes, not to 4'));
    await expect(inflate(raw('hello'), 'deflate', budgetOf(), 6)).rejects.toThrow(new Defect('decompresses to 5 bytes, not to 6'));
    await expect(inflate(raw('hello'), 'deflate', budgetOf(), 0)).rejects.toThrow(new Defect('decompresses to 5 bytes, not to 0'));
  });

  it('is not read because its source fails', async () => {
    const failing: ByteSource = { sizeBytes: 10, read: () => Promise.reject(new TypeError('the disk is gone')) };
    await expect(inflate(failing, 'deflate', budgetOf())).rejects.toThrow(new TypeError('the disk is gone'));
    const start = deflateRawSync(randomBytes(MIB));
    const late: ByteSource = {
      sizeBytes: start.length,
      read: async (position, length) => {
        if (position > 0) throw new TypeError('the disk is gone');
        return start.subarray(0, length);
      },
    };
    await expect(inflate(late, 'deflate', budgetOf(2 * MIB))).rejects.toThrow(new TypeError('the disk is gone'));
  });
});

describe('the limit', () => {
  it('is shared by all that is decompressed', async () => {
    const budget = budgetOf(12);
    await inflate(raw('hello'), 'deflate', budget);
    expect(budget).toEqual({ inflatedBytes: 7 });
    await inflate(raw('seven__'), 'deflate', budget);
    expect(budget).toEqual({ inflatedBytes: 0 });
    await expect(inflate(raw(''), 'deflate', budget)).rejects.toThrow(new Defect('decompresses to more than is judged in one file'));
  });

  it('lets the beginning be judged, and nothing behind it', async () => {
    const budget = budgetOf(4);
    const content = await inflate(raw('hello'), 'deflate', budget, 5);
    expect(budget).toEqual({ inflatedBytes: 0 });
    expect([content.sizeBytes, content.readableBytes]).toEqual([5, 4]);
    expect(Buffer.from(await content.read(0, 4)).toString()).toBe('hell');
    await expect(content.read(0, 5)).rejects.toThrow(new BeyondLimits('needs more than the first 4 decompressed bytes to be judged'));
  });

  it('is not reached by what just fits', async () => {
    const content = await inflate(raw('hello'), 'deflate', budgetOf(5));
    expect([content.sizeBytes, content.readableBytes]).toEqual([5, undefined]);
    await expect(inflate(raw('hello'), 'deflate', budgetOf(5), 6)).rejects.toThrow(new Defect('decompresses to 5 bytes, not to 6'));
  });

  it('makes the size unknown where nobody says it', async () => {
    const content = await inflate(raw('hello'), 'deflate', budgetOf(4));
    expect([content.sizeBytes, content.readableBytes]).toEqual([Number.MAX_SAFE_INTEGER, 4]);
    const wrong = await inflate(raw('hello'), 'deflate', budgetOf(4), 0);
    expect([wrong.sizeBytes, wrong.readableBytes]).toEqual([0, 4]);
  });

  it('ends the reading', async () => {
    const packed = deflateRawSync(randomBytes(4 * MIB));
    let read = 0;
    const source: ByteSource = {
      sizeBytes: packed.length,
      read: async (position, length) => {
        read += 1;
        return packed.subarray(position, position + length);
      },
    };
    expect((await inflate(source, 'deflate', budgetOf(1000))).readableBytes).toBe(1000);
    expect(read).toBeLessThan(8);
  });

  it('is 64 MiB for one', async () => {
    const budget = budgetOf(100 * MIB);
    const piece = deflateRawSync(Buffer.alloc(MIB), { finishFlush: constants.Z_FULL_FLUSH });
    const packed = bufferSource(Buffer.concat(Array<Buffer>(65).fill(piece)));
    const content = await inflate(packed, 'deflate', budget);
    expect(budget).toEqual({ inflatedBytes: 36 * MIB });
    expect(content.readableBytes).toBe(64 * MIB);
  });
});
