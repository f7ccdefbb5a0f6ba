// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import {
  choiceOf,
  countOf,
  entriesOf,
  type Field,
  flagOf,
  kindOf,
  listOf,
  mapping,
  sizeOf,
  spanOf,
  strictListOf,
  textOf,
  timeOf,
} from '../../src/policy/fields.ts';
import { refused } from '../oms/payload.ts';

describe('a value', () => {
  const field = (value: unknown): Field => ({ value, where: 'x.y' });
  const many = Array.from({ length: 1001 }, (_, i) => String(i));
  it.each<[string, (one: Field) => unknown, unknown, string]>([
    ['text', textOf, ' ', 'x.y is empty'],
    ['text', textOf, null, 'x.y must be a text, not nothing'],
    ['text', textOf, undefined, 'x.y must be a text, not nothing'],
    ['text', textOf, [], 'x.y must be a text, not a list'],
    ['text', textOf, new Map(), 'x.y must be a text, not a mapping'],
    ['flag', flagOf, 1, 'x.y must be true or false, not a number'],
    ['choice', (one) => choiceOf(one, ['a', 'b']), 'c', 'x.y must be one of a, b'],
    ['count', countOf, 0, 'x.y must be a whole number from 1'],
    ['count', countOf, 1.5, 'x.y must be a whole number from 1'],
    ['count', countOf, '1', 'x.y must be a whole number from 1'],
    ['size', sizeOf, 'big', 'x.y must be a size such as 64MiB, 10G or 1048576'],
    ['size', sizeOf, ['1'], 'x.y must be a size such as 64MiB, 10G or 1048576'],
    ...['', '0d', '1', 'x1d', '1dx', '100000d'].map((text): [string, typeof spanOf, string, string] => [
      'span',
      spanOf,
      text,
      'x.y must be a span such as 90d, 12h or 30m',
    ]),
    ...[
      '2026',
      'x2026-01-01',
      '2026-01-01x',
      '2026-01-01T00:00:00',
      '2026-01-01T25:00:00Z',
      '2026-02-30T00:00:00Z',
      '2026-01-01T00:00:00.Z',
      'January 1, 2026',
    ].map((text): [string, typeof timeOf, string, string] => ['time', timeOf, text, "x.y must be a time such as '2026-01-31T12:00:00Z' or '2026-01-31'"]),
    ['list', (one) => listOf(one, textOf), [], 'x.y is an empty list'],
    ['list', (one) => listOf(one, textOf), many, 'x.y has more than 1000 items'],
    ['list', (one) => listOf(one, textOf), ['a', 1], 'x.y[1] must be a text, not a number'],
    ['list', (one) => strictListOf(one, textOf), 'a', 'x.y must be a list, not a text'],
    ['mapping', entriesOf, 'a', 'x.y must be a mapping, not a text'],
    ['mapping', entriesOf, new Map([[1, 2]]), 'x.y has the key 1, which is not a text'],
    ['mapping', entriesOf, new Map(many.map((one) => [one, 1])), 'x.y has more than 1000 entries'],
    ['mapping', (one) => mapping(one, ['a', 'b']), new Map([['c', 1]]), 'x.y.c is unknown; known here: a, b'],
    ['mapping', (one) => mapping(one, ['a']), new Map([['c d', 1]]), 'x.y."c d" is unknown; known here: a'],
    ['mapping', (one) => mapping(one, ['a']), new Map([['-c', 1]]), 'x.y."-c" is unknown; known here: a'],
    ['mapping', (one) => mapping(one, ['a']).need('a'), new Map(), "x.y has no 'a'"],
  ])('that is no good %s is refused with its place', (_, readOf, value, message) => {
    expect(() => readOf(field(value))).toThrow(refused('POLICY_INVALID', new RegExp(`^${message.replace(/[.[\]]/g, '\\$&')}$`)));
  });

  it('is read as what it says', () => {
    expect([countOf(field(1)), sizeOf(field('2KiB')), sizeOf(field(7)), flagOf(undefined), flagOf(field(true))]).toEqual([1, 2048, 7, false, true]);
    expect(['1m', '2h', '3d', '99999m'].map((one) => spanOf(field(one)))).toEqual([60_000, 7_200_000, 259_200_000, 5_999_940_000]);
    const times = [
      '2026-01-31',
      '2026-01-31T12:34:56Z',
      '2026-01-31T12:34:56.123Z',
      '2026-01-31T12:34:56.1234Z',
      '2026-01-31T12:34:56+02:30',
      '2026-01-31T12:34:56-01:00',
    ];
    expect(times.map((one) => timeOf(field(one)).toISOString().slice(0, 19))).toEqual([
      ...['2026-01-31T00:00:00', '2026-01-31T12:34:56', '2026-01-31T12:34:56', '2026-01-31T12:34:56', '2026-01-31T10:04:56', '2026-01-31T13:34:56'],
    ]);
    expect(listOf(field(many.slice(1)), textOf)).toHaveLength(1000);
    expect(listOf(field('a'), textOf)).toEqual(['a']);
    expect(entriesOf(field(new Map(many.slice(1).map((one) => [one, 1])))).size).toBe(1000);
    expect([kindOf(true), mapping({ value: new Map([['a', 1]]), where: '' }, ['a']).need('a').where]).toEqual(['a boolean', 'a']);
  });
});
