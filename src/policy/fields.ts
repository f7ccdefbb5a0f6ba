// SPDX-License-Identifier: Apache-2.0
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { parseSize } from '../base/units.ts';

/** A value of a document and its path in it (`rules[2].require.anyOf[0].key`), with which every complaint begins. */
export type Field = { readonly value: unknown; readonly where: string };

/** A mapping whose keys are all known. */
export type Fields = {
  readonly where: string;
  /** Undefined when the key is absent. */
  get(name: string): Field | undefined;
  need(name: string): Field;
};

const MAX_ITEMS = 1000;

/** @throws POLICY_INVALID */
export function invalid({ where }: { readonly where: string }, problem: string): AppError {
  return new AppError('POLICY_INVALID', `${printable(where, 200)} ${problem}`);
}

/** A mapping with no other keys than these. YAML mappings arrive as Maps: no key can reach a prototype. @throws POLICY_INVALID */
export function mapping(field: Field, known: readonly string[]): Fields {
  const entries = entriesOf(field);
  for (const name of entries.keys()) {
    if (!known.includes(name)) throw invalid(child(field, name), `is unknown; known here: ${known.join(', ')}`);
  }
  const get = (name: string): Field | undefined => entries.get(name);
  return {
    where: field.where,
    get,
    need(name) {
      const found = get(name);
      if (found !== undefined) return found;
      throw invalid(field, `has no '${name}'`);
    },
  };
}

/** Keys of the author's choice. @throws POLICY_INVALID */
export function entriesOf(field: Field): ReadonlyMap<string, Field> {
  const { value } = field;
  if (!(value instanceof Map)) throw invalid(field, `must be a mapping, not ${kindOf(value)}`);
  if (value.size > MAX_ITEMS) throw invalid(field, `has more than ${MAX_ITEMS} entries`);
  return new Map(
    [...value].map(([name, item]: readonly [unknown, unknown]) => {
      if (typeof name !== 'string') throw invalid(field, `has the key ${printable(String(name), 80)}, which is not a text`);
      return [name, child(field, name, item)];
    }),
  );
}

export function textOf(field: Field): string {
  if (typeof field.value !== 'string') throw invalid(field, `must be a text, not ${kindOf(field.value)}`);
  if (field.value.trim() === '') throw invalid(field, 'is empty');
  return field.value;
}

export function flagOf(field: Field | undefined): boolean {
  if (field === undefined) return false;
  if (typeof field.value !== 'boolean') throw invalid(field, `must be true or false, not ${kindOf(field.value)}`);
  return field.value;
}

export function choiceOf<const T extends string>(field: Field, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === field.value);
  if (found !== undefined) return found;
  throw invalid(field, `must be one of ${choices.join(', ')}`);
}

export function countOf(field: Field, least = 1): number {
  const { value } = field;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw invalid(field, `must be a whole number from ${least}`);
}

export function sizeOf(field: Field): number {
  const bytes = typeof field.value === 'string' || typeof field.value === 'number' ? parseSize(String(field.value)) : undefined;
  if (bytes !== undefined) return bytes;
  throw invalid(field, 'must be a size such as 64MiB, 10G or 1048576');
}

const SPAN_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export function spanOf(field: Field): number {
  const [, digits, unit = ''] = /^(\d{1,5})([mhd])$/.exec(String(field.value)) ?? [];
  const ms = Number(digits) * (SPAN_MS[unit] ?? Number.NaN);
  if (ms > 0) return ms;
  throw invalid(field, 'must be a span such as 90d, 12h or 30m');
}

/** RFC 3339, or a day, which begins at midnight UTC. */
export function timeOf(field: Field): Date {
  const text = String(field.value);
  if (/^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?$/.test(text)) {
    const at = new Date(text);
    // 2026-02-30 would be another day.
    if (!Number.isNaN(at.getTime()) && new Date(`${text.slice(0, 10)}T00:00:00Z`).toISOString().startsWith(text.slice(0, 10))) return at;
  }
  throw invalid(field, "must be a time such as '2026-01-31T12:00:00Z' or '2026-01-31'");
}

/** A list that is not empty; one item may stand for itself. */
export function listOf<T>(field: Field, read: (item: Field) => T): NonEmpty<T> {
  const { value } = field;
  const items = Array.isArray(value) ? value.map((item: unknown, i): Field => ({ value: item, where: `${field.where}[${i}]` })) : [field];
  if (items.length > MAX_ITEMS) throw invalid(field, `has more than ${MAX_ITEMS} items`);
  const list = items.map(read);
  if (isNonEmpty(list)) return list;
  throw invalid(field, 'is an empty list');
}

/** A list, written as one. */
export function strictListOf<T>(field: Field, read: (item: Field) => T): NonEmpty<T> {
  if (!Array.isArray(field.value)) throw invalid(field, `must be a list, not ${kindOf(field.value)}`);
  return listOf(field, read);
}

export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return value instanceof Map ? 'a mapping' : typeof value === 'string' ? 'a text' : `a ${typeof value}`;
}

function child(parent: Field, name: string, value: unknown = undefined): Field {
  const shown = /^[A-Za-z][A-Za-z0-9_-]*$/.test(name) ? name : JSON.stringify(name);
  return { value, where: parent.where === '' ? shown : `${parent.where}.${shown}` };
}
