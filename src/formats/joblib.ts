// SPDX-License-Identifier: Apache-2.0
import { type Instance, NONE, type Value } from './pickleMachine.ts';

/** What joblib writes right behind the opcode that builds an array's wrapper. */
export type ArrayLayout =
  | { readonly kind: 'raw'; readonly sizeBytes: number; readonly aligned: boolean }
  | { readonly kind: 'pickled' }
  /** The wrapper says something of which the length cannot be computed: what follows cannot be told from opcodes. */
  | { readonly kind: 'unknown' };

/** The layout when `value` is joblib's wrapper of an array, just built. `blind`: values that are not known were changed, perhaps this one's. */
export function arrayLayout(value: Value, blind: boolean): ArrayLayout | undefined {
  // Before it was forgotten it may have been a wrapper.
  if (blind && (value === undefined || (typeof value === 'object' && value.kind === 'instance' && value.of === undefined))) return { kind: 'unknown' };
  if (!isInstanceOf(value, /^joblib\./, 'NumpyArrayWrapper')) return undefined;
  const state = value.state;
  if (blind || typeof state !== 'object' || state.kind !== 'dict' || state.vague) return { kind: 'unknown' };
  const itemBytes = itemSize(state.entries.get('dtype'));
  if (itemBytes === 'objects') return { kind: 'pickled' };
  const shape = state.entries.get('shape');
  if (itemBytes === undefined || typeof shape !== 'object' || shape.kind !== 'tuple') return { kind: 'unknown' };
  const sizeBytes = shape.items.reduce<number>((product, item) => product * asCount(item), itemBytes);
  if (!Number.isSafeInteger(sizeBytes)) return { kind: 'unknown' };
  // Since joblib 1.2 the name is there, and None where nothing is aligned. Whatever else it is, loaders take for an alignment.
  const alignment = state.entries.has('numpy_array_alignment_bytes') ? state.entries.get('numpy_array_alignment_bytes') : NONE;
  if (alignment !== NONE && !(asCount(alignment) > 0)) return { kind: 'unknown' };
  return { kind: 'raw', sizeBytes, aligned: alignment !== NONE };
}

/** Bytes of one item of `numpy.dtype('f8', False, True)`. */
function itemSize(dtype: Value): number | 'objects' | undefined {
  if (!isInstanceOf(dtype, /^numpy$/, 'dtype') || typeof dtype.args !== 'object' || dtype.args.kind !== 'tuple') return undefined;
  const code = dtype.args.items[0];
  if (typeof code !== 'string') return undefined;
  // Structures (V) may hold objects, and sub-arrays multiply: their state would have to be read as numpy does.
  if (/^[<>=|]?O8?$/.test(code)) return 'objects';
  // Letters alone mean other sizes than their own: `f` is four bytes.
  const [, kind = '', digits] = /^[<>=|]?([biufcSUMm])(\d{1,9})$/.exec(code) ?? [];
  if (digits === undefined) return undefined;
  const itemBytes = Number(digits) * (kind === 'U' ? 4 : 1);
  return agrees(dtype.state, itemBytes) ? itemBytes : undefined;
}

/** The state that numpy writes for a type, and reads over what the code said: no sub-array, names or fields, and no other length. */
function agrees(state: Value, itemBytes: number): boolean {
  if (typeof state !== 'object' || state.kind !== 'tuple' || (state.items[0] !== 3 && state.items[0] !== 4)) return false;
  const [, , subarray, names, fields, length] = state.items;
  return [subarray, names, fields].every((one) => one === NONE) && (length === -1 || length === itemBytes);
}

function isInstanceOf(value: Value, module: RegExp, name: string): value is Instance {
  return (
    typeof value === 'object' &&
    value.kind === 'instance' &&
    typeof value.of === 'object' &&
    value.of.kind === 'global' &&
    module.test(value.of.module) &&
    value.of.name === name
  );
}

function asCount(value: Value): number {
  const count = typeof value === 'bigint' ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : Number.NaN;
}
