// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { Defect, type Finding } from '../../src/formats/finding.ts';
import { checkGguf } from '../../src/formats/gguf.ts';
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

const check = (parts: Parts): Promise<readonly Finding[]> => checkGguf(bufferSource(gguf(parts)));
const pair = (key: string, type: number, ...value: readonly Buffer[]): Buffer => Buffer.concat([text(key), u32(type), ...value]);

describe('the values of GGUF', () => {
  it.each([
    [0, 1],
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 4],
    [5, 4],
    [6, 4],
    [7, 1],
    [10, 8],
    [11, 8],
    [12, 8],
  ])('of type %i have %i bytes, alone and in arrays', async (type, sizeBytes) => {
    // The one behind it is read as what it is, so that no byte more or less was passed over.
    const end = pair('general.alignment', 4, u32(64));
    const pairs = (more: number): readonly Buffer[] => [
      pair('a', type, Buffer.alloc(sizeBytes + more)),
      pair('b', 9, u32(type), u64(3), Buffer.alloc(3 * sizeBytes)),
      end,
    ];
    await expect(check({ pairs: pairs(0), tensors: [tensor('w', 64)] })).resolves.toEqual([]);
    await expect(check({ pairs: pairs(0), tensors: [tensor('w', 32)] })).rejects.toThrow(new Defect('has a tensor beyond the end of the file, or not aligned'));
    await expect(check({ pairs: pairs(1), tensors: [tensor('w', 64)] })).rejects.toThrow(Defect);
  });

  it.each([13, 255])('of type %i are unknown, alone and in arrays', async (type) => {
    await expect(check({ pairs: [pair('a', type, u64(0))] })).rejects.toThrow(new Defect(`has a value of unknown type ${type}`));
    await expect(check({ pairs: [pair('a', 9, u32(type), u64(1), u64(0))] })).rejects.toThrow(new Defect(`has a value of unknown type ${type}`));
    await expect(check({ pairs: [pair('a', 9, u32(type), u64(0))] })).resolves.toEqual([]);
  });

  it('may be arrays in four arrays', async () => {
    const nested = (arrays: number): Buffer =>
      pair('k', 9, ...Array.from({ length: arrays }, () => Buffer.concat([u32(9), u64(1)])), u32(0), u64(1), Buffer.alloc(1));
    await expect(check({ pairs: [nested(3)] })).resolves.toEqual([]);
    await expect(check({ pairs: [nested(4)] })).rejects.toThrow(new Defect('has arrays nested too deeply'));
  });

  it('in arrays are no more than 64 million in all', async () => {
    const array = (count: number): Buffer => pair('a', 9, u32(0), u64(count));
    /** A file that ends with the zeros which the last array holds. */
    const checked = (...pairs: readonly Buffer[]): Promise<readonly Finding[]> => {
      const head = gguf({ pairs, tensors: [], dataBytes: 0 });
      return checkGguf({
        sizeBytes: head.length + 64_000_000,
        read: async (position, length) => Buffer.concat([head.subarray(position), Buffer.alloc(length)]).subarray(0, length),
      });
    };
    await expect(checked(array(64_000_000))).resolves.toEqual([]);
    await expect(checked(array(64_000_001))).rejects.toThrow(new Defect('has 64000001 elements in arrays, more than 64000000'));
    await expect(checked(Buffer.concat([array(1), Buffer.alloc(1)]), array(64_000_000))).rejects.toThrow(
      new Defect('has 64000000 elements in arrays, more than 63999999'),
    );
  });

  it('may be many texts', async () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => text(`a longer token ${i}`));
    const end = pair('general.alignment', 4, u32(64));
    await expect(check({ pairs: [pair('tokens', 9, u32(8), u64(20_000), ...texts), end], tensors: [tensor('w', 64)] })).resolves.toEqual([]);
    await expect(check({ pairs: [pair('tokens', 9, u32(8), u64(19_999), ...texts), end], tensors: [tensor('w', 64)] })).rejects.toThrow(Defect);
  });

  it('have texts of at most 64 MiB, and within the file', async () => {
    const most = 64 * 1024 * 1024;
    for (const prefix of [[], [u32(8), u64(1)]]) {
      const value = (length: number): Buffer => pair('k', prefix.length > 0 ? 9 : 8, ...prefix, u64(length));
      await expect(check({ pairs: [value(most)] })).rejects.toThrow(new Defect('claims more bytes than there are'));
      await expect(check({ pairs: [value(most + 1)] })).rejects.toThrow(new Defect('has 67108865 bytes in a text, more than 67108864'));
    }
  });
});

describe('the header of GGUF', () => {
  it.each([
    [1, 'has version 1, which nothing loads any more'],
    [0, 'has version 0'],
    [4, 'has version 4'],
  ])('of version %i is refused', async (version, message) => {
    await expect(check({ version })).rejects.toThrow(new Defect(message));
  });

  it('counts no more than a million tensors and 65,536 values', async () => {
    await expect(check({ tensorCount: 1_000_001n })).rejects.toThrow(new Defect('has 1000001 tensors, more than 1000000'));
    await expect(check({ tensorCount: 1_000_000n, dataBytes: 0 })).rejects.toThrow(new Defect('ends in the middle'));
    await expect(check({ pairCount: 65_537n })).rejects.toThrow(new Defect('has 65537 values, more than 65536'));
    await expect(check({ pairCount: 65_536n, dataBytes: 0 })).rejects.toThrow(new Defect('ends in the middle'));
  });

  it('has names of at most 65,535 bytes', async () => {
    const long = (length: number): string => 'n'.repeat(length);
    await expect(check({ tensors: [tensor(long(65_535), 0)], pairs: [pair(long(65_535), 0, Buffer.alloc(1))] })).resolves.toEqual([]);
    await expect(check({ tensors: [tensor(long(65_536), 0)] })).rejects.toThrow(new Defect('has a name or template of 65536 bytes'));
    await expect(check({ pairs: [pair(long(65_536), 0, Buffer.alloc(1))] })).rejects.toThrow(new Defect('has a name or template of 65536 bytes'));
  });

  it.each([
    [4, 8],
    [4, 32],
    [4, 48],
  ])('may ask for an alignment by type %i: %i', async (type, value) => {
    await expect(check({ pairs: [pair('general.alignment', type, u32(value))], tensors: [tensor('w', value)] })).resolves.toEqual([]);
    await expect(check({ pairs: [pair('general.alignment', type, u32(value))], tensors: [tensor('w', value + 4)] })).rejects.toThrow(/not aligned/);
  });

  it.each([
    [4, 0],
    [4, 4],
    [4, 12],
    [4, 33],
    [5, 32],
    [10, 32],
    [8, 0],
  ])('may not ask for an alignment by type %i: %i', async (type, value) => {
    await expect(check({ pairs: [pair('general.alignment', type, u64(value))] })).rejects.toThrow(new Defect('has no valid alignment'));
  });

  it('lets tensors begin within the file, behind the header', async () => {
    // The header has 57 bytes, so that the data begins at byte 64.
    expect(gguf({ dataBytes: 0 })).toHaveLength(57);
    await expect(check({ dataBytes: 7 })).resolves.toEqual([]);
    await expect(check({ dataBytes: 6 })).rejects.toThrow(new Defect('has a tensor beyond the end of the file, or not aligned'));
    await expect(check({ tensors: [tensor('w', 32)], dataBytes: 39 })).resolves.toEqual([]);
    await expect(check({ tensors: [tensor('w', 32)], dataBytes: 38 })).rejects.toThrow(new Defect('has a tensor beyond the end of the file, or not aligned'));
    await expect(check({ tensors: [tensor('a', 0), tensor('b', 64)], dataBytes: 30 })).rejects.toThrow(/beyond the end/);
  });

  it('lets tensors have up to eight dimensions', async () => {
    await expect(check({ tensors: [tensor('a', 0, 0), tensor('b', 0, 8), tensor('c', 0)] })).resolves.toEqual([]);
    await expect(check({ tensors: [tensor('w', 0, 9)] })).rejects.toThrow(new Defect('has a tensor of 9 dimensions'));
  });

  it('may have no tensors', async () => {
    await expect(check({ tensors: [], dataBytes: 0 })).resolves.toEqual([]);
  });

  it('is longer than what is read at once', async () => {
    const pairs = Array.from({ length: 6000 }, (_, i) => pair(`${'k'.repeat(50)}${i}`, 8, text('v'.repeat(40))));
    const tensors = Array.from({ length: 6000 }, (_, i) => tensor(`${'t'.repeat(50)}${i}`, i * 32));
    await expect(check({ pairs, tensors, dataBytes: 192_032 })).resolves.toEqual([]);
    await expect(check({ pairs, tensors, dataBytes: 191_000 })).rejects.toThrow(/beyond the end/);
  });
});

describe('a chat template in GGUF', () => {
  const EVIL = "{{ ''.__class__ }}";
  const CODE = [{ kind: 'format', format: 'remote-code', detail: 'has a template that reaches for Python' }];

  it.each(['tokenizer.chat_template', 'tokenizer.chat_template.tool_use'])('is read under %s', async (key) => {
    await expect(check({ pairs: [pair(key, 8, text(EVIL))] })).resolves.toEqual(CODE);
    await expect(check({ pairs: [pair(key, 8, text('{{ x }}'))] })).resolves.toEqual([]);
  });

  it.each(['chat_template', 'x.tokenizer.chat_template', 'general.name'])('is not what stands under %s', async (key) => {
    await expect(check({ pairs: [pair(key, 8, text(EVIL))] })).resolves.toEqual([]);
  });

  it('is read whichever of several it is', async () => {
    const [good, evil] = [pair('tokenizer.chat_template', 8, text('{{ x }}')), pair('tokenizer.chat_template.a', 8, text(EVIL))];
    await expect(check({ pairs: [good, evil] })).resolves.toEqual(CODE);
    await expect(check({ pairs: [evil, good] })).resolves.toEqual(CODE);
  });

  it('has at most a MiB', async () => {
    const template = (length: number): Buffer => pair('tokenizer.chat_template', 8, text('x'.repeat(length)));
    await expect(check({ pairs: [template(1_048_576)] })).resolves.toEqual([]);
    await expect(check({ pairs: [template(1_048_577)] })).rejects.toThrow(new Defect('has a name or template of 1048577 bytes'));
  });

  it('that is no text is passed over', async () => {
    await expect(check({ pairs: [pair('tokenizer.chat_template', 9, u32(8), u64(1), text('x')), alignment(64)], tensors: [tensor('w', 64)] })).resolves.toEqual(
      [],
    );
  });
});
