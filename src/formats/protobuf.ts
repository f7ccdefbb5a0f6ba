// SPDX-License-Identifier: Apache-2.0
import type { Cursor } from './cursor.ts';
import { Defect } from './finding.ts';

/** One field of a protobuf message. Of a length-delimited one only where it lies: nothing of it is read. */
export type Field = { readonly number: number; readonly wire: 0 | 1 | 2 | 5; readonly value: bigint; readonly start: number; readonly sizeBytes: number };

/** Shared by all messages of one file. */
export type FieldBudget = { fields: number };

/**
 * The fields of the message from the cursor to `end`, in order. Whoever is given one may read within it by the same cursor, a message in it too:
 * so each byte is fetched once, however many messages there are. @throws Defect when it is none, or has too many
 */
export async function* fieldsOf(cursor: Cursor, end: number, budget: FieldBudget): AsyncGenerator<Field> {
  while (cursor.position < end) {
    budget.fields -= 1;
    if (budget.fields < 0) throw new Defect('has more fields than are walked');
    if (!cursor.has(32)) await cursor.buffer(32);
    const key = varint(cursor);
    const number = Number(key >> 3n);
    if (number === 0 || number > 0x1fffffff) throw new Defect('has a field without a number');
    const field = readField(cursor, number, Number(key & 7n));
    if (field.start + field.sizeBytes > end) throw new Defect('has a field that reaches beyond its message');
    yield field;
    cursor.skip(field.start + field.sizeBytes - cursor.position);
  }
}

function readField(cursor: Cursor, number: number, wire: number): Field {
  switch (wire) {
    case 0: {
      const value = varint(cursor);
      return { number, wire, value, start: cursor.position, sizeBytes: 0 };
    }
    case 1:
      return { number, wire, value: 0n, start: cursor.position, sizeBytes: 8 };
    case 2: {
      const length = varint(cursor);
      if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw new Defect('has a field that reaches beyond its message');
      return { number, wire, value: length, start: cursor.position, sizeBytes: Number(length) };
    }
    case 5:
      return { number, wire, value: 0n, start: cursor.position, sizeBytes: 4 };
    default:
      throw new Defect(`has a field of unknown kind ${wire}`);
  }
}

function varint(cursor: Cursor): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = cursor.byte();
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw new Defect('has a number that does not end');
}
