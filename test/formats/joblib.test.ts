// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { arrayLayout } from '../../src/formats/joblib.ts';
import { type Dict, type Global, type Instance, NONE, type Tuple, type Value } from '../../src/formats/pickleMachine.ts';
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

const global = (module: string, name: string): Global => ({ kind: 'global', module, name });
const tuple = (...items: readonly Value[]): Tuple => ({ kind: 'tuple', items });
const dict = (entries: Readonly<Record<string, Value>>, vague = false): Dict => ({ kind: 'dict', entries: new Map(Object.entries(entries)), vague });
const instance = (of: Value, args: Value, state: Value): Instance => ({ kind: 'instance', of, args, state });

/** What numpy writes for a type of which nothing else is to say. */
const simple = (length: Value = -1): Tuple => tuple(3, '<', NONE, NONE, NONE, length, -1, 0);
const dtype = (code: Value, state: Value = simple()): Instance => instance(global('numpy', 'dtype'), tuple(code, false, true), state);
const bare = (code: Value): Instance => instance(global('numpy', 'dtype'), tuple(code, false, true), undefined);
/** What numpy writes for a type of objects. */
const objects = (code: Value = 'O8', flags: Value = 63): Instance => dtype(code, tuple(3, '|', NONE, NONE, NONE, -1, -1, flags));
const wrapper = (state: Value, module = 'joblib.numpy_pickle', name = 'NumpyArrayWrapper'): Instance => instance(global(module, name), tuple(), state);
const array = (more: Readonly<Record<string, Value>> = {}): Instance => wrapper(dict({ dtype: dtype('f8'), shape: tuple(2, 3), ...more }));
const raw = (sizeBytes: number, aligned = false) => ({ kind: 'raw', sizeBytes, aligned }) as const;

describe('the layout of an array', () => {
  it.each<[string, Value, ReturnType<typeof arrayLayout>]>([
    ['its items', array(), raw(48)],
    ['one item when it has no dimensions', array({ shape: tuple() }), raw(8)],
    ['nothing when a dimension is empty', array({ shape: tuple(5, 0) }), raw(0)],
    ['its items counted by large numbers', array({ shape: tuple(2n, 3) }), raw(48)],
    ['its items, not aligned, where that is said', array({ numpy_array_alignment_bytes: NONE }), raw(48)],
    ['its items, aligned', array({ numpy_array_alignment_bytes: 16 }), raw(48, true)],
    ['its items, aligned to a byte', array({ numpy_array_alignment_bytes: 1 }), raw(48, true)],
    ['its items in an older module', wrapper(dict({ dtype: dtype('f8'), shape: tuple(2) }), 'joblib.numpy_pickle_compat'), raw(16)],
    ['a pickle when they are objects', array({ dtype: objects() }), { kind: 'pickled' }],
    ['a pickle when they are objects, of which nothing else is said', array({ dtype: bare('O8') }), { kind: 'pickled' }],
    ['a pickle of any shape', array({ dtype: objects(), shape: undefined }), { kind: 'pickled' }],
  ])('is that of %s', (_what, value, layout) => {
    expect(arrayLayout(value, false)).toEqual(layout);
  });

  it.each<[string, Value]>([
    ['a state that is not known', wrapper(NONE)],
    ['no state', wrapper(undefined)],
    ['a state that is no dictionary', wrapper(tuple())],
    ['a state that is a text', wrapper('x')],
    ['a state with names that are not known', wrapper(dict({ dtype: dtype('f8'), shape: tuple(2) }, true))],
    ['an attribute that joblib does not write', array({ read: global('builtins', 'slice') })],
    ['arguments for its class', instance(global('joblib.numpy_pickle', 'NumpyArrayWrapper'), tuple(2), dict({ dtype: dtype('f8'), shape: tuple(2) }))],
    ['arguments that are not known', instance(global('joblib.numpy_pickle', 'NumpyArrayWrapper'), undefined, dict({ dtype: dtype('f8'), shape: tuple(2) }))],
    ['no type', wrapper(dict({ shape: tuple(2) }))],
    ['no shape', wrapper(dict({ dtype: dtype('f8') }))],
    ['a shape that is a number', array({ shape: 2 })],
    ['a shape that is no tuple', array({ shape: dict({}) })],
    ['a dimension that is not known', array({ shape: tuple(2, undefined) })],
    ['a dimension that is a text', array({ shape: tuple('2') })],
    ['a negative dimension', array({ shape: tuple(-1) })],
    ['half a dimension', array({ shape: tuple(0.5) })],
    ['a dimension beyond exact numbers', array({ shape: tuple(2n ** 53n) })],
    ['a product beyond exact numbers', array({ shape: tuple(2 ** 30, 2 ** 30) })],
    ['an alignment of nothing', array({ numpy_array_alignment_bytes: 0 })],
    ['a negative alignment', array({ numpy_array_alignment_bytes: -16 })],
    ['an alignment that is not known', array({ numpy_array_alignment_bytes: undefined })],
    ['an alignment that is a text', array({ numpy_array_alignment_bytes: '16' })],
  ])('cannot be told with %s', (_what, value) => {
    expect(arrayLayout(value, false)).toEqual({ kind: 'unknown' });
  });

  it.each<[string, Value]>([
    ['nothing known', undefined],
    ['a text', 'NumpyArrayWrapper'],
    ['a number', 1],
    ['None', NONE],
    ['the class itself', global('joblib.numpy_pickle', 'NumpyArrayWrapper')],
    ['an instance of something not known', instance(undefined, tuple(), undefined)],
    ['an instance of an instance', instance(array(), tuple(), undefined)],
    ['an instance of a text', instance('joblib.numpy_pickle', tuple(), undefined)],
    ['another class of joblib', wrapper(dict({}), 'joblib.numpy_pickle', 'NDArrayWrapper')],
    ['a class of the same name', wrapper(dict({}), 'other.joblib.numpy_pickle')],
    ['a module that only begins alike', wrapper(dict({}), 'joblibs')],
  ])('is that of no array for %s', (_what, value) => {
    expect(arrayLayout(value, false)).toBeUndefined();
  });

  it.each<[string, Value, ReturnType<typeof arrayLayout>]>([
    ['nothing known', undefined, { kind: 'unknown' }],
    ['an instance of something not known', instance(undefined, tuple(), undefined), { kind: 'unknown' }],
    ['a wrapper', array(), { kind: 'unknown' }],
    ['a wrapper of objects', array({ dtype: objects() }), { kind: 'unknown' }],
    ['another class', wrapper(dict({}), 'numpy', 'dtype'), undefined],
    ['a text', 'x', undefined],
    ['a dictionary', dict({}), undefined],
  ])('after changes to what is not known: %s', (_what, value, layout) => {
    expect(arrayLayout(value, true)).toEqual(layout);
  });
});

describe('the type of an array', () => {
  const layoutOf = (type: Value): ReturnType<typeof arrayLayout> => arrayLayout(array({ dtype: type, shape: tuple() }), false);

  it.each<[string, number]>([
    ['f8', 8],
    ['<f4', 4],
    ['>i2', 2],
    ['=u1', 1],
    ['|b1', 1],
    ['c16', 16],
    ['S10', 10],
    ['U10', 40],
    ['M8', 8],
    ['m8', 8],
    ['S123456789', 123_456_789],
  ])('%s has %i bytes', (code, sizeBytes) => {
    expect(layoutOf(dtype(code))).toEqual(raw(sizeBytes));
    expect(layoutOf(dtype(code, simple(sizeBytes)))).toEqual(raw(sizeBytes));
    expect(layoutOf(dtype(code, simple(sizeBytes + 1)))).toEqual({ kind: 'unknown' });
  });

  it.each(['O', 'O8', '|O', '<O8', '>O', '=O8'])('%s holds objects', (code) => {
    expect(layoutOf(objects(code))).toEqual({ kind: 'pickled' });
    expect(layoutOf(bare(code))).toEqual({ kind: 'pickled' });
    // A state that makes numbers of them, or says nothing that is known.
    for (const state of [simple(), simple(8), NONE, tuple(3, '|', NONE, NONE, NONE, 4, -1, 63)])
      expect(layoutOf(dtype(code, state))).toEqual({ kind: 'unknown' });
  });

  it('may have the flags that numpy gives it, and no others', () => {
    const flagged = (code: string, flags: Value): Instance => dtype(code, tuple(3, '<', NONE, NONE, NONE, -1, -1, flags));
    expect(layoutOf(flagged('U2', 8))).toEqual(raw(8));
    for (const [code, flags] of [
      ['f8', 8],
      ['f8', 63],
      ['u1', 1],
      ['U2', 63],
      ['S2', 8],
      ['f8', undefined],
      ['f8', NONE],
    ] as const)
      expect(layoutOf(flagged(code, flags))).toEqual({ kind: 'unknown' });
  });

  it.each<[string, Value]>([
    ['a structure', dtype('V8')],
    ['a letter alone', dtype('f')],
    ['objects of another length', dtype('O4')],
    ['more than a type', dtype('f8,O')],
    ['something before the type', dtype('2f8')],
    ['something before objects', dtype('xO')],
    ['something behind objects', dtype('Ox')],
    ['a length of ten digits', dtype('S1234567890')],
    ['a code that is not known', dtype(undefined)],
    ['a code that is a number', dtype(8)],
    ['no text at all', instance(global('numpy', 'dtype'), tuple(), simple())],
    ['arguments that are not known', instance(global('numpy', 'dtype'), undefined, simple())],
    ['arguments that are no tuple', instance(global('numpy', 'dtype'), dict({}), simple())],
    ['another class', instance(global('numpy', 'ndarray'), tuple('f8'), simple())],
    ['a class of another module', instance(global('numpy.x', 'dtype'), tuple('f8'), simple())],
    ['a class of a module that ends alike', instance(global('xnumpy', 'dtype'), tuple('f8'), simple())],
    ['a text', 'f8'],
    ['nothing known', undefined],
    ['no state', dtype('f8', NONE)],
    ['a state that is a text', dtype('f8', '3')],
    ['a state that is no tuple', dtype('f8', dict({}))],
    ['a state of another version', dtype('f8', tuple(2, '<', NONE, NONE, NONE, -1, -1, 0))],
    ['a state of a version that is not known', dtype('f8', tuple(undefined, '<', NONE, NONE, NONE, -1, -1, 0))],
    ['a sub-array', dtype('f8', tuple(3, '<', tuple(), NONE, NONE, -1, -1, 0))],
    ['names', dtype('f8', tuple(3, '<', NONE, tuple(), NONE, -1, -1, 0))],
    ['fields', dtype('f8', tuple(3, '<', NONE, NONE, dict({}), -1, -1, 0))],
    ['fields that are not known', dtype('f8', tuple(3, '<', NONE, NONE, undefined, -1, -1, 0))],
    ['a length that is not known', dtype('f8', simple(NONE))],
    ['a state that ends early', dtype('f8', tuple(3, '<', NONE, NONE, NONE))],
  ])('is not known for %s', (_what, type) => {
    expect(layoutOf(type)).toEqual({ kind: 'unknown' });
  });

  it('may have a state of version 4', () => {
    expect(layoutOf(dtype('M8', tuple(4, '<', NONE, NONE, NONE, -1, -1, 0, tuple())))).toEqual(raw(8));
  });
});

describe('an aligned array of joblib', () => {
  // A byte says how many bytes come before the array's own.
  const aligned = (data: string, end = '.'): Buffer => joblib(opcodes(data), { more: 'U\x1bnumpy_array_alignment_bytesK\x10', end });

  it('begins behind its padding', async () => {
    const [padding, numbers] = ['\xff\xff\xff', '\xff'.repeat(16)];
    expect(await refusalsOf(aligned(`\x03${padding}${numbers}`), 'm.joblib')).toEqual(await refusalsOf(joblib(Buffer.alloc(16, '\xff', 'latin1')), 'm.joblib'));
    expect(await refusalsOf(aligned(`\x02${padding}${numbers}`), 'm.joblib')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED .*0xff/));
    expect(await refusalsOf(aligned(`\x04${padding}${numbers}`), 'm.joblib')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED .*ends in the middle/));
  });
});

describe('an array of objects', () => {
  const objects = (data: string): Buffer => joblib(opcodes(data), { dtype: 'O8', state: PLAIN.replace('<', '|').replace('K\x00t', 'K\x3ft') });

  it('is a pickle of its own, and what comes behind it is walked', async () => {
    expect((await refusalsOf(objects('\x80\x03]q\x00.'), 'm.joblib')).filter((refusal) => !refusal.includes('imports'))).toEqual([]);
    expect(importsOf(await refusalsOf(objects("\x80\x03cos\nsystem\n(S'id'\ntR."), 'm.joblib'))).toHaveLength(1);
    expect(importsOf(await refusalsOf(objects("].cos\nsystem\n(S'id'\ntR"), 'm.joblib'))).toHaveLength(1);
    expect(await refusalsOf(objects(']'), 'm.joblib')).toContainEqual(expect.stringMatching(/^FORMAT_MALFORMED .*ends in the middle/));
  });
});
