// SPDX-License-Identifier: Apache-2.0
import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource, windowSource } from '../../src/formats/byteSource.ts';
import type { Finding, Format } from '../../src/formats/finding.ts';
import { identify } from '../../src/formats/identify.ts';
import { judgeFormats } from '../../src/formats/judge.ts';
import { tarOf, zipOf } from '../support/archives.ts';
import { field } from './look.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const look = (content: Buffer | string, name = 'x'): Promise<readonly Finding[]> =>
  identify(bufferSource(typeof content === 'string' ? bytes(content) : content), name);
const formats = (findings: readonly Finding[]): readonly string[] =>
  findings.filter(({ kind }) => kind === 'format').map((finding) => ('format' in finding ? finding.format : ''));
const defects = (findings: readonly Finding[]): readonly string[] => findings.flatMap((finding) => (finding.kind === 'malformed' ? [finding.detail] : []));
const imports = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap((finding) => (finding.kind === 'import' ? [`${finding.import.module}.${finding.import.name} ${finding.import.verdict}`] : []));

function safetensors(header: object | string, dataBytes = 16): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
}
const tensor = (begin: number, end: number): object => ({ dtype: 'U8', shape: [end - begin], data_offsets: [begin, end] });

describe('safetensors', () => {
  it('are recognised by their content under any name', async () => {
    expect(await look(safetensors({ w: tensor(0, 16) }), 'model.bin')).toEqual([{ kind: 'format', format: 'safetensors' }]);
  });

  it.each([
    ['overlapping tensors', { a: tensor(0, 16), b: tensor(4, 8) }, /overlaps/],
    ['a hole', { a: tensor(0, 4), b: tensor(8, 16) }, /hole/],
    ['bytes behind the tensors', { a: tensor(0, 12) }, /12 bytes, the file has 16/],
    ['tensors beyond the end', { a: tensor(0, 32) }, /32 bytes/],
    ['a size that is not its shape’s', { a: { dtype: 'F32', shape: [2], data_offsets: [0, 16] } }, /size of its shape/],
    ['an unknown dtype', { a: { dtype: 'X', shape: [16], data_offsets: [0, 16] } }, /dtype/],
    ['a name twice', '{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},"a":{}}', /twice/],
    ['a name that is written with an escape', '{"\\u0061":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}', /written with an escape/],
  ])('with %s are malformed', async (_, header, message) => {
    expect(defects(await look(safetensors(header)))).toEqual([expect.stringMatching(message)]);
  });

  it('are missed where the name promises them', async () => {
    expect(defects(await look('hello', 'model.safetensors'))).toEqual([expect.stringContaining('its content does not')]);
  });
});

describe('pickles', () => {
  it('count what stood before the stream broke', async () => {
    expect(imports(await look('\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R\xff'))).toEqual(['os.system dangerous']);
  });

  it('are found behind another pickle, in text and compressed', async () => {
    const evil = "cos\nsystem\n(S'id'\ntR.";
    for (const content of [bytes(evil), bytes(`\x80\x02]q\x00.${evil}`), gzipSync(bytes(evil)), deflateSync(bytes(evil))])
      expect(imports(await look(content, 'notes.txt'))).toEqual(['os.system dangerous']);
  });

  it('resolve names through the memo and escapes, and call the rest computed', async () => {
    expect(imports(await look('\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93.'))).toEqual(['os.system dangerous']);
    expect(imports(await look('Vo\\u0073\nVsystem\n\x93)R.', 'x.pkl'))).toEqual(['os.system dangerous']);
    expect(imports(await look('\x80\x04N\x8c\x06system\x93.'))).toEqual(['<computed>.<computed> computed']);
  });

  it('of plain weights import only what is allowed', async () => {
    expect(imports(await look('\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00.'))).toEqual(['torch._utils._rebuild_tensor_v2 allowed']);
    expect(imports(await look('\x80\x04\x8c\x05torch\x8c\x11Tensor.__class__x\x93.'))).toEqual(['torch.Tensor.__class__x dangerous']);
  });

  it('are not seen in ordinary text', async () => {
    for (const text of ['hello.', '(c) Copyright\nby me\n.', 'cat\ndog\nbird\n', 'I am.', 'Very long\nText.\n', 'Never ]).', ''])
      expect(formats(await look(text, 'README.md'))).toEqual(['text']);
  });

  it('claim lengths in vain', async () => {
    expect(defects(await look('\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f', 'x.pkl'))).not.toEqual([]);
    expect(defects(await look(`\x80\x04${'('.repeat(1_100_000)}`, 'x.pkl'))).toEqual([expect.stringContaining('marks')]);
  });
});

describe('everything else', () => {
  it.each([
    ['\x7fELF\x02\x01', 'executable'],
    ['#!/bin/sh\n', 'script'],
    ['{"a": NaN}', 'json'],
    ['import os\nos.remove("x")\n', 'python'],
    ['<svg xmlns="x"><script/></svg>', 'markup'],
    ['\x89PNG\r\n\x1a\n', 'image'],
    ['7z\xbc\xaf\x27\x1c\0', 'unknown'],
    ['\x00\x01\x02\xff', 'unknown'],
  ])('%j is judged by its content', async (content, format) => {
    expect(formats(await look(content))).toEqual([format]);
  });

  it('asks for remote code only by what loaders look for', async () => {
    expect(formats(await look('{"x": [{"auto_map": {}}]}', 'config.json'))).toEqual(['json', 'remote-code']);
    expect(formats(await look('{"trust_remote_code": false}', 'config.json'))).toEqual(['json']);
  });

  it('never gives anything but findings, whatever the bytes', async () => {
    const starts = [
      '',
      '\x80\x04',
      'PK\x03\x04',
      'GGUF\x03\0\0\0',
      '\x93NUMPY\x01\0',
      '\x1f\x8b\x08',
      '\x08\x07',
      '\x0a',
      '{',
      '\x78\x9c',
      '\x40\0\0\0\0\0\0\0{"',
    ];
    const ends = ['', 'PK\x05\x06\0\0\0\0\x01\0\x01\0\x2e\0\0\0\0\0\0\0\0\0'];
    const names = fc.constantFrom('x', 'x.pkl', 'x.onnx', 'x.npy', 'x.safetensors', 'x.json', 'x.gguf');
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 600 }), fc.constantFrom(...ends), names, async (start, middle, end, name) => {
        const findings = await look(Buffer.concat([bytes(start), middle, bytes(end)]), name);
        expect(findings.length).toBeGreaterThan(0);
        judgeFormats({ allow: ['text'], rules: {} }, name, findings, new Set());
      }),
      { numRuns: 2000 },
    );
  });
});

describe('judging', () => {
  const code = (findings: readonly Finding[], policy: Parameters<typeof judgeFormats>[0]): readonly string[] =>
    judgeFormats(policy, 'dir/x', findings, new Set(['dir/weights'])).map(({ severity, code }) => `${severity} ${code}`);

  it('refuses what is not allowed, and warns where told to', () => {
    const findings: readonly Finding[] = [{ kind: 'format', format: 'pickle' }];
    expect(code(findings, { allow: undefined, rules: {} })).toEqual([]);
    expect(code(findings, { allow: ['json'], rules: {} })).toEqual(['refused FORMAT_DENIED']);
    expect(code(findings, { allow: ['pickle'], rules: { pickle: 'warn' } })).toEqual(['warning FORMAT_DENIED']);
  });

  it('refuses malformed files and dangerous imports whatever is allowed', () => {
    const found = { module: 'sklearn.tree', name: 'Tree', verdict: 'dangerous' } as const;
    expect(code([{ kind: 'malformed', format: 'zip', detail: 'x' }], { allow: undefined, rules: { zip: 'allow' } })).toEqual(['refused FORMAT_MALFORMED']);
    expect(code([{ kind: 'import', import: found }], { allow: undefined, rules: {} })).toEqual(['refused PICKLE_IMPORT']);
    expect(code([{ kind: 'import', import: found }], { allow: undefined, rules: {}, pickleImports: ['sklearn.tree.*'] })).toEqual([]);
    expect(
      code([{ kind: 'import', import: { ...found, name: 'os.system' } }], { allow: undefined, rules: {}, pickleImports: ['sklearn.tree.*'] }),
    ).toHaveLength(1);
  });

  it('wants what a file refers to among the files of the model', () => {
    expect(code([{ kind: 'reference', format: 'onnx', location: 'weights' }], { allow: undefined, rules: {} })).toEqual([]);
    expect(code([{ kind: 'reference', format: 'onnx', location: 'other' }], { allow: undefined, rules: {} })).toEqual(['refused FORMAT_MALFORMED']);
  });
});

const named = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap((finding) => (finding.kind === 'format' ? [`${finding.member ?? ''} ${finding.format}`.trim()] : []));
/** Detail and place of each defect. */
const broken = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap((finding) => (finding.kind === 'malformed' ? [`${finding.member ?? ''} ${finding.format}: ${finding.detail}`.trim()] : []));
const stored = (name: string, body: Buffer | string): Buffer => zipOf([{ name, body, method: 0 }]);
const EVIL = "cos\nsystem\n(S'id'\ntR.";
const TOO_DEEP = 'is packed in more than 3 layers';

/** A .npy file, with its length in the header. */
function npy(header: string, data: Buffer | string): Buffer {
  return Buffer.concat([bytes(`\x93NUMPY\x01\0${String.fromCharCode(header.length, 0)}${header}`), Buffer.from(data as string, 'latin1')]);
}
const NUMBERS = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
const OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";

describe('an empty file', () => {
  it('is text, or Python by its name', async () => {
    for (const name of ['x', 'x.pyc', 'py', 'x.py.txt']) expect(await look('', name)).toEqual([{ kind: 'format', format: 'text', detail: 'empty' }]);
    const python: Finding = { kind: 'format', format: 'python', detail: 'empty' };
    for (const name of ['__init__.py', 'x.pyw', 'x.PY']) expect(await look('', name)).toEqual([python]);
  });
});

describe('a name that promises a format', () => {
  it.each([
    ['x.safetensors', 'safetensors'],
    ['x.gguf', 'gguf'],
    ['x.onnx', 'onnx'],
    ['x.npy', 'npy'],
    ['x.npz', 'npz'],
    ['x.keras', 'keras'],
    ['x.h5', 'hdf5'],
    ['x.hdf5', 'hdf5'],
    ['x.pkl', 'pickle'],
    ['x.pickle', 'pickle'],
    ['x.joblib', 'pickle'],
  ])('is not kept by text: %s', async (name, format) => {
    const refused: readonly Finding[] = [{ kind: 'malformed', format: format as Format, detail: 'its name says so, its content does not' }];
    expect((await look('hello\n', name)).slice(1)).toEqual(refused);
    expect((await look('hello\n', name.toUpperCase())).slice(1)).toEqual(refused);
    expect(await look('hello\n', `${name}.txt`)).toEqual([{ kind: 'format', format: 'text' }]);
    expect(await look('hello\n', name.replace('.', '-'))).toEqual([{ kind: 'format', format: 'text' }]);
  });

  it.each<[string, Buffer, readonly string[]]>([
    ['x.gguf', Buffer.concat([bytes('GGUF\x03\0\0\0'), Buffer.alloc(16)]), ['gguf']],
    ['x.npy', npy(NUMBERS, Buffer.alloc(8)), ['npy']],
    ['x.npz', stored('a.npy', npy(NUMBERS, Buffer.alloc(8))), ['npz']],
    ['x.keras', bytes('\x89HDF\r\n\x1a\n'), ['hdf5']],
    ['x.h5', bytes('\x89HDF\r\n\x1a\n'), ['hdf5']],
    ['x.pkl', bytes('\x80\x02}.'), ['pickle']],
    ['x.pkl', gzipSync(bytes('\x80\x02}.')), ['compressed', 'pickle']],
    ['x.joblib', deflateSync(bytes('\x80\x02}.')), ['compressed', 'pickle']],
    ['x.safetensors', safetensors({ w: tensor(0, 16) }), ['safetensors']],
  ])('is kept: %s', async (name, content, found) => {
    const findings = await look(content, name);
    expect([formats(findings), defects(findings)]).toEqual([found, []]);
  });

  it('is not kept by another of the formats, nor by a broken one alone', async () => {
    expect(broken(await look(bytes(`\x01\x02garbage\x80\x02${EVIL}`), 'x.pkl'))).toEqual([
      'pickle: begins at byte 9, behind something else',
      'pickle: its name says so, its content does not',
    ]);
    expect(named(await look(tarOf([{ name: 'a', body: 'hello' }]), 'x.onnx'))).toEqual(['tar', 'a text']);
    expect(broken(await look(bytes('\x89HDF\r\n\x1a\n'), 'x.safetensors'))).toEqual(['safetensors: its name says so, its content does not']);
    expect(broken(await look(npy(NUMBERS, Buffer.alloc(8)), 'x.npz'))).toEqual(['npz: its name says so, its content does not']);
  });
});

describe('a file of one format', () => {
  it('of numpy holds the array that its header tells, to the byte', async () => {
    expect(await look(npy(NUMBERS, Buffer.alloc(8)))).toEqual([{ kind: 'format', format: 'npy' }]);
    expect(broken(await look(npy(NUMBERS, Buffer.alloc(7))))).toEqual(['npy: the array has 8 bytes, the file has 7 for it']);
    expect(broken(await look(npy(NUMBERS, Buffer.alloc(9))))).toEqual(['npy: the array has 8 bytes, the file has 9 for it']);
    expect(broken(await look(bytes('\x93NUMPY\x04\0\0\0\0\0')))).toEqual(['npy: has version 4.0']);
  });

  it('of numpy with objects is judged as the pickle behind its header', async () => {
    const found = { module: 'os', name: 'system', verdict: 'dangerous' } as const;
    const NPY: readonly Finding[] = [
      { kind: 'format', format: 'npy' },
      { kind: 'format', format: 'numpy-object' },
    ];
    expect(await look(npy(OBJECTS, EVIL))).toEqual([...NPY, { kind: 'import', import: found }]);
    expect(await look(npy(OBJECTS, '\x80\x02].'))).toEqual(NPY);
    // Nothing that unpickles: by the name it has here, bytes that parse would be enough.
    expect(await look(npy(OBJECTS, 'N.'))).toEqual(NPY);
    expect((await look(npy(OBJECTS, '\xff\xff'))).slice(2)).toEqual([
      { kind: 'malformed', format: 'numpy-object', detail: 'holds objects, but no pickle of them' },
    ]);
  });

  it('of GGUF is told with its defects', async () => {
    expect(await look('GGUF\x03\0\0\0')).toEqual([
      { kind: 'format', format: 'gguf' },
      { kind: 'malformed', format: 'gguf', detail: 'ends in the middle' },
    ]);
    expect(await look('GGU\x01')).toEqual([{ kind: 'format', format: 'unknown' }]);
  });

  it('of HDF5 is told once, with its layers of code', async () => {
    expect(await look('\x89HDF\r\n\x1a\n')).toEqual([{ kind: 'format', format: 'hdf5' }]);
    expect(await look('\x89HDF\r\n\x1a\n{"class_name": "Lambda"}')).toEqual([
      { kind: 'format', format: 'hdf5' },
      { kind: 'format', format: 'remote-code', detail: 'has a Keras layer of code' },
    ]);
    expect(await look(`${'\0'.repeat(512)}\x89HDF\r\n\x1a\n`)).toEqual([{ kind: 'format', format: 'hdf5' }]);
  });

  it('that is known by its first bytes is told with what they are', async () => {
    expect(await look('GIF89a')).toEqual([{ kind: 'format', format: 'image', detail: 'GIF' }]);
    expect(await look('BZh91')).toEqual([{ kind: 'format', format: 'unknown', detail: 'bzip2: not looked into' }]);
  });

  it('of ONNX is so by its fields or by its name', async () => {
    const message = Buffer.concat([field(1, 8), field(7, field(5, field(13, Buffer.concat([field(1, 'location'), field(2, 'w')]))))]);
    expect(await look(message)).toEqual([
      { kind: 'format', format: 'onnx' },
      { kind: 'reference', format: 'onnx', location: 'w' },
    ]);
    for (const name of ['x.onnx', 'X.ONNX'])
      expect(await look('\xff\xff', name)).toEqual([
        { kind: 'format', format: 'onnx' },
        { kind: 'malformed', format: 'onnx', detail: 'ends in the middle' },
      ]);
    for (const name of ['x.onnx.bin', 'onnx', 'xonnx']) expect(await look('\xff\xff', name)).toEqual([{ kind: 'format', format: 'unknown' }]);
  });

  it('of TensorFlow or SentencePiece is so by its fields', async () => {
    expect(await look(Buffer.concat([field(1, 1), field(2, '\x0a\x01x')]))).toEqual([{ kind: 'format', format: 'tensorflow' }]);
    const piece = Buffer.concat([field(1, '<unk>'), bytes('\x15\0\0\0\0'), field(3, 2)]);
    expect(await look(Buffer.concat([field(1, piece), field(1, piece)]))).toEqual([{ kind: 'format', format: 'sentencepiece' }]);
  });

  it('that is a pickle is no text as well, but Python when that is its name', async () => {
    const found: Finding = { kind: 'import', import: { module: 'os', name: 'system', verdict: 'dangerous' } };
    expect(await look(EVIL, 'x.txt')).toEqual([{ kind: 'format', format: 'pickle' }, found]);
    for (const name of ['x.py', 'x.PYW'])
      expect(await look(EVIL, name)).toEqual([{ kind: 'format', format: 'pickle' }, found, { kind: 'format', format: 'python' }]);
    for (const name of ['x.pyc', 'py', 'x.py.x']) expect(formats(await look(EVIL, name))).toEqual(['pickle']);
  });

  it('that nobody recognises is searched for pickles where its name is one of theirs', async () => {
    const content = `\x01\x02garbage\x80\x02${EVIL}`;
    expect(await look(content)).toEqual([{ kind: 'format', format: 'unknown' }]);
    expect(await look(content, 'x.bin')).toEqual([
      { kind: 'format', format: 'unknown' },
      { kind: 'malformed', format: 'pickle', detail: 'begins at byte 9, behind something else' },
      { kind: 'import', import: { module: 'os', name: 'system', verdict: 'dangerous' } },
    ]);
  });
});

describe('what is compressed', () => {
  const gzip = (content: Buffer | string, layers = 1): Buffer => (layers === 0 ? Buffer.from(content) : gzipSync(gzip(content, layers - 1)));

  it('is told with its method, and judged inside by the name without the ending', async () => {
    for (const name of ['x.py.gz', 'x.py.gzip', 'x.py.z', 'x.PY.GZ', 'x.py'])
      expect(await look(gzip('hello'), name)).toEqual([
        { kind: 'format', format: 'compressed', detail: 'gzip' },
        { kind: 'format', format: 'python' },
      ]);
    expect(await look(deflateSync('hello'), 'x')).toEqual([
      { kind: 'format', format: 'compressed', detail: 'zlib' },
      { kind: 'format', format: 'text' },
    ]);
    for (const name of ['x.py.gz.gz', 'x.py.gzx', 'x.pygz']) expect(formats(await look(gzip('hello'), name))).toEqual(['compressed', 'text']);
    expect(formats(await look(gzip('hello'), 'x.zsh'))).toEqual(['compressed', 'script']);
  });

  it('has to keep what its name promises, inside', async () => {
    expect(broken(await look(gzip('hello'), 'x.safetensors.gz'))).toEqual(['safetensors: its name says so, its content does not']);
  });

  it('is followed through three layers', async () => {
    const compressed: Finding = { kind: 'format', format: 'compressed', detail: 'gzip' };
    expect(await look(gzip('hello', 3))).toEqual([compressed, compressed, compressed, { kind: 'format', format: 'text' }]);
    expect(await look(gzip('hello', 4))).toEqual([
      compressed,
      compressed,
      compressed,
      compressed,
      { kind: 'malformed', format: 'compressed', detail: TOO_DEEP },
    ]);
  });

  it('is refused where it breaks, or has something behind it', async () => {
    const file = gzip('hello');
    expect(await look(file.subarray(0, -9))).toEqual([
      { kind: 'format', format: 'compressed', detail: 'gzip' },
      { kind: 'malformed', format: 'compressed', detail: expect.stringMatching(/^does not decompress: /) },
    ]);
    expect(broken(await look(Buffer.concat([deflateSync('hello'), bytes('more')])))).toEqual(['compressed: has bytes behind its compressed ones']);
  });

  it.each([9, 12, 15])('by zlib may have a window of 2 to the %i bytes', async (windowBits) => {
    expect(formats(await look(deflateSync('hello', { windowBits })))).toEqual(['compressed', 'text']);
  });

  it.each([0, 1, 6, 9])('by zlib may be at level %i', async (level) => {
    expect(formats(await look(deflateSync('hello', { level })))).toEqual(['compressed', 'text']);
  });

  const OTHERS: readonly (readonly [string, Buffer])[] = [
    ['another method of gzip', Buffer.concat([bytes('\x1f\x8b\x07'), gzip('hello').subarray(3)])],
    ['another second byte', Buffer.concat([bytes('\x1f\x8c\x08'), gzip('hello').subarray(3)])],
    ['another first byte', Buffer.concat([bytes('\x1e\x8b\x08'), gzip('hello').subarray(3)])],
    ['a check that fails', Buffer.concat([bytes('\x78\x9d'), deflateSync('hello').subarray(2)])],
    ['a larger window', Buffer.concat([bytes('\x88\x1c'), deflateSync('hello').subarray(2)])],
    ['a dictionary', deflateSync('hello', { dictionary: Buffer.from('hello') })],
    ['two bytes of zlib by chance', bytes('\x78\x9c\xff\xff\xff\xff')],
    ['zlib that breaks off', deflateSync('hello').subarray(0, -2)],
  ];

  it.each(OTHERS)('is not what has %s', async (_what, content) => {
    expect(await look(content)).toEqual([{ kind: 'format', format: 'unknown' }]);
  });

  const TOLD_BY_THEIR_HEAD = OTHERS.filter(([what]) => !/by chance|breaks off/.test(what));
  it.each(TOLD_BY_THEIR_HEAD)('is not, where nothing more is unpacked, what has %s', async (_what, content) => {
    expect((await look(gzip(content, 3))).slice(3)).toEqual([{ kind: 'format', format: 'unknown' }]);
  });

  it('has three bytes at least', async () => {
    expect((await look(gzip(bytes('\x78\x9c'), 3))).slice(3)).toEqual([{ kind: 'format', format: 'unknown' }]);
    expect((await look(gzip(bytes('\x78\x9c\x01'), 3))).slice(3)).toEqual([
      { kind: 'format', format: 'compressed', detail: 'zlib' },
      { kind: 'malformed', format: 'compressed', detail: TOO_DEEP },
    ]);
    expect(await look('x')).toEqual([{ kind: 'format', format: 'text' }]);
  });

  it('may be long inside', async () => {
    expect(await look(gzip('hello\n'.repeat(10_000)))).toEqual([
      { kind: 'format', format: 'compressed', detail: 'gzip' },
      { kind: 'format', format: 'text' },
    ]);
  });

  it('is not what begins with the letters of zlib', async () => {
    for (const text of ['x^2 + y^2\n', '8O\n']) expect(await look(text)).toEqual([{ kind: 'format', format: 'text' }]);
  });
});

describe('archives in archives', () => {
  const zip = (content: Buffer | string, layers: number): Buffer | string => (layers === 0 ? content : stored(`${layers}`, zip(content, layers - 1)));
  const tar = (content: Buffer | string, layers: number): Buffer | string =>
    layers === 0 ? content : tarOf([{ name: `${layers}`, body: tar(content, layers - 1) }]);

  it('are told with the way to each member, through three layers', async () => {
    expect(await look(zip('hello', 3))).toEqual([
      { kind: 'format', format: 'zip' },
      { kind: 'format', format: 'zip', member: '3' },
      { kind: 'format', format: 'zip', member: '3!2' },
      { kind: 'format', format: 'text', member: '3!2!1' },
    ]);
    const four = await look(zip('hello', 4));
    expect(four.at(-2)).toEqual({ kind: 'format', format: 'zip', member: '4!3!2' });
    expect(four.at(-1)).toEqual({ kind: 'malformed', format: 'zip', detail: TOO_DEEP, member: '4!3!2' });
  });

  it('are the same when they are tars', async () => {
    expect(await look(tar('hello', 3))).toEqual([
      { kind: 'format', format: 'tar' },
      { kind: 'format', format: 'tar', member: '3' },
      { kind: 'format', format: 'tar', member: '3!2' },
      { kind: 'format', format: 'text', member: '3!2!1' },
    ]);
    const four = await look(tar('hello', 4));
    expect(four.at(-2)).toEqual({ kind: 'format', format: 'tar', member: '4!3!2' });
    expect(four.at(-1)).toEqual({ kind: 'malformed', format: 'tar', detail: TOO_DEEP, member: '4!3!2' });
  });

  it('count what is compressed as a layer', async () => {
    const packed = (inner: Buffer): Buffer => tarOf([{ name: 'a', body: gzipSync(inner) }]);
    expect(named(await look(packed(stored('b', 'hello'))))).toEqual(['tar', 'a compressed', 'a zip', 'a!b text']);
    expect(broken(await look(packed(stored('b', gzipSync('hello')))))).toEqual([`a!b compressed: ${TOO_DEEP}`]);
  });

  it('tell what is wrong with one member, and go on', async () => {
    const file = zipOf([
      { name: 'a', body: 'hello', method: 12 },
      { name: 'b', body: EVIL },
    ]);
    expect(await look(file)).toEqual([
      { kind: 'format', format: 'zip' },
      { kind: 'malformed', format: 'unknown', detail: 'is compressed by method 12, which cannot be read', member: 'a' },
      { kind: 'format', format: 'pickle', member: 'b' },
      { kind: 'import', import: { module: 'os', name: 'system', verdict: 'dangerous' }, member: 'b' },
    ]);
  });

  it('tell of the whole what kind they are', async () => {
    const twice = zipOf([
      { name: 'a.npy', body: npy(NUMBERS, Buffer.alloc(8)) },
      { name: 'a.npy', body: npy(NUMBERS, Buffer.alloc(8)) },
    ]);
    expect(await look(twice)).toEqual([
      { kind: 'format', format: 'npz' },
      { kind: 'malformed', format: 'npz', detail: 'has two members ‘a.npy’' },
    ]);
    expect(await look('PK\x03\x04')).toEqual([
      { kind: 'format', format: 'zip' },
      { kind: 'malformed', format: 'zip', detail: expect.stringMatching(/^is no readable zip: /) },
    ]);
  });

  it.each(['/etc/x', '../x', 'a/../../x', 'a/..', '..'])('are refused for a member of a tar called %j', async (name) => {
    const findings = await look(tarOf([{ name, body: 'hello' }]));
    expect(findings.filter(({ kind }) => kind === 'malformed')).toEqual([
      { kind: 'malformed', format: 'tar', detail: 'has a member that would be written outside', member: name },
    ]);
  });

  it.each(['a/x', './x', '..x', 'x..', 'a..b', 'a/..b', 'a../b', '...'])('may have a member called %j', async (name) => {
    expect(await look(tarOf([{ name, body: 'hello' }]))).toEqual([
      { kind: 'format', format: 'tar' },
      { kind: 'format', format: 'text', member: name },
    ]);
  });

  it('tell what stood before the place where they break', async () => {
    const file = tarOf([
      { name: 'a', body: EVIL },
      { name: 'b', body: 'hello' },
    ]);
    file.write('x', 1024);
    expect(await look(file)).toEqual([
      { kind: 'format', format: 'tar' },
      { kind: 'format', format: 'pickle', member: 'a' },
      { kind: 'import', import: { module: 'os', name: 'system', verdict: 'dangerous' }, member: 'a' },
      { kind: 'malformed', format: 'tar', detail: 'has a header at byte 1024 whose checksum is wrong' },
    ]);
  });

  it('give ten thousand findings, and are refused beyond', async () => {
    const entry = tarOf([{ name: 'a' }]).subarray(0, 512);
    const of = (members: number): Promise<readonly Finding[]> => look(Buffer.concat([...Array(members).fill(entry), Buffer.alloc(1024)]));
    expect(broken(await of(10_001))).toEqual([]);
    const more = await of(10_002);
    expect(broken(more)).toEqual(['tar: has more in it than is judged']);
    expect(more).toHaveLength(10_003);
  });
});

describe('an archive behind something else', () => {
  const ENTRY = Buffer.concat([bytes('PK\x01\x02'), Buffer.alloc(42)]);
  const BEHIND = 'zip: a zip archive stands behind something else';
  const behind = async (...parts: readonly (Buffer | string)[]): Promise<boolean> =>
    broken(await look(Buffer.concat(parts.map((part) => Buffer.from(part as string, 'latin1'))))).includes(BEHIND);

  /** The end of an archive. `disks`: its number and that of its directory. */
  function end(directory: number, start: number, disks = 0, comment = ''): Buffer {
    const record = Buffer.alloc(22);
    record.write('PK\x05\x06', 'latin1');
    record.writeUInt32LE(disks, 4);
    record.writeUInt32LE(directory, 12);
    record.writeUInt32LE(start, 16);
    record.writeUInt16LE(comment.length, 20);
    return Buffer.concat([record, bytes(comment)]);
  }

  it('is judged, whatever stands before it', async () => {
    const findings = await look(Buffer.concat([bytes('hello\n'), stored('a', EVIL)]), 'x.txt');
    expect(findings.slice(0, 2)).toEqual([
      { kind: 'malformed', format: 'zip', detail: 'a zip archive stands behind something else' },
      { kind: 'format', format: 'zip' },
    ]);
    expect(formats(await look(Buffer.concat([bytes('GIF89a'), stored('a', 'hello')])))).toEqual(['image', 'zip']);
  });

  it('is found when it says that it begins within the file', async () => {
    expect(await behind('hello', end(0, 0))).toBe(true);
    expect(await behind('hello', end(7, 20))).toBe(true);
    expect(await behind('hello', end(8, 20))).toBe(false);
    expect(await behind('hello', end(9, 0xffffffff))).toBe(true);
    expect(await behind('hello', end(9, 0xfffffffe))).toBe(false);
    expect(await behind('hello', end(0, 0, 1))).toBe(false);
    expect(await behind('hello', end(9, 0xffffffff, 1))).toBe(false);
  });

  it('is found when a directory stands right before its end, or where it says, whatever its disk', async () => {
    expect(await behind('hello', ENTRY, end(46, 0, 1))).toBe(true);
    expect(await behind('hello', ENTRY, end(45, 0, 1))).toBe(false);
    expect(await behind('hello', ENTRY, 'gap', end(46, 5, 1))).toBe(true);
    expect(await behind('hello', ENTRY, 'gap', end(46, 6, 1))).toBe(false);
    expect(await behind('hello', ENTRY, end(0xffffffff, 5, 1))).toBe(true);
    expect(await behind('hello', end(0, 27, 1, 'PK\x01\x02'))).toBe(true);
    expect(await behind('hello', end(0, 28, 1, 'PK\x01\x02'))).toBe(false);
    expect(await behind(ENTRY, end(46, 99, 1))).toBe(true);
  });

  it('is found behind as long a comment as there may be', async () => {
    expect(await behind('hello', end(0, 0, 0, 'x'.repeat(65_535)))).toBe(true);
    expect(await behind('hello', end(0, 0, 0, 'x'.repeat(65_536 - 1)), 'x')).toBe(false);
  });

  it('is found though the letters of an end stand behind it', async () => {
    expect(await behind('hello', end(0, 0), 'PK\x05\x06')).toBe(true);
    expect(await behind('hello', end(0, 0), 'PK\x05\x06'.padEnd(21))).toBe(true);
    expect(await behind('hello', end(0, 0), end(9, 9, 9), end(9, 9, 9))).toBe(true);
    expect(await behind('hello', end(9, 9, 9), end(9, 9, 9))).toBe(false);
    expect(await behind(end(0, 0))).toBe(true);
    expect(await behind(end(9, 9, 9))).toBe(false);
  });

  it('is none of what begins as an archive', async () => {
    expect(await behind(stored('a', 'hello'))).toBe(false);
    expect(await behind('PK\x03\x05', stored('a', 'hello'))).toBe(true);
  });

  it('is never looked for outside the file', async () => {
    for (const [directory, start] of [
      [99, 99],
      [0, 28],
      [0, 31],
      [6, 0xfffffffe],
    ] as const) {
      const content = Buffer.concat([bytes('hello'), end(directory, start, 1)]);
      const source: ByteSource = {
        sizeBytes: content.length,
        read: async (position, length) => {
          if (position < 0 || position > content.length) throw new RangeError(`asked for byte ${position}`);
          return content.subarray(position, position + length);
        },
      };
      expect(await identify(source, 'x')).toEqual([{ kind: 'format', format: 'unknown' }]);
    }
  });

  it('is not looked for where not all was decompressed', async () => {
    const content = Buffer.concat([bytes('\x01\x02'), stored('a', 'hello')]);
    expect(broken(await identify(windowSource(content, content.length), 'x'))).toEqual([]);
    expect(broken(await identify(bufferSource(content), 'x'))).toContain(BEHIND);
  });
});

describe('what was not decompressed', () => {
  it('cannot be told to be text', async () => {
    expect(await identify(windowSource(bytes('hello\n'.repeat(100_000)), 9_000_000), 'x')).toEqual([
      { kind: 'malformed', format: 'unknown', detail: 'needs more than the first 600000 decompressed bytes to be judged' },
    ]);
  });
});

describe('a tar', () => {
  it('is found once, also where it looks like something else', async () => {
    expect(named(await look(tarOf([{ name: 'GIF89a', body: 'hello' }])))).toEqual(['image', 'tar', 'GIF89a text']);
    expect(named(await look(tarOf([{ name: 'a', body: 'hello' }])))).toEqual(['tar', 'a text']);
  });

  it('is found though a member of it is one, when it is an archive of zip, too', async () => {
    // The name of the first member of the tar begins a member of the zip, whose content begins behind the tar’s header.
    const inner = tarOf([{ name: 'b', body: 'hello' }]);
    const local = Buffer.alloc(31);
    local.write('PK\x03\x04\x14', 'latin1');
    local.writeUInt32LE(inner.length, 18);
    local.writeUInt32LE(inner.length, 22);
    local.writeUInt16LE(1, 26);
    local.writeUInt16LE(512 - 31, 28);
    local.write('a', 30);
    const entry = Buffer.alloc(47);
    entry.write('PK\x01\x02\x14\x03\x14', 'latin1');
    entry.writeUInt32LE(inner.length, 20);
    entry.writeUInt32LE(inner.length, 24);
    entry.writeUInt16LE(1, 28);
    entry.write('a', 46);
    const end = Buffer.alloc(22);
    end.write('PK\x05\x06\0\0\0\0\x01\0\x01\0', 'latin1');
    end.writeUInt32LE(47, 12);
    end.writeUInt32LE(512 + inner.length + 512, 16);
    // Behind it stand the rest of a block and the end of the tar.
    end.writeUInt16LE(512 - 47 - 22 + 1024, 20);
    const file = tarOf([
      { name: local, body: inner },
      { name: 'c', body: Buffer.concat([entry, end]) },
    ]);
    const found = await look(file);
    expect(named(found)).toEqual(['zip', 'a tar', 'a!b text', 'tar']);
    // As that name only some readers of tars take it.
    expect(defects(found)).toContain('has a name with bytes behind its end');
  });
});

describe('a source that fails', () => {
  const hdf5 = Buffer.concat([Buffer.alloc(512), bytes('\x89HDF\r\n\x1a\n')]);
  const external = Buffer.concat([field(1, 8), field(7, field(5, field(13, Buffer.concat([field(1, 'location'), field(2, 'w')]))))]);

  it.each<[string, Buffer, string]>([
    ['text', bytes('hello\n'), 'x'],
    ['configuration', bytes('a: 1\n'), 'x.yaml'],
    ['safetensors', safetensors({ w: tensor(0, 16) }), 'x'],
    ['GGUF', Buffer.concat([bytes('GGUF\x03\0\0\0'), Buffer.alloc(16)]), 'x'],
    ['numbers', npy(NUMBERS, Buffer.alloc(8)), 'x'],
    ['objects', npy(OBJECTS, EVIL), 'x'],
    ['a model of ONNX', external, 'x'],
    ['HDF5', hdf5, 'x'],
    ['pickle', bytes(EVIL), 'x'],
    ['something unknown', bytes('\x01\x02garbage\x80\x02N.'), 'x.bin'],
    ['gzip', gzipSync('hello'), 'x'],
    ['zlib', deflateSync('hello'), 'x'],
    ['a tar', tarOf([{ name: 'a', body: 'hello' }]), 'x'],
    [
      'a zip',
      zipOf([
        { name: 'a', body: 'hello' },
        { name: 'b', body: 'hello', method: 0 },
      ]),
      'x',
    ],
    ['a zip behind something', Buffer.concat([bytes('hello\n'), stored('a', 'hello')]), 'x'],
    ['an image that is a tar', tarOf([{ name: 'GIF89a', body: 'hello' }]), 'x'],
  ])('is no finding about %s, whichever read fails, and only that', async (_what, content, name) => {
    const failure = new Error('the disk is gone');
    let [reads, failing] = [0, 0];
    const source: ByteSource = {
      sizeBytes: content.length,
      read: async (position, length) => {
        reads += 1;
        if (reads === failing) throw failure;
        return content.subarray(position, position + length);
      },
    };
    await identify(source, name);
    const all = reads;
    expect(all).toBeGreaterThan(3);
    for (failing = 1; failing <= all; failing += 1) {
      reads = 0;
      await expect(identify(source, name)).rejects.toBe(failure);
    }
  });
});

describe('first bytes that are letters', () => {
  it.each<[string, string, Format[]]>([
    ['handler.py', 'GIF89a = 1\nimport os\nos.system("id")\n', ['image', 'python']],
    ['handler.py', 'PAR1 = 1\nimport os\n', ['parquet', 'python']],
    ['handler', 'GIF89a = 1\nimport os\n', ['image', 'python']],
    ['setup.sh', 'GIF89a=1\nid\n', ['image', 'script']],
    ['x.yaml', 'GIF89a: 1\nb: !!python/object/apply:os.system ["id"]\n', ['image', 'remote-code']],
    ['x.yaml', 'PAR1: 1\n_target_: os.system\n', ['parquet', 'remote-code']],
    ['x.yaml', 'RIFFxxxxWEBP: 1\n_target_: os.system\n', ['image', 'remote-code']],
    ['chat_template.jinja', "GIF89a {{ ''.__class__ }}", ['image', 'remote-code']],
    ['x.pdf', '%PDF-1.4\nhello\n', ['pdf']],
    ['x.yaml', "cos\nsystem\n(S'!!python/x'\ntR.", ['pickle', 'remote-code']],
    ['x.py', "cos\nsystem\n(S'id'\ntR.", ['pickle', 'python']],
  ])('hide nothing that the text is besides: %s, %j', async (name, text, expected) => {
    expect(formats(await look(text, name))).toEqual(expected);
  });
});

describe('a promise of a name', () => {
  it('is not kept by a member, nor by an empty file', async () => {
    const detail = 'its name says so, its content does not';
    expect(defects(await look(zipOf([{ name: 'm.safetensors', body: safetensors({ w: tensor(0, 16) }) }]), 'model.safetensors'))).toEqual([detail]);
    for (const name of ['model.safetensors', 'x.gguf', 'x.npy', 'x.pkl']) expect(defects(await look('', name))).toEqual([detail]);
    expect(defects(await look('', 'merges.txt'))).toEqual([]);
  });
});

describe('an archive of PyTorch', () => {
  it('may have more tensors than findings are kept', async () => {
    const tensors = Array.from({ length: 10_001 }, (_, i) => ({ name: `m/data/${i}`, body: '\x01', method: 0 }) as const);
    expect(await look(zipOf([{ name: 'm/data.pkl', body: bytes('\x80\x02N.'), method: 0 }, ...tensors]), 'm.pt')).toEqual([
      { kind: 'format', format: 'pytorch' },
    ]);
  });
});
