// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { formatsOf, refusalsOf, u32 } from './look.ts';

const opcodes = (text: string): Buffer => Buffer.from(text, 'latin1');
const unicode = (text: string): Buffer => Buffer.concat([opcodes('X'), u32(text.length), Buffer.from(text)]);

/** What joblib writes for an array: a wrapper with its shape and type and, right behind the opcode that builds it, the array's bytes. */
function joblib(data: Buffer, { dtype = 'f8', count = 2, end = '.' } = {}): Buffer {
  return Buffer.concat([
    opcodes('\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}('),
    ...[unicode('shape'), opcodes('K'), Buffer.from([count]), opcodes('\x85')],
    ...[unicode('dtype'), opcodes('cnumpy\ndtype\n'), unicode(dtype), opcodes('K\x00K\x01\x87R'), opcodes('ub')],
    data,
    opcodes(end),
  ]);
}

const importsOf = (refusals: readonly string[]): readonly string[] => refusals.filter((refusal) => refusal.includes('os.system'));

describe('joblib', () => {
  it('has arrays between its opcodes', async () => {
    expect(await formatsOf(joblib(Buffer.alloc(16)), 'm.joblib')).toEqual(['joblib']);
    expect((await refusalsOf(joblib(Buffer.alloc(16)), 'm.joblib')).filter((refusal) => refusal.startsWith('FORMAT_MALFORMED'))).toEqual([]);
  });

  it('hides nothing in its arrays, for loaders that take them for opcodes', async () => {
    const evil = Buffer.concat([opcodes('cos\nsystem\n'), Buffer.alloc(5, '0')]);
    expect(importsOf(await refusalsOf(joblib(evil), 'm.joblib'))).toHaveLength(1);
  });

  it('hides nothing behind its arrays', async () => {
    expect(importsOf(await refusalsOf(joblib(Buffer.alloc(16), { end: "cos\nsystem\n(S'id'\ntR." }), 'm.joblib'))).toHaveLength(1);
  });

  it('with an array that is longer than the file, or of a type nobody can measure, is refused', async () => {
    for (const file of [joblib(Buffer.alloc(16), { count: 200 }), joblib(Buffer.alloc(16), { dtype: 'V8' })])
      expect(await refusalsOf(file, 'm.joblib')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED /));
  });
});
