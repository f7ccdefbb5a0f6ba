// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { refusalsOf, u32, u64 } from './look.ts';

// Each of these runs os.system under joblib 1.6 with numpy 2.4 (what numpy hands back: with numpy 1.26), or under Python's own pickle, and was let through.

const four = (value: number): string => u32(value).toString('latin1');
const eight = (value: number): string => u64(value).toString('latin1');
const text = (value: string): string => `U${String.fromCharCode(value.length)}${value}`;
const memoized = (value: string): string => `\x8c${String.fromCharCode(value.length)}${value}\x94`;
const EVIL = "cos\nsystem\n(S'id'\ntR.";
/** What numpy writes for a type, the last number being its flags: 63 for objects. */
const state = (flags = 0): string => `(K\x03U\x01|NNNJ${four(-1)}J${four(-1)}K${String.fromCharCode(flags)}tb`;
const dtype = (code: string, built = state()): string => `cnumpy\ndtype\n${text(code)}\x89\x88\x87R${built}`;
function wrapper({ type = dtype('u1'), count = EVIL.length, make = ')\x81', more = '' }): string {
  const members = [
    `${text('shape')}K${String.fromCharCode(count)}\x85${text('order')}${text('C')}${text('subclass')}cnumpy\nndarray\n`,
    `${text('allow_mmap')}\x89${text('dtype')}${type}${more}`,
  ];
  return `cjoblib.numpy_pickle\nNumpyArrayWrapper\n${make}}(${members.join('')}ub`;
}
/** An array of one byte, at which a reader that knows no arrays stops. */
const FIRST = `\x80\x04${wrapper({ count: 1 })}.0`;
const OBJECTS = wrapper({ type: dtype('O8', ''), count: 1 });
const frame = (content: string): string => `\x95${eight(content.length)}${content}`;

const CLASS = 'cjoblib.numpy_pickle\nNumpyArrayWrapper\n';
/** Of type object, it gives back what it is given. */
const SCALAR = 'cnumpy._core.multiarray\nscalar\n';

/** Five bytes of an array, and what follows it; or, to who sees no array, bytes to pass over. */
const BYTES = `B${four(EVIL.length)}${EVIL}`;

const long = 'N0'.repeat(100_000);
const inFrame = `${wrapper({})}${EVIL}`;
const byConstructor = `(cnumpy\nndarray\nK\x01\x85${text('C')}${dtype('u1')}\x89K\x10tR`;
/** 46 bytes of alignment, by the first of the array's bytes, and then one of data. */
const skipped = `${'x'.repeat(42)}${EVIL}`;
const result = 'cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tC\x01btR';

describe('what loaders read otherwise is refused:', () => {
  it.each([
    ['an array in the pickle of an array of objects, which joblib reads as opcodes', `${FIRST}${OBJECTS}\x80\x03${wrapper({})}${EVIL}..`],
    ['an array whose wrapper lies within a frame, behind which joblib looks for its bytes', `${FIRST}${frame(inFrame)}${'N0'.repeat(11)}N.${'.'.repeat(22)}`],
    ['an alignment that is given to the constructor', `\x80\x04${wrapper({ count: 1, make: byConstructor })}.B${four(skipped.length)}${skipped}.`],
    ['a type of numbers that has the flags of objects', `${FIRST}${wrapper({ type: dtype('u1', state(63)) })}${EVIL}N.`],
    [
      'a type of objects that has no flags of objects',
      `\x80\x04${memoized('os')}${memoized('system')}${wrapper({ count: 1 })}.${wrapper({ type: dtype('O8', state(0)), count: 0 })}${memoized('collections')}${memoized('OrderedDict')}h\0h\x01\x93U\x02id\x85R..`,
    ],
    ['a wrapper with a method of its own', `${FIRST}${wrapper({ more: `${text('read')}cbuiltins\nslice\n` })}${EVIL}.`],
    ['a method that is set on the class', `${FIRST}cjoblib.numpy_pickle\nNumpyArrayWrapper\nN}${text('read')}cbuiltins\nslice\ns\x86b0${wrapper({})}${EVIL}.`],
    [
      'a class that numpy hands back',
      `${FIRST}${SCALAR}${dtype('O8', '')}cjoblib.numpy_pickle\nNumpyArrayWrapper\n\x86RN}${text('read')}cbuiltins\nslice\ns\x86b0${wrapper({})}${EVIL}.`,
    ],
    ['a wrapper of a class that numpy hands back', `${FIRST}${wrapper({ count: 5 }).replace(CLASS, `${SCALAR}${dtype('O8', '')}${CLASS}\x86R`)}${BYTES}.`],
    ['a wrapper that numpy hands back', `${FIRST}${SCALAR}${dtype('O8', '')}${CLASS})\x81\x86R${wrapper({ count: 5 }).slice(CLASS.length + 2)}${BYTES}.`],
    ['an end before that of its frame, in an array of objects', `${FIRST}${OBJECTS}\x80\x04${frame(`${result}.B${four(EVIL.length)}`)}${EVIL}.`],
    ['an end before that of its frame, before another pickle', `\x80\x04${frame(`N.B${four(EVIL.length)}`)}${EVIL}.`],
    ['a step across the end of a frame', `\x80\x04${frame(`B${String.fromCharCode(EVIL.length + 2)}\0`)}\0\0\0\0${EVIL}.`],
    ['a step across the end of a long frame', `\x80\x04${frame(`${long}B${String.fromCharCode(EVIL.length + 2)}\0`)}\0\0\0\0${EVIL}.`],
    ['a frame in a frame', `\x80\x04${frame(`\x95${eight(EVIL.length)}B${four(EVIL.length)}`)}${EVIL}.`],
  ])('%s', async (_what, content) => {
    expect(await refusalsOf(Buffer.from(content, 'latin1'), 'x.joblib')).not.toEqual([]);
  });
});
