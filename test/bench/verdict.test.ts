// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type Goal, judge, type Measurement, median, ratio } from './verdict.ts';

const took = (wallSeconds: number, peakRssBytes = 0): Measurement => ({ wallSeconds, cpuSeconds: wallSeconds, serverCpuSeconds: 0, peakRssBytes });
const walls = (...seconds: readonly number[]): Measurement[] => seconds.map((value) => took(value));
const wall = (atMost: number, ...against: readonly string[]): Goal => ({ kind: 'ratio', metric: 'wallSeconds', against, atMost });

describe('the median', () => {
  it('is the middle one, or lies between the middle two', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 1, 2, 4])).toBe(3);
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('a ratio', () => {
  it('is taken within each round, so that a slow round says nothing', () => {
    expect(ratio('wallSeconds', walls(1, 10, 1), walls(2, 20, 2))).toBe(0.5);
  });
});

describe('a verdict', () => {
  it('compares with the peer that was best in the same round', () => {
    const rounds = new Map([
      ['ours', walls(3, 3, 3)],
      ['a', walls(2, 9, 3)],
      ['b', walls(9, 2, 3)],
    ]);
    expect(judge(wall(1.5, 'a', 'b'), 'ours', rounds)).toEqual({ kind: 'met', measured: 1.5 });
    expect(judge(wall(1.49, 'a', 'b'), 'ours', rounds)).toEqual({ kind: 'not met', measured: 1.5 });
  });

  it('is withheld while a peer it names is missing, even when another one is there', () => {
    const rounds = new Map([
      ['ours', walls(1)],
      ['a', walls(9)],
    ]);
    expect(judge(wall(1, 'a', 'b'), 'ours', rounds)).toEqual({ kind: 'not measured', missing: ['b'] });
    expect(judge(wall(1, 'a'), 'absent', rounds)).toEqual({ kind: 'not measured', missing: ['absent'] });
  });

  it('on memory is about the middle of the rounds', () => {
    const goal: Goal = { kind: 'absolute', metric: 'peakRssBytes', atMost: 200 };
    expect(judge(goal, 'ours', new Map([['ours', [took(1, 190), took(1, 300), took(1, 200)]]]))).toEqual({ kind: 'met', measured: 200 });
    expect(judge(goal, 'ours', new Map([['ours', [took(1, 201)]]]))).toEqual({ kind: 'not met', measured: 201 });
  });

  it('on a link asks for what the link gives, or for what could be carried if that is less', () => {
    const goal: Goal = { kind: 'throughput', sizeBytes: 1000, ceiling: 100, carriedBy: 'free', atLeast: 0.9 };
    const rounds = (own: number, free: number) =>
      new Map([
        ['ours', walls(own)],
        ['free', walls(free)],
      ]);
    expect(judge(goal, 'ours', rounds(10, 1))).toEqual({ kind: 'met', measured: 1 });
    expect(judge(goal, 'ours', rounds(20, 1))).toEqual({ kind: 'not met', measured: 0.5 });
    expect(judge(goal, 'ours', rounds(20, 20))).toEqual({ kind: 'met', measured: 1 });
  });
});
