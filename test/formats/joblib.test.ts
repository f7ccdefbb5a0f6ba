// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { formatsOf, refusalsOf, u32 } from './look.ts';

const opcodes = (text: string): Buffer => Buffer.from(text, 'latin1');
const unicode = (text: string): Buffer => Buffer.concat([opcodes('X'), u32(text.length), Buffer.from(text)]);

/** What joblib writes for an array: a wrapper with its shape and type and, right behind the opcode that builds it, the array's bytes. */
const PLAIN = '(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t';
function joblib(data: Buffer, { dtype = 'f8', count = 2, end = '.', state = PLAIN, more = '' } = {}): Buffer {
  return Buffer.concat([
    opcodes('\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}('),
    ...[unicode('shape'), opcodes('K'), Buffer.from([count]), opcodes('\x85')],
    ...[unicode('dtype'), opcodes('cnumpy\ndtype\n'), unicode(dtype), opcodes(`K\x00K\x01\x87R${state}b${more}`), opcodes('ub')],
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

  // Each makes joblib 1.5 pass over more or fewer bytes than the type's name and the shape say, so that opcodes hide in what is left.
  it.each([
    ['a letter that means four bytes', { dtype: 'f' }],
    ['a state that changes the length of a text', { dtype: 'S2', state: '(K\x03U\x01|NNNK\x01K\x01K\x00t' }],
    ['a state with a sub-array', { state: '(K\x03U\x01<cnumpy\ndtype\nK\x02\x86NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t' }],
    ['a state of two parts', { state: `${PLAIN}b${PLAIN}` }],
    ['an alignment of nothing', { more: 'U\x1bnumpy_array_alignment_bytesK\x00' }],
    ['an alignment that is a list', { more: 'U\x1bnumpy_array_alignment_bytes]' }],
    ['a name that is put together', { more: 'cbuiltins\nstr\nU\x05shape\x85RK\x09\x85' }],
    ['a shape in octal', { more: 'U\x05shapeI010\n\x85' }],
  ])('with %s has an array whose length cannot be told', async (_what, options) => {
    expect(await refusalsOf(joblib(Buffer.alloc(16), options), 'm.joblib')).toContainEqual(expect.stringContaining('length cannot be told'));
  });

  it('that says None of its alignment is not aligned', async () => {
    expect((await refusalsOf(joblib(Buffer.alloc(16), { more: 'U\x1bnumpy_array_alignment_bytesN' }), 'm.joblib')).join()).not.toContain('MALFORMED');
  });

  it('whose wrapper was forgotten for want of memory has an array whose length cannot be told', async () => {
    const many = Buffer.concat([opcodes('\x80\x04'), Buffer.alloc(500_000 * 5, opcodes('U\x01a\x940'))]);
    const wrapper = opcodes('cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81\x940');
    const file = Buffer.concat([many, wrapper, opcodes('j'), u32(500_000), opcodes('}b'), Buffer.alloc(64, '\xff'), opcodes('.')]);
    expect(await refusalsOf(file, 'm.joblib')).toContainEqual(expect.stringContaining('length cannot be told'));
  });
});
