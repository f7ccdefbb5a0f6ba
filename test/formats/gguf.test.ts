// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { formatsOf, refusalsOf, u32, u64 } from './look.ts';

const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const tensor = (name: string, offset: bigint | number, dimensions = 1): Buffer =>
  Buffer.concat([text(name), u32(dimensions), ...Array.from({ length: dimensions }, () => u64(4)), u32(0), u64(offset)]);
const alignment = (value: number): Buffer => Buffer.concat([text('general.alignment'), u32(4), u32(value)]);

type Parts = { version?: number; tensors?: readonly Buffer[]; pairs?: readonly Buffer[]; tensorCount?: bigint; pairCount?: bigint; dataBytes?: number };

function gguf({ version = 3, tensors = [tensor('w', 0)], pairs = [], tensorCount, pairCount, dataBytes = 128 }: Parts = {}): Buffer {
  const header = [Buffer.from('GGUF'), u32(version), u64(tensorCount ?? tensors.length), u64(pairCount ?? pairs.length), ...pairs, ...tensors];
  return Buffer.concat([...header, Buffer.alloc(dataBytes)]);
}

const PAIRS = [
  Buffer.concat([text('general.name'), u32(8), text('tiny')]),
  Buffer.concat([text('tokens'), u32(9), u32(8), u64(2), text('a'), text('b')]),
  Buffer.concat([text('scores'), u32(9), u32(6), u64(2), u64(0)]),
  Buffer.concat([text('nested'), u32(9), u32(9), u64(1), u32(0), u64(3), Buffer.from('abc')]),
  Buffer.concat([text('flag'), u32(7), Buffer.from([1])]),
  alignment(32),
];

describe('GGUF', () => {
  it.each([2, 3])('of version %i with values of every kind is accepted under any name', async (version) => {
    const file = gguf({ version, pairs: PAIRS, tensors: [tensor('a', 0), tensor('b', 32, 4)] });
    expect(await formatsOf(file, 'weights.bin')).toEqual(['gguf']);
    expect(await refusalsOf(file)).toEqual([]);
  });

  it.each<[string, Buffer, RegExp]>([
    ['an unknown version', gguf({ version: 4 }), /version 4/],
    ['more tensors than anybody has', gguf({ tensorCount: 2n ** 63n }), /tensors, more than/],
    ['more values than anybody has', gguf({ pairCount: 2n ** 64n - 1n }), /values, more than/],
    ['more tensors than there are', gguf({ tensorCount: 9n, dataBytes: 0 }), /ends in the middle|a name of|more bytes than/],
    ['a name that is longer than the file', gguf({ tensors: [Buffer.concat([u64(60_000), Buffer.from('w')])] }), /ends in the middle/],
    ['a name whose length overflows', gguf({ tensors: [u64(2n ** 64n - 1n)] }), /more than/],
    ['a text that is longer than the file', gguf({ pairs: [Buffer.concat([text('k'), u32(8), u64(1_000_000)])] }), /more bytes than there are/],
    ['an array whose size overflows', gguf({ pairs: [Buffer.concat([text('k'), u32(9), u32(12), u64(2n ** 61n)])] }), /elements in arrays/],
    ['an array that is longer than the file', gguf({ pairs: [Buffer.concat([text('k'), u32(9), u32(12), u64(1_000_000)])] }), /more bytes than there are/],
    [
      'arrays in arrays without end',
      gguf({ pairs: [Buffer.concat([text('k'), u32(9), ...Array.from({ length: 9 }, () => [u32(9), u64(1)]).flat()])] }),
      /too deeply/,
    ],
    ['a value of an unknown type', gguf({ pairs: [Buffer.concat([text('k'), u32(77), u64(0)])] }), /unknown type 77/],
    ['an alignment of nothing', gguf({ pairs: [alignment(0)] }), /alignment/],
    ['a tensor of too many dimensions', gguf({ tensors: [tensor('w', 0, 9)] }), /9 dimensions/],
    ['a tensor beyond the end', gguf({ tensors: [tensor('w', 4096)] }), /beyond the end/],
    ['a tensor whose offset overflows', gguf({ tensors: [tensor('w', 2n ** 64n - 32n)] }), /beyond the end/],
    ['a tensor that is not aligned', gguf({ tensors: [tensor('w', 3)] }), /not aligned/],
    ['nothing behind its magic', Buffer.from('GGUF'), /ends in the middle|beyond/],
  ])('with %s is refused', async (_, file, message) => {
    expect(await refusalsOf(file, 'model.gguf')).toEqual([expect.stringMatching(message)]);
    expect((await refusalsOf(file, 'model.gguf'))[0]).toMatch(/^FORMAT_MALFORMED /);
  });
});
