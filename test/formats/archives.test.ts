// SPDX-License-Identifier: Apache-2.0
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type ArchiveKind, archiveKind, isExpected } from '../../src/formats/archive.ts';
import { bufferSource, windowSource } from '../../src/formats/byteSource.ts';
import type { Finding, Format } from '../../src/formats/finding.ts';
import { judgeHdf5, startOfHdf5 } from '../../src/formats/hdf5.ts';
import { formatsOf, refusalsOf, u16, u32 } from './look.ts';

type Member = {
  readonly name: string;
  readonly data: Buffer | string;
  readonly localName?: string;
  readonly localMethod?: number;
  readonly localSize?: number;
  readonly flags?: number;
  readonly extra?: Buffer;
};

/** A zip of stored members, with the lies that are asked for. */
function zip(members: readonly Member[], between: Buffer = Buffer.alloc(0)): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data, localName = name, localMethod = 0, localSize, flags = 0, extra = Buffer.alloc(0) } of members) {
    const bytes = Buffer.from(data);
    const facts = (method: number, size: number): Buffer => Buffer.concat([u16(20), u16(flags), u16(method), u32(0), u32(crc32(bytes)), u32(size), u32(size)]);
    const local = Buffer.concat([
      Buffer.from('PK\x03\x04'),
      facts(localMethod, localSize ?? bytes.length),
      u16(localName.length),
      u16(0),
      Buffer.from(localName),
      bytes,
      between,
    ]);
    directory.push(
      Buffer.concat([
        Buffer.from('PK\x01\x02'),
        u16(20),
        facts(0, bytes.length),
        u16(name.length),
        u16(extra.length),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(at),
        Buffer.from(name),
        extra,
      ]),
    );
    parts.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.concat([Buffer.from('PK\x05\x06'), u32(0), u16(members.length), u16(members.length), u32(central.length), u32(at), u16(0)]);
  return Buffer.concat([...parts, central, end]);
}

/** An archive that says that it has fewer members than its directory. */
function fewer(file: Buffer, count: number): Buffer {
  return Buffer.concat([file.subarray(0, -14), u16(count), u16(count), file.subarray(-10)]);
}

/** A directory where the end record says, and another right before it, whose members zipfile finds by their distance from that. */
function twoDirectories(first: Member, second: Member): Buffer {
  const [shown, hidden] = [zip([first]), zip([second])];
  const [shownStart, hiddenStart] = [shown, hidden].map((file) => file.readUInt32LE(file.length - 6)) as [number, number];
  const directory = Buffer.from(hidden.subarray(hiddenStart));
  directory.writeUInt32LE(shownStart - hiddenStart, 42);
  directory.writeUInt32LE(shownStart, directory.length - 6);
  return Buffer.concat([shown.subarray(0, -22), hidden.subarray(0, hiddenStart), directory]);
}

/** A .npy file. */
function npy(header: string, data: Buffer | string): Buffer {
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), u16(header.length), Buffer.from(header), Buffer.from(data as string, 'latin1')]);
}
const NUMBERS = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", Buffer.alloc(8));
const OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";
const EVIL = "cos\nsystem\n(S'id'\ntR.";
const TENSOR_PICKLE = Buffer.from('\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00.', 'latin1');
const TORCH = [
  { name: 'archive/data.pkl', data: TENSOR_PICKLE },
  { name: 'archive/data/0', data: Buffer.alloc(16) },
  { name: 'archive/version', data: '3\n' },
];

describe('archives of models', () => {
  it('of PyTorch are their weights, and nothing more', async () => {
    expect(await formatsOf(zip(TORCH))).toEqual(['pytorch']);
    expect(await refusalsOf(zip(TORCH))).toEqual([]);
  });

  it('of PyTorch are searched in every member', async () => {
    for (const name of ['archive/data.pkl', 'archive/data/0', 'archive/extra.bin']) {
      const members = [...TORCH.filter((member) => member.name !== name), { name, data: EVIL }];
      expect(await refusalsOf(zip(members))).toContainEqual(expect.stringMatching(/^PICKLE_IMPORT .*os\.system/));
    }
  });

  it('of TorchScript are code', async () => {
    expect(await formatsOf(zip([...TORCH, { name: 'archive/code/__torch__.py', data: 'def forward(self):\n  return 1\n' }]))).toEqual(['torchscript']);
  });

  it('of Keras are remote code when a layer is', async () => {
    const keras = (layer: string): Buffer =>
      zip([
        { name: 'config.json', data: `{"layers": [{"class_name": "${layer}"}]}` },
        { name: 'metadata.json', data: '{}' },
      ]);
    expect(await formatsOf(keras('Dense'))).toEqual(['keras']);
    expect(await formatsOf(keras('Lambda'))).toEqual(['keras', 'remote-code']);
  });

  it('of numpy arrays are npz, and say when one holds objects', async () => {
    expect(await formatsOf(zip([{ name: 'a.npy', data: NUMBERS }]), 'x.npz')).toEqual(['npz']);
    expect(await formatsOf(zip([{ name: 'a.npy', data: npy(OBJECTS, '\x80\x02]q\x00.') }]))).toEqual(['npz', 'numpy-object']);
    expect(await refusalsOf(zip([{ name: 'a.npy', data: npy(OBJECTS, EVIL) }]))).toContainEqual(expect.stringMatching(/^PICKLE_IMPORT a\.npy: .*os\.system/));
  });
});

describe('zip archives that two readers would read differently', () => {
  const one = { name: 'a.txt', data: 'hello' };
  const two = { name: 'b.txt', data: 'hello' };
  const renamed = Buffer.concat([u16(0x7075), u16(13), Buffer.from([1]), u32(crc32('a.txt')), Buffer.from('data/0.t')]);
  it.each<[string, Buffer, RegExp]>([
    ['a name twice', zip([one, one]), /two members/],
    ['two names', zip([{ ...one, localName: 'b.txt' }]), /two names/],
    ['two methods', zip([{ ...one, localMethod: 8 }]), /two compression methods/],
    ['two sizes', zip([{ ...one, localSize: 4 }]), /two sizes/],
    ['no size', zip([{ ...one, localSize: 0 }]), /two sizes/],
    ['a name in its extra field', zip([{ ...one, extra: renamed }]), /two names/],
    ['a name that ends early', zip([{ ...one, name: 'a.txt\0/data/0' }]), /NUL in its name/],
    ['more members than it counts', fewer(zip([one, two]), 1), /more in its directory/],
    ['two directories', twoDirectories({ ...one, data: 'hello'.repeat(100) }, two), /directory elsewhere/],
    ['a member before the directory that is in none', zip([one], zip([two]).subarray(0, 40)), /belong to none/],
    ['an archive in its comment', Buffer.concat([zip([one]).subarray(0, -2), u16(zip([two]).length), zip([two])]), /directory elsewhere/],
    ['a mark of encryption', zip([{ ...one, flags: 1 }]), /no readable zip/],
    ['a mark of a patch', zip([{ ...one, flags: 0x20 }]), /encrypted or patched/],
    ['bytes that belong to no member', zip([one, { ...one, name: 'b.txt' }], Buffer.from(EVIL)), /belong to none/],
    ['something else in front', Buffer.concat([Buffer.from('hello '), zip([one])]), /behind something else|no readable zip/],
    ['a directory that is cut off', zip([one]).subarray(0, -30), /no readable zip/],
  ])('are refused: %s', async (_, file, message) => {
    expect(await refusalsOf(file)).toContainEqual(expect.stringMatching(message));
    expect((await refusalsOf(file)).every((refusal) => refusal.startsWith('FORMAT_MALFORMED'))).toBe(true);
  });
});

describe('numpy', () => {
  it('of numbers is what its header says, to the byte', async () => {
    expect(await refusalsOf(NUMBERS, 'x.npy')).toEqual([]);
    expect(await refusalsOf(Buffer.concat([NUMBERS, Buffer.from('more')]), 'x.npy')).toEqual([
      expect.stringMatching(/^FORMAT_MALFORMED .*8 bytes, the file has 12/),
    ]);
  });

  it.each([
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", /other fields/],
    ["{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}", /header cannot be read/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999, 9999999999999999)}", /the file has/],
    ['not a dictionary', /header cannot be read/],
  ])('with the header %j is refused', async (header, message) => {
    expect(await refusalsOf(npy(header, Buffer.alloc(8)), 'x.npy')).toEqual([expect.stringMatching(message)]);
  });

  it('of objects without a pickle is refused', async () => {
    expect(await refusalsOf(npy(OBJECTS, Buffer.alloc(8)), 'x.npy')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED .*no pickle/));
  });
});

describe('what an archive is', () => {
  it.each<[ArchiveKind, readonly string[]]>([
    ['pytorch', ['archive/data.pkl', 'archive/data/0']],
    ['pytorch', ['data.pkl']],
    ['pytorch', ['a.npy', 'x/y/data.pkl']],
    ['pytorch', ['archive/data.pkl', 'archive/code', 'archive/barcode/x', 'archive/myconstants.pkl', 'archive/constants.pkl.txt']],
    ['torchscript', ['archive/data.pkl', 'archive/code/__torch__.py']],
    ['torchscript', ['data.pkl', 'code/a.py']],
    ['torchscript', ['archive/data.pkl', 'archive/constants.pkl']],
    ['torchscript', ['data.pkl', 'constants.pkl']],
    ['torchscript', ['archive/DATA.pkl', 'archive/CONSTANTS.PKL']],
    ['torchscript', ['archive/data.pkl', 'archive/Code/__torch__.py']],
    ['zip', ['archive/code/__torch__.py', 'archive/constants.pkl']],
    ['zip', ['archive/mydata.pkl', 'archive/data/0']],
    ['zip', ['archive/data.pkl.txt']],
    ['npz', ['a.npy']],
    ['npz', ['a.npy', 'dir/b.npy']],
    ['zip', ['a.npy', 'b.txt']],
    ['zip', ['a.npy.txt']],
    ['keras', ['config.json', 'metadata.json', 'model.weights.h5']],
    ['zip', ['config.json', 'model.weights.h5']],
    ['zip', ['metadata.json']],
    ['zip', ['x/config.json', 'x/metadata.json']],
    ['zip', []],
    ['zip', ['a.txt']],
  ])('is %s with %j', (kind, names) => {
    expect(archiveKind(names)).toBe(kind);
  });
});

describe('nothing more than the archive is what is found', () => {
  const format = (name: Format): Finding => ({ kind: 'format', format: name });
  const malformed = (name: Format): Finding => ({ kind: 'malformed', format: name, detail: 'x' });
  const imports = (verdict: 'allowed' | 'dangerous' | 'computed'): Finding => ({ kind: 'import', import: { module: 'm', name: 'n', verdict } });
  const reference: Finding = { kind: 'reference', format: 'onnx', location: 'w' };

  it.each<[boolean, ArchiveKind, string, Finding]>([
    // The numbers of PyTorch look like anything.
    ...(['pytorch', 'torchscript'] as const).flatMap((kind): [boolean, ArchiveKind, string, Finding][] => [
      [true, kind, 'archive/data/0', format('unknown')],
      [true, kind, 'data/123', format('text')],
      [true, kind, 'archive/constants/0', format('image')],
      [true, kind, 'archive/tensors/0', malformed('gguf')],
      [true, kind, 'archive/data/0', imports('allowed')],
      [false, kind, 'archive/data/0', imports('dangerous')],
      [false, kind, 'archive/data/0', imports('computed')],
      [false, kind, 'archive/data/0', format('pickle')],
      [false, kind, 'archive/data/0', format('joblib')],
      [false, kind, 'archive/data/0', format('executable')],
      [false, kind, 'archive/data/0', format('script')],
      [false, kind, 'archive/data/0', format('zip')],
      [false, kind, 'archive/data/0', malformed('pickle')],
      [false, kind, 'archive/data/0x', format('unknown')],
      [false, kind, 'archive/data/x0', format('unknown')],
      [false, kind, 'archive/mydata/0', format('unknown')],
      [false, kind, 'archive/data0', format('unknown')],
      [true, kind, 'archive/version', format('text')],
      [true, kind, 'archive/byteorder', format('text')],
      [true, kind, 'byteorder', format('text')],
      [true, kind, 'archive/.format_version', format('json')],
      [true, kind, 'archive/.storage_alignment', format('text')],
      [true, kind, 'archive/.data/serialization_id', format('text')],
      [false, kind, 'archive/version', format('python')],
      [false, kind, 'archive/version', malformed('text')],
      [false, kind, 'archive/version', imports('allowed')],
      [false, kind, 'archive/conversion', format('text')],
      [false, kind, 'archive/version.txt', format('text')],
      [false, kind, 'archive/serialization_id', format('text')],
      [true, kind, 'archive/data.pkl', format('pickle')],
      [true, kind, 'constants.pkl', format('pickle')],
      [false, kind, 'archive/data.pkl', format('joblib')],
      [false, kind, 'archive/data.pkl', malformed('pickle')],
      [false, kind, 'archive/data.pkl', imports('allowed')],
      [false, kind, 'archive/data.pkl.x', format('pickle')],
      [false, kind, 'archive/extra', format('text')],
      [false, kind, 'archive/x.onnx', reference],
    ]),
    [true, 'torchscript', 'archive/code/__torch__.py', format('python')],
    [true, 'torchscript', 'code/__torch__.py.debug_pkl', format('pickle')],
    [false, 'torchscript', 'archive/code/__torch__.py', malformed('python')],
    [false, 'torchscript', 'archive/code/x', imports('allowed')],
    [false, 'torchscript', 'archive/barcode/x.py', format('python')],
    [false, 'torchscript', 'archive/code', format('python')],
    [false, 'pytorch', 'archive/code/__torch__.py', format('python')],
    [true, 'npz', 'a.npy', format('npy')],
    [false, 'npz', 'a.npy', format('numpy-object')],
    [false, 'npz', 'a.npy', malformed('npy')],
    [false, 'npz', 'a.npy', imports('allowed')],
    [true, 'keras', 'config.json', format('json')],
    [true, 'keras', 'metadata.json', format('json')],
    [true, 'keras', 'model.weights.h5', format('hdf5')],
    [true, 'keras', '.weights.h5', format('hdf5')],
    [false, 'keras', 'config.json', format('text')],
    [false, 'keras', 'config.json', format('remote-code')],
    [false, 'keras', 'config.json', malformed('json')],
    [false, 'keras', 'model.weights.h5', malformed('hdf5')],
    [false, 'keras', 'model.weights.h5', format('json')],
    [false, 'keras', 'model.weights.h5', format('remote-code')],
    [false, 'keras', 'config.json', format('hdf5')],
    [false, 'keras', 'model.h5', format('hdf5')],
    [false, 'keras', 'model.weights.h5.x', format('hdf5')],
    [false, 'keras', 'assets/config.json', format('json')],
    [false, 'keras', 'config.json.x', format('json')],
    [false, 'keras', 'other.json', format('json')],
    [false, 'zip', 'a.txt', format('text')],
    [false, 'zip', 'config.json', format('json')],
  ])('%s: in %s, %s, %j', (expected, kind, member, finding) => {
    expect(isExpected(kind, member, finding)).toBe(expected);
  });
});

describe('HDF5', () => {
  const MAGIC = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');
  const at = (position: number): Buffer => Buffer.concat([Buffer.alloc(position), MAGIC]);

  it.each([0, 512, 1024, 2048, 65_536])('may begin at byte %i', async (position) => {
    expect(await startOfHdf5(bufferSource(at(position)))).toBe(position);
    expect(await startOfHdf5(bufferSource(Buffer.concat([at(position), Buffer.alloc(1)])))).toBe(position);
    expect(await startOfHdf5(bufferSource(at(position).subarray(0, -1)))).toBeUndefined();
  });

  it.each([1, 8, 256, 511, 513, 1536])('does not begin at byte %i', async (position) => {
    expect(await startOfHdf5(bufferSource(Buffer.concat([at(position), Buffer.alloc(4096)])))).toBeUndefined();
  });

  it('begins where it begins first', async () => {
    const [first, second] = [at(512), at(504)];
    expect(await startOfHdf5(bufferSource(Buffer.concat([first, second])))).toBe(512);
  });

  it('is looked for in what was decompressed, and not behind it', async () => {
    expect(await startOfHdf5(windowSource(Buffer.alloc(520), 1_000_000))).toBeUndefined();
    expect(await startOfHdf5(windowSource(at(512), 1_000_000))).toBe(512);
    expect(await startOfHdf5(windowSource(at(512).subarray(0, 519), 1_000_000))).toBeUndefined();
  });

  it.each([
    '"class_name": "Lambda"',
    '"class_name":"Lambda"',
    '"class_name" :\n"Lambda"',
    'x__lambda__x',
    '"class_name": "\\u004cambda"',
    `"class_name": "${'L'.repeat(40)}\\u0061"`,
  ])('has a layer of code with %j', async (text) => {
    expect(await judgeHdf5(bufferSource(Buffer.concat([MAGIC, Buffer.from(text)])))).toEqual([
      { kind: 'format', format: 'hdf5' },
      { kind: 'format', format: 'remote-code', detail: 'has a Keras layer of code' },
    ]);
  });

  it.each(['"class_name": "Dense"', '"class_name": "LambdaX"', '"class": "Lambda"', '_lambda_', '"name": "\\u004cambda"'])('has none with %j', async (text) => {
    expect(await judgeHdf5(bufferSource(Buffer.concat([MAGIC, Buffer.from(text)])))).toEqual([{ kind: 'format', format: 'hdf5' }]);
  });
});
