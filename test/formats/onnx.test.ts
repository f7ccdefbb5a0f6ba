// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { field, formatsOf, refusalsOf } from './look.ts';

const external = (location: string): Buffer => field(13, Buffer.concat([field(1, 'location'), field(2, location)]));
const model = (...graph: readonly Buffer[]): Buffer => Buffer.concat([field(1, 8), field(2, 'maker'), field(7, Buffer.concat(graph))]);

/** Every way from the model to a tensor. */
const PLACES: readonly (readonly [string, (tensor: Buffer) => Buffer])[] = [
  ['an initializer', (tensor) => model(field(5, tensor))],
  ['a sparse initializer', (tensor) => model(field(15, field(1, tensor)))],
  ['indices of a sparse initializer', (tensor) => model(field(15, field(2, tensor)))],
  ['an attribute', (tensor) => model(field(1, field(5, field(5, tensor))))],
  ['a list in an attribute', (tensor) => model(field(1, field(5, field(10, tensor))))],
  ['a graph in an attribute', (tensor) => model(field(1, field(5, field(6, field(5, tensor)))))],
  ['a list of graphs in an attribute', (tensor) => model(field(1, field(5, field(11, field(5, tensor)))))],
  ['a function', (tensor) => Buffer.concat([model(), field(25, field(7, field(5, field(5, tensor))))])],
  ['training', (tensor) => Buffer.concat([model(), field(20, field(1, field(5, tensor)))])],
];

describe('ONNX', () => {
  it('is recognised by its fields, under any name', async () => {
    expect(await formatsOf(model(field(2, 'graph')), 'x.bin')).toEqual(['onnx']);
    expect(await refusalsOf(model(field(2, 'graph')), 'x.bin')).toEqual([]);
  });

  it.each(PLACES)('takes data in %s from files of the model only', async (_, place) => {
    const file = place(external('weights.bin'));
    expect(await refusalsOf(file, 'dir/m.onnx', ['dir/weights.bin'])).toEqual([]);
    expect(await refusalsOf(file, 'dir/m.onnx', ['weights.bin'])).toEqual([expect.stringMatching(/^FORMAT_MALFORMED .*no file of the model/)]);
    for (const location of ['../weights.bin', 'a/../../w', '/etc/passwd', 'C:\\w', 'a\\..\\w', '', 'a//b', 'w\0'])
      expect(await refusalsOf(place(external(location)), 'm.onnx', ['weights.bin', location])).toEqual([
        expect.stringMatching(/^FORMAT_MALFORMED .*outside the model/),
      ]);
  });

  it('is refused when a field reaches beyond its message, or messages nest without end', async () => {
    const cut = model(field(5, external('w'))).subarray(0, -1);
    expect(await refusalsOf(cut, 'm.onnx')).toEqual([expect.stringMatching(/^FORMAT_MALFORMED .*beyond/)]);
    let graph = field(5, external('w'));
    for (let i = 0; i < 12; i++) graph = field(1, field(5, field(6, graph)));
    expect(await refusalsOf(model(graph), 'm.onnx', ['w'])).toEqual([expect.stringMatching(/^FORMAT_MALFORMED .*nested deeper/)]);
  });

  it('is not what has its name alone', async () => {
    expect(await refusalsOf(Buffer.from([0xff, 0xff, 0, 1, 2]), 'm.onnx')).toEqual([expect.stringContaining('FORMAT_MALFORMED')]);
  });
});

describe('other protobuf messages', () => {
  it('are told by their shape', async () => {
    expect(await formatsOf(Buffer.concat([field(1, 1), field(2, field(1, 'meta'))]))).toEqual(['tensorflow']);
    const piece = Buffer.concat([field(1, '<unk>'), Buffer.from([0x15, 0, 0, 0, 0]), field(3, 2)]);
    expect(await formatsOf(Buffer.concat([field(1, piece), field(1, piece), field(2, field(1, 'x'))]))).toEqual(['sentencepiece']);
  });

  it('of no known shape are unknown', async () => {
    expect(await formatsOf(Buffer.concat([field(200, 1), field(7, 'x')]))).toEqual(['unknown']);
    expect(await formatsOf(Buffer.concat([field(1, field(9, 'x')), field(3, 2)]))).toEqual(['unknown']);
  });
});
