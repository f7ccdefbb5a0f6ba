// SPDX-License-Identifier: Apache-2.0
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { formatsOf, refusalsOf, u16, u32 } from './look.ts';

type Member = {
  readonly name: string;
  readonly data: Buffer | string;
  readonly localName?: string;
  readonly localMethod?: number;
  readonly localSize?: number;
  readonly flags?: number;
};

/** A zip of stored members, with the lies that are asked for. */
function zip(members: readonly Member[], between: Buffer = Buffer.alloc(0)): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data, localName = name, localMethod = 0, localSize, flags = 0 } of members) {
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
        u16(0),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(at),
        Buffer.from(name),
      ]),
    );
    parts.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.concat([Buffer.from('PK\x05\x06'), u32(0), u16(members.length), u16(members.length), u32(central.length), u32(at), u16(0)]);
  return Buffer.concat([...parts, central, end]);
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
  it.each<[string, Buffer, RegExp]>([
    ['a name twice', zip([one, one]), /two members/],
    ['two names', zip([{ ...one, localName: 'b.txt' }]), /two names/],
    ['two methods', zip([{ ...one, localMethod: 8 }]), /two compression methods/],
    ['two sizes', zip([{ ...one, localSize: 4 }]), /two sizes/],
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
    ["{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}", /type cannot be read/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999, 9999999999999999)}", /the file has/],
    ['not a dictionary', /no dictionary/],
  ])('with the header %j is refused', async (header, message) => {
    expect(await refusalsOf(npy(header, Buffer.alloc(8)), 'x.npy')).toEqual([expect.stringMatching(message)]);
  });

  it('of objects without a pickle is refused', async () => {
    expect(await refusalsOf(npy(OBJECTS, Buffer.alloc(8)), 'x.npy')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED .*no pickle/));
  });
});
