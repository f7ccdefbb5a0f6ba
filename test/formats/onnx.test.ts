// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource } from '../../src/formats/byteSource.ts';
import { Defect } from '../../src/formats/finding.ts';
import { identify } from '../../src/formats/identify.ts';
import { externalData, recogniseProtobuf } from '../../src/formats/onnx.ts';
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
  ['an attribute of a function', (tensor) => Buffer.concat([model(), field(25, field(11, field(5, tensor)))])],
  ['a sparse attribute', (tensor) => model(field(1, field(5, field(22, field(1, tensor)))))],
  ['a list of sparse attributes', (tensor) => model(field(1, field(5, field(23, field(2, tensor)))))],
  ['training', (tensor) => Buffer.concat([model(), field(20, field(1, field(5, tensor)))])],
  ['an algorithm of training', (tensor) => Buffer.concat([model(), field(20, field(2, field(5, tensor)))])],
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

describe('the files that a model takes data from', () => {
  const of = (...parts: readonly Buffer[]): Promise<readonly string[]> => externalData(bufferSource(Buffer.concat(parts)));
  /** Entries of a tensor's data, in a model. */
  const entries = (...parts: readonly Buffer[]): Buffer => model(field(5, Buffer.concat(parts.map((part) => field(13, part)))));

  it('are told once each, in the order of the tensors', async () => {
    const tensors = ['b', 'a/w.bin', './c', 'b'].map((location) => field(5, external(location)));
    expect(await of(model(...tensors))).toEqual(['b', 'a/w.bin', 'c']);
    expect(await of(model())).toEqual([]);
    expect(await of()).toEqual([]);
  });

  it('stand under the key for the location alone', async () => {
    const other = Buffer.concat([field(1, 'checksum'), field(2, '../x')]);
    expect(await of(entries(other, Buffer.concat([field(1, 'location'), field(2, 'w')]), field(2, 'x')))).toEqual(['w']);
    expect(await of(entries(Buffer.concat([field(2, 'w'), field(1, 'location')])))).toEqual(['w']);
    // What comes last counts, as it does for loaders.
    expect(await of(entries(Buffer.concat([field(1, 'offset'), field(2, 'x'), field(1, 'location'), field(2, 'w')])))).toEqual(['w']);
    expect(await of(entries(Buffer.concat([field(1, 'location'), field(2, 'w'), field(3, 'x'), field(1, 7), field(2, 7)])))).toEqual(['w']);
    await expect(of(entries(field(1, 'location')))).rejects.toThrow(new Defect('takes data from outside the model'));
  });

  it('have names of at most 4096 bytes', async () => {
    expect(await of(entries(Buffer.concat([field(1, 'location'), field(2, 'w'.repeat(4096))])))).toEqual(['w'.repeat(4096)]);
    await expect(of(entries(Buffer.concat([field(1, 'location'), field(2, 'w'.repeat(4097))])))).rejects.toThrow(
      new Defect('has a location longer than any path'),
    );
  });

  it('are no more than 10,000', async () => {
    const tensors = Array.from({ length: 10_001 }, (_, i) => field(5, external(`w${i}`)));
    expect(await of(model(...tensors.slice(1)))).toHaveLength(10_000);
    await expect(of(model(...tensors))).rejects.toThrow(new Defect('takes data from more than 10000 files'));
  });

  it('are looked for 24 levels deep', async () => {
    // Each graph in a node's attribute is three levels, a tensor and its entry two more.
    const nested = (graphs: number): Buffer => {
      let graph = field(5, external('w'));
      for (let i = 0; i < graphs; i++) graph = field(1, field(5, field(6, graph)));
      return model(graph);
    };
    expect(await of(nested(7))).toEqual(['w']);
    await expect(of(nested(8))).rejects.toThrow(new Defect('is nested deeper than 24 levels'));
    const sparse = (graphs: number): Buffer => {
      let graph = field(1, field(5, field(22, field(1, external('w')))));
      for (let i = 0; i < graphs; i++) graph = field(1, field(5, field(6, graph)));
      return model(graph);
    };
    // 1 + 3 × 6 + 5 levels.
    expect(await of(sparse(6))).toEqual(['w']);
  });

  it.each<[string, Buffer]>([
    ['where no tensors lie', Buffer.concat([model(), field(3, field(5, external('w')))])],
    ['in a field of a graph that holds none', model(field(2, external('w')))],
    ['in a field of a node that holds none', model(field(1, field(6, field(5, external('w')))))],
    ['in a field of an attribute that holds none', model(field(1, field(5, field(7, external('w')))))],
    ['in a field of a sparse tensor that holds none', model(field(15, field(3, external('w'))))],
    ['in a field of a function that holds none', Buffer.concat([model(), field(25, field(9, field(5, field(5, external('w')))))])],
    ['in a field of training that holds none', Buffer.concat([model(), field(20, field(3, field(5, external('w'))))])],
    ['in a field of a tensor that holds none', model(field(5, field(12, Buffer.concat([field(1, 'location'), field(2, 'w')]))))],
    ['in eight bytes', Buffer.concat([model(), Buffer.from([0x39]), Buffer.alloc(8)])],
    ['in numbers', Buffer.concat([model(), field(7, 5), field(20, 1), field(25, 1)])],
  ])('are none %s', async (_what, file) => {
    expect(await of(file)).toEqual([]);
  });

  it.each<[string, Buffer]>([
    ['tensors', field(5, field(1, 1))],
    ['tensors with entries', field(5, external('w'))],
    ['tensors deep within', field(1, field(5, field(6, field(1, field(5, field(5, external('w')))))))],
  ])('are found in 20,000 %s without fetching anything twice', async (_what, part) => {
    const file = model(Buffer.alloc(20_000 * part.length, part));
    let fetched = 0;
    const source: ByteSource = {
      sizeBytes: file.length,
      read: async (position, length) => {
        const bytes = file.subarray(position, position + length);
        fetched += bytes.length;
        return bytes;
      },
    };
    expect((await externalData(source)).length).toBeLessThan(2);
    // What lies at the end of a piece is fetched with the next again.
    expect(fetched).toBeLessThan(1.1 * file.length);
    fetched = 0;
    expect(await identify(source, 'm.onnx')).not.toContainEqual(expect.objectContaining({ kind: 'malformed' }));
    expect(fetched).toBeLessThan(8 * file.length);
  });

  it('are not told when the source fails', async () => {
    const failing: ByteSource = { sizeBytes: 10, read: () => Promise.reject(new TypeError('the disk is gone')) };
    await expect(externalData(failing)).rejects.toThrow(new TypeError('the disk is gone'));
    await expect(recogniseProtobuf(failing)).rejects.toThrow(new TypeError('the disk is gone'));
  });
});

describe('the shape of a message', () => {
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
  const four = (number: number): Buffer => Buffer.concat([Buffer.from([number * 8 + 5]), Buffer.alloc(4)]);
  const piece = Buffer.concat([field(1, '<unk>'), four(2), field(3, 2)]);

  it.each<[Awaited<ReturnType<typeof recogniseProtobuf>>, string, Buffer]>([
    ['onnx', 'a version and a graph', Buffer.concat([field(1, 8), field(7, '')])],
    ['onnx', 'a version and an import of operators', Buffer.concat([field(1, 8), field(8, '')])],
    ['onnx', 'all that a model may have', Buffer.concat([field(1, 8), field(7, ''), field(26, '')])],
    ['onnx', 'a version at the end', Buffer.concat([field(7, ''), field(1, 8)])],
    [undefined, 'more than a model may have', Buffer.concat([field(1, 8), field(7, ''), field(27, '')])],
    [undefined, 'a version as text', Buffer.concat([field(1, '8'), field(7, '')])],
    [undefined, 'a graph that is a number', Buffer.concat([field(1, 8), field(7, 1)])],
    [undefined, 'operators that are a number', Buffer.concat([field(1, 8), field(8, 1)])],
    [undefined, 'a graph alone', field(7, '')],
    [undefined, 'a version alone', field(1, 8)],
    [undefined, 'what was a number first', Buffer.concat([field(1, 8), field(7, 1), field(7, '')])],
    ['tensorflow', 'a version and a graph of TensorFlow', Buffer.concat([field(1, 1), field(2, '')])],
    ['tensorflow', 'several of these', Buffer.concat([field(1, 1), field(2, ''), field(2, '')])],
    [undefined, 'a graph of TensorFlow that is a number', Buffer.concat([field(1, 1), field(2, 1)])],
    [undefined, 'a version of TensorFlow that is text', Buffer.concat([field(1, 'x'), field(2, '')])],
    [undefined, 'more than TensorFlow has', Buffer.concat([field(1, 1), field(2, ''), field(3, '')])],
    ['sentencepiece', 'pieces of text', Buffer.concat([field(1, piece), field(1, piece)])],
    ['sentencepiece', 'a piece that is a text alone', field(1, field(1, 'x'))],
    ['sentencepiece', 'all that a model of pieces has', Buffer.concat([field(1, piece), field(2, ''), field(3, ''), field(4, ''), field(5, '')])],
    ['sentencepiece', 'a piece with its text at the end', field(1, Buffer.concat([four(2), field(3, 1), field(1, 'x')]))],
    [undefined, 'more than a model of pieces has', Buffer.concat([field(1, piece), field(6, '')])],
    [undefined, 'no piece', field(2, '')],
    [undefined, 'an empty piece', field(1, '')],
    [undefined, 'a piece without a text', field(1, Buffer.concat([four(2), field(3, 1)]))],
    [undefined, 'a piece whose text is a number', field(1, field(1, 7))],
    [undefined, 'a piece whose score is a number', field(1, Buffer.concat([field(1, 'x'), field(2, 7)]))],
    [undefined, 'a piece whose type is a text', field(1, Buffer.concat([field(1, 'x'), field(3, 'x')]))],
    [undefined, 'a piece whose type is a float', field(1, Buffer.concat([field(1, 'x'), four(3)]))],
    [undefined, 'a piece with more', field(1, Buffer.concat([field(1, 'x'), field(4, 1)]))],
    [undefined, 'a piece with a float elsewhere', field(1, Buffer.concat([field(1, 'x'), four(4)]))],
    [undefined, 'a piece of many fields', field(1, Buffer.concat(Array.from({ length: 17 }, () => field(1, 'x'))))],
    ['sentencepiece', 'a piece of sixteen fields', field(1, Buffer.concat(Array.from({ length: 16 }, () => field(1, 'x'))))],
    [undefined, 'a piece that is no message', field(1, '\xff')],
    [undefined, 'a field of a number above 100', Buffer.concat([field(1, 8), field(101, ''), field(7, '')])],
    [undefined, 'something cut off', Buffer.concat([field(1, 8), field(7, 'abc')]).subarray(0, -1)],
    [undefined, 'text', bytes('hello')],
    [undefined, 'nothing', bytes('')],
  ])('is that of %s: %s', async (kind, _what, file) => {
    expect(await recogniseProtobuf(bufferSource(file))).toBe(kind);
  });

  it('is told without reading on where it is none', async () => {
    let last = 0;
    const content = Buffer.concat([field(101, ''), field(1, Buffer.alloc(1_000_000)), field(1, '')]);
    const source: ByteSource = {
      sizeBytes: content.length,
      read: async (position, length) => {
        last = position;
        return content.subarray(position, position + length);
      },
    };
    expect(await recogniseProtobuf(source)).toBeUndefined();
    expect(last).toBe(0);
  });
});
