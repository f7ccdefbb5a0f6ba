// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { checkSafetensors, looksLikeSafetensors } from '../../src/formats/safetensors.ts';
import { u64 } from './look.ts';

const file = (header: object | string, dataBytes = 16): Buffer => {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  return Buffer.concat([u64(text.length), text, Buffer.alloc(dataBytes)]);
};
const check = (header: object | string, dataBytes?: number): Promise<void> => checkSafetensors(bufferSource(file(header, dataBytes)));
const tensor = (dtype: unknown, shape: unknown, offsets: unknown): object => ({ dtype, shape, data_offsets: offsets });

describe('the header of safetensors', () => {
  it.each<[string, number]>(
    Object.entries({
      BOOL: 8,
      F4: 4,
      F6_E2M3: 6,
      F6_E3M2: 6,
      U8: 8,
      I8: 8,
      F8_E5M2: 8,
      F8_E4M3: 8,
      F8_E5M2FNUZ: 8,
      F8_E4M3FNUZ: 8,
      F8_E8M0: 8,
      I16: 16,
      U16: 16,
      F16: 16,
      BF16: 16,
      I32: 32,
      U32: 32,
      F32: 32,
      C64: 64,
      F64: 64,
      I64: 64,
      U64: 64,
    }),
  )('knows how long a %s is: %i bits', async (dtype, bits) => {
    await expect(check({ w: tensor(dtype, [2, 4], [0, bits]) }, bits)).resolves.toBeUndefined();
    await expect(check({ w: tensor(dtype, [2, 4], [0, bits + 1]) }, bits + 1)).rejects.toThrow(/has not the size of its shape/);
  });

  it.each<[string, object, number]>([
    ['no tensors', {}, 0],
    ['only texts about it', { __metadata__: { format: 'pt', empty: '' } }, 0],
    ['a scalar', { w: tensor('U8', [], [0, 1]) }, 1],
    ['empty tensors', { a: tensor('U8', [0], [0, 0]), b: tensor('F32', [3, 0], [0, 0]), c: tensor('U8', [2], [0, 2]) }, 2],
    ['tensors in any order', { b: tensor('U8', [2], [2, 4]), a: tensor('U8', [2], [0, 2]), c: tensor('U8', [0], [2, 2]) }, 4],
    ['64 dimensions', { w: tensor('U8', Array(64).fill(1), [0, 1]) }, 1],
  ])('may describe %s', async (_what, header, dataBytes) => {
    await expect(check(header, dataBytes)).resolves.toBeUndefined();
  });

  it.each<[string, object | string, number, RegExp]>([
    ['no object', '[]', 0, /the header is no JSON object/],
    ['no JSON', '{"a":}', 0, /not valid JSON/],
    ['texts that are none', { __metadata__: { a: 1 } }, 0, /__metadata__ is no map of texts/],
    ['texts of which one is none', { __metadata__: { a: 'x', b: 1 } }, 0, /__metadata__ is no map of texts/],
    ['a list of texts', { __metadata__: ['a'] }, 0, /__metadata__ is no map of texts/],
    ['a tensor that is no object', { w: 1 }, 0, /tensor ‘w’ is not described/],
    ['a dtype that is no text', { w: tensor(['U8'], [1], [0, 1]) }, 1, /tensor ‘w’ has an unknown dtype/],
    ['a dtype that every object has', { w: tensor('toString', [1], [0, 1]) }, 1, /unknown dtype/],
    ['more fields', { w: { ...tensor('U8', [1], [0, 1]), more: 1 } }, 1, /tensor ‘w’ has unknown fields/],
    ['no shape', { w: tensor('U8', undefined, [0, 1]) }, 1, /tensor ‘w’ has no valid shape/],
    ['65 dimensions', { w: tensor('U8', Array(65).fill(1), [0, 1]) }, 1, /no valid shape/],
    ['a negative dimension', { w: tensor('U8', [-1, -1], [0, 1]) }, 1, /no valid shape/],
    ['half a dimension', { w: tensor('U8', [0.5, 2], [0, 1]) }, 1, /no valid shape/],
    ['a dimension beyond exact numbers', { w: tensor('U8', [2 ** 53], [0, 1]) }, 1, /no valid shape/],
    ['one offset', { w: tensor('U8', [1], [1]) }, 1, /tensor ‘w’ has no valid offsets/],
    ['three offsets', { w: tensor('U8', [1], [0, 1, 1]) }, 1, /no valid offsets/],
    ['offsets that are texts', { w: tensor('U8', [1], ['0', '1']) }, 1, /no valid offsets/],
    ['an end before the beginning', { a: tensor('U8', [2], [0, 2]), w: tensor('U8', [1], [2, 1]) }, 2, /tensor ‘w’ has not the size of its shape/],
    ['a shape whose product is beyond all numbers', { w: tensor('U8', Array(64).fill(2 ** 52), [0, 1]) }, 1, /has not the size of its shape/],
    ['half a byte', { w: tensor('F4', [3], [0, 1]) }, 1, /has not the size of its shape/],
    ['tensors that overlap', { a: tensor('U8', [4], [0, 4]), b: tensor('U8', [2], [3, 5]) }, 5, /tensor ‘b’ overlaps another/],
    ['a tensor within another', { a: tensor('U8', [4], [0, 4]), b: tensor('U8', [1], [0, 1]) }, 4, /tensor ‘a’ overlaps another/],
    ['a hole', { a: tensor('U8', [1], [0, 1]), b: tensor('U8', [1], [2, 3]) }, 3, /tensor ‘b’ leaves a hole before it/],
    ['a hole at the beginning', { a: tensor('U8', [1], [1, 2]) }, 2, /tensor ‘a’ leaves a hole before it/],
    ['fewer bytes than there are', { a: tensor('U8', [1], [0, 1]) }, 2, /the tensors have 1 bytes, the file has 2 for them/],
    ['more bytes than there are', { a: tensor('U8', [2], [0, 2]) }, 1, /the tensors have 2 bytes, the file has 1 for them/],
  ])('may not describe %s', async (_what, header, dataBytes, message) => {
    await expect(check(header, dataBytes)).rejects.toThrow(message);
  });

  it('is at most 64 MiB long, and within the file', async () => {
    const claims = (bytes: number | bigint): Buffer => Buffer.concat([u64(bytes), Buffer.from('{}')]);
    const checked = (content: Buffer): Promise<void> => checkSafetensors(bufferSource(content));
    await expect(checked(claims(64 * 1024 * 1024 + 1))).rejects.toThrow(/the header has 67108865 bytes, more than 67108864/);
    await expect(checked(claims(64 * 1024 * 1024))).rejects.toThrow(/the header reaches beyond the end/);
    await expect(checked(claims(3))).rejects.toThrow(/the header reaches beyond the end/);
    await expect(checked(claims(2n ** 64n - 1n))).rejects.toThrow(/more than 67108864/);
    await expect(checked(Buffer.alloc(7))).rejects.toThrow(/the header’s length reaches beyond the end/);
    await expect(checked(claims(2))).resolves.toBeUndefined();
  });
});

describe('a file looks like safetensors', () => {
  const looks = (content: Buffer): Promise<boolean> => looksLikeSafetensors(bufferSource(content));

  it.each(['{"', '{}', '{ ', '{\n', '{\t'])('with a length that fits and %j', async (start) => {
    expect(await looks(Buffer.concat([u64(2), Buffer.from(start)]))).toBe(true);
  });

  it.each(['[]', '{x', ' {', '}{'])('but not with %j', async (start) => {
    expect(await looks(Buffer.concat([u64(2), Buffer.from(start)]))).toBe(false);
  });

  it('and not with a length beyond the file, or less than its beginning', async () => {
    expect(await looks(Buffer.concat([u64(11), Buffer.from('{}')]))).toBe(false);
    expect(await looks(Buffer.concat([u64(10), Buffer.from('{}')]))).toBe(true);
    expect(await looks(Buffer.concat([u64(2), Buffer.from('{')]))).toBe(false);
  });
});
