// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { BeyondLimits } from '../../src/formats/finding.ts';
import { type Dict, NONE, PickleMachine, type Value } from '../../src/formats/pickleMachine.ts';

/** A machine with these values on its stack. */
function holding(...values: readonly Value[]): PickleMachine {
  const machine = new PickleMachine();
  for (const value of values) machine.push(value);
  return machine;
}

const tuple = (...items: readonly Value[]): Value => ({ kind: 'tuple', items });
const some = (count: number): readonly Value[] => Array.from({ length: count }, (_, i) => `${i}`);
/** Keys and values of so many entries. */
const pairs = (count: number): readonly Value[] => some(count).flatMap((key) => [key, 1]);

function dictOf(machine: PickleMachine): Dict {
  const top = machine.peek();
  if (typeof top !== 'object' || top.kind !== 'dict') throw new Error('no dictionary');
  return top;
}

/** What the memo has at this index. */
function kept(machine: PickleMachine, index: number | string): Value {
  machine.get(index);
  return machine.pop();
}

function fill(count: number, step: () => void): void {
  for (let i = 0; i < count; i++) step();
}

describe('the stack', () => {
  it('gives back what was put there last, and keeps what it only shows', () => {
    const machine = holding('a', 'b');
    expect(machine.peek()).toBe('b');
    expect(machine.depth).toBe(2);
    expect(machine.pop()).toBe('b');
    expect(machine.pop()).toBe('a');
    expect(machine.depth).toBe(0);
    expect(machine.fault).toBe(false);
  });

  it.each<[string, (machine: PickleMachine) => unknown]>([
    ['taking', (machine) => machine.pop()],
    ['looking', (machine) => machine.peek()],
    ['dropping', (machine) => machine.drop()],
    ['taking all above a mark', (machine) => machine.popMark()],
    ['remembering', (machine) => machine.put(0)],
    ['recalling', (machine) => machine.get(0)],
    ['replacing', (machine) => machine.replaceTop('x')],
    ['filling a dictionary', (machine) => machine.setItems([])],
    ['building', (machine) => machine.build()],
  ])('notes a fault when %s finds nothing', (_what, act) => {
    const machine = new PickleMachine();
    expect(machine.fault).toBe(false);
    act(machine);
    expect(machine.fault).toBe(true);
  });

  it('does not reach below the last mark', () => {
    const machine = holding('below');
    machine.mark();
    expect(machine.peek()).toBeUndefined();
    expect(machine.fault).toBe(true);
    expect(machine.pop()).toBeUndefined();
    expect(machine.depth).toBe(1);
    machine.push('above');
    expect(machine.pop()).toBe('above');
    expect(machine.pop()).toBeUndefined();
    expect(machine.depth).toBe(1);
  });

  it('is cut at the last mark', () => {
    const machine = holding('a');
    machine.mark();
    machine.push('b');
    machine.mark();
    machine.push('c');
    machine.push('d');
    expect(machine.popMark()).toEqual(['c', 'd']);
    expect(machine.popMark()).toEqual(['b']);
    expect(machine.fault).toBe(false);
    expect(machine.depth).toBe(1);
  });

  it('keeps its values when there is no mark to cut it at', () => {
    const machine = holding('a', 'b');
    expect(machine.popMark()).toEqual([]);
    expect(machine.fault).toBe(true);
    expect(machine.depth).toBe(2);
  });

  it('drops a mark where nothing lies above it, else a value', () => {
    const machine = holding('a', 'b');
    machine.mark();
    machine.push('c');
    machine.drop();
    expect(machine.depth).toBe(2);
    machine.drop();
    expect(machine.depth).toBe(2);
    machine.drop();
    expect(machine.depth).toBe(1);
    expect(machine.pop()).toBe('a');
    expect(machine.fault).toBe(false);
  });

  it('has its last value replaced', () => {
    const machine = holding('a', 'b');
    machine.replaceTop('c');
    expect(machine.depth).toBe(2);
    expect(machine.pop()).toBe('c');
  });

  it('holds a million values and a million marks', () => {
    const machine = new PickleMachine();
    fill(1_000_000, () => machine.push(undefined));
    expect(() => machine.push(undefined)).toThrow(new BeyondLimits('puts more than 1000000 values on its stack'));
    fill(1_000_000, () => machine.mark());
    expect(() => machine.mark()).toThrow(new BeyondLimits('puts more than 1000000 marks on its stack'));
  });
});

describe('a tuple', () => {
  it('is known up to 32 items', () => {
    const machine = new PickleMachine();
    machine.tuple(['a', 1]);
    expect(machine.pop()).toEqual({ kind: 'tuple', items: ['a', 1] });
    machine.tuple(some(32));
    expect(machine.pop()).toMatchObject({ kind: 'tuple' });
    machine.tuple(some(33));
    expect(machine.depth).toBe(1);
    expect(machine.pop()).toBeUndefined();
  });
});

describe('a dictionary', () => {
  it('has its pairs, the last one of each key', () => {
    const machine = new PickleMachine();
    machine.dict(['a', 1, 'b', 2, 'a', 3]);
    expect([...dictOf(machine).entries]).toEqual([
      ['a', 3],
      ['b', 2],
    ]);
    expect(dictOf(machine).vague).toBe(false);
    machine.setItems(['b', 4, 'c', NONE]);
    expect([...dictOf(machine).entries.values()]).toEqual([3, 4, NONE]);
    expect(machine.depth).toBe(1);
    expect([machine.fault, machine.blind]).toEqual([false, false]);
  });

  it('leaves a key without a value out', () => {
    const machine = new PickleMachine();
    machine.dict(['a', 1, 'b']);
    expect([...dictOf(machine).entries.keys()]).toEqual(['a']);
    expect(dictOf(machine).vague).toBe(false);
  });

  it.each<[Value]>([[undefined], [1], [NONE], [true]])('is vague with a key that is no text: %j', (key) => {
    const machine = new PickleMachine();
    machine.dict([key, 1, 'b', 2]);
    expect([...dictOf(machine).entries.keys()]).toEqual(['b']);
    expect(dictOf(machine).vague).toBe(true);
  });

  it('is vague with more than 32 entries, of which those it has can still change', () => {
    const machine = new PickleMachine();
    machine.dict(pairs(32));
    machine.setItems(['31', 'new']);
    expect(dictOf(machine).vague).toBe(false);
    expect(dictOf(machine).entries.get('31')).toBe('new');
    machine.setItems(['32', 1]);
    expect(dictOf(machine).vague).toBe(true);
    expect(dictOf(machine).entries.size).toBe(32);
  });

  it('that is not known makes blind when it is filled, something else does not', () => {
    const unknown = holding(undefined);
    unknown.setItems(['a', 1]);
    expect([unknown.blind, unknown.fault]).toEqual([true, false]);
    for (const other of ['a', NONE, tuple()]) {
      const machine = holding(other);
      machine.setItems(['a', 1]);
      expect([machine.blind, machine.pop()]).toEqual([false, other]);
    }
  });
});

describe('an object', () => {
  const made = (): PickleMachine => {
    const machine = new PickleMachine();
    machine.call('callee', tuple('x'));
    return machine;
  };

  it('is what a call gives, with no state at first', () => {
    expect(made().pop()).toStrictEqual({ kind: 'instance', of: 'callee', args: { kind: 'tuple', items: ['x'] }, state: undefined });
  });

  it('is given its state, of which it has only one', () => {
    const machine = made();
    machine.push('state');
    const built = machine.build();
    expect(built).toMatchObject({ kind: 'instance', state: 'state' });
    expect(machine.depth).toBe(1);
    expect(machine.peek()).toBe(built);
    machine.push('another');
    expect(machine.build()).toMatchObject({ state: NONE });
    expect([machine.fault, machine.blind]).toEqual([false, false]);
  });

  it('has had a state even if it is not known which', () => {
    const machine = made();
    machine.push(undefined);
    expect(machine.build()).toMatchObject({ state: NONE });
    machine.push('state');
    expect(machine.build()).toMatchObject({ state: NONE });
  });

  it('that is not known makes blind when it is built, something else does not', () => {
    const unknown = holding(undefined, 'state');
    expect(unknown.build()).toBeUndefined();
    expect([unknown.blind, unknown.fault]).toEqual([true, false]);
    const others: readonly [Value, unknown][] = [
      ['a', 'a'],
      [NONE, { kind: 'none' }],
      [tuple('x'), { kind: 'tuple', items: ['x'] }],
    ];
    for (const [other, unchanged] of others) {
      const machine = holding(other, 'state');
      expect([machine.build(), machine.blind]).toStrictEqual([unchanged, false]);
    }
  });
});

describe('the memo', () => {
  it('is counted on by MEMOIZE, wherever things were put', () => {
    const machine = holding('a');
    machine.memoize();
    machine.replaceTop('b');
    machine.put(7);
    machine.replaceTop('c');
    machine.memoize();
    expect(machine.memoSize).toBe(3);
    expect([kept(machine, 0), kept(machine, 7), kept(machine, 2)]).toEqual(['a', 'b', 'c']);
    expect(machine.fault).toBe(false);
    expect(machine.depth).toBe(1);
  });

  it('is written over, in order or not', () => {
    const machine = holding('old');
    for (const index of [0, 2, '9'.repeat(20)]) machine.put(index);
    machine.replaceTop('new');
    for (const index of [0, 2, '9'.repeat(20)]) machine.put(index);
    expect(machine.memoSize).toBe(3);
    expect([kept(machine, 0), kept(machine, 2), kept(machine, '9'.repeat(20))]).toEqual(['new', 'new', 'new']);
  });

  it('has one value at an index that was put out of order and is then reached', () => {
    const machine = holding('old');
    machine.put(1);
    machine.put(0);
    machine.replaceTop('new');
    machine.put(1);
    machine.replaceTop('next');
    machine.put(2);
    expect(machine.memoSize).toBe(3);
    expect([kept(machine, 0), kept(machine, 1), kept(machine, 2)]).toEqual(['old', 'new', 'next']);
  });

  it('gives something unknown, and notes a fault, where nothing was put', () => {
    for (const index of [1, 5, '9'.repeat(20)]) {
      const machine = holding('a');
      machine.put(0);
      machine.put(4);
      expect(machine.fault).toBe(false);
      machine.get(index);
      expect([machine.fault, machine.depth, machine.pop()]).toEqual([true, 2, undefined]);
    }
  });

  it('keeps a value that is not known, which is no fault', () => {
    const machine = holding(undefined);
    machine.put(0);
    machine.put(5);
    expect([kept(machine, 0), kept(machine, 5), machine.fault]).toEqual([undefined, undefined, false]);
  });

  it('holds four million values in order', () => {
    const machine = holding(undefined);
    fill(4_000_000, () => machine.memoize());
    machine.put(3_999_999);
    expect(machine.memoSize).toBe(4_000_000);
    expect(() => machine.memoize()).toThrow(new BeyondLimits('remembers more than 4000000 values'));
  });

  it('holds a hundred thousand values out of order', () => {
    const machine = holding(undefined);
    let index = 1;
    fill(100_000, () => machine.put(index++));
    machine.put(1);
    expect(machine.memoSize).toBe(100_000);
    expect(() => machine.put(index)).toThrow(new BeyondLimits('remembers more than 100000 values out of order'));
  });
});

describe('values in the memo are forgotten', () => {
  it('beyond half a million', () => {
    const machine = holding('a');
    fill(500_001, () => machine.memoize());
    expect([kept(machine, 499_999), kept(machine, 500_000)]).toEqual(['a', undefined]);
    expect(machine.fault).toBe(false);
  });

  it('except for those that cost nothing', () => {
    const machine = holding('x'.repeat(16_000_000));
    machine.put(0);
    for (const [index, value] of ([1, true, NONE, 'a', 2n] as const).entries()) {
      machine.replaceTop(value);
      machine.put(index + 1);
    }
    expect([1, 2, 3, 4, 5].map((index) => kept(machine, index))).toEqual([1, true, NONE, undefined, undefined]);
  });

  it('and those that cost nothing do not count', () => {
    const machine = holding('x'.repeat(15_999_999));
    machine.put(0);
    let index = 1;
    for (const value of [undefined, 1, true, NONE]) {
      machine.replaceTop(value);
      machine.put(index++);
    }
    machine.replaceTop('a');
    machine.put(5);
    machine.put(6);
    expect([kept(machine, 5), kept(machine, 6)]).toEqual(['a', undefined]);
  });

  it.each([
    ['kept', 15_999_935, ['a']],
    ['forgotten', 15_999_936, [undefined]],
  ])('of 16 million characters, a tuple for 64 of them: %s', (_what, length, expected) => {
    const machine = holding('x'.repeat(length));
    machine.put(0);
    machine.replaceTop(tuple('in'));
    machine.put(1);
    expect(kept(machine, 1)).toEqual(tuple('in'));
    machine.replaceTop('a');
    machine.put(2);
    expect([kept(machine, 2)]).toEqual(expected);
  });
});
