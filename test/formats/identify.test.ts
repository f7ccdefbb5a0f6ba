// SPDX-License-Identifier: Apache-2.0
import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import type { Finding } from '../../src/formats/finding.ts';
import { identify } from '../../src/formats/identify.ts';
import { judgeFormats } from '../../src/formats/judge.ts';

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
