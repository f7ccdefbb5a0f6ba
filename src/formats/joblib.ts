// SPDX-License-Identifier: Apache-2.0
import type { Instance, Value } from './pickleMachine.ts';

/** What joblib writes right behind the opcode that builds an array's wrapper. */
export type ArrayLayout =
  | { readonly kind: 'raw'; readonly sizeBytes: number; readonly aligned: boolean }
  | { readonly kind: 'pickled' }
  /** The wrapper says something of which the length cannot be computed: what follows cannot be told from opcodes. */
  | { readonly kind: 'unknown' };

/** The layout when `value` is joblib's wrapper of an array, just built. */
export function arrayLayout(value: Value): ArrayLayout | undefined {
  if (!isInstanceOf(value, /^joblib\./, 'NumpyArrayWrapper')) return undefined;
  const state = value.state;
  if (typeof state !== 'object' || state.kind !== 'dict') return { kind: 'unknown' };
  const itemBytes = itemSize(state.entries.get('dtype'));
  if (itemBytes === 'objects') return { kind: 'pickled' };
  const shape = state.entries.get('shape');
  if (itemBytes === undefined || typeof shape !== 'object' || shape.kind !== 'tuple') return { kind: 'unknown' };
  const sizeBytes = shape.items.reduce<number>((product, item) => product * asCount(item), itemBytes);
  if (!Number.isSafeInteger(sizeBytes)) return { kind: 'unknown' };
  // The name is there, and not None, since joblib 1.2.
  const alignment = state.entries.get('numpy_array_alignment_bytes');
  return { kind: 'raw', sizeBytes, aligned: asCount(alignment) > 0 };
}

/** Bytes of one item of `numpy.dtype('f8', False, True)`. */
function itemSize(dtype: Value): number | 'objects' | undefined {
  if (!isInstanceOf(dtype, /^numpy$/, 'dtype') || typeof dtype.args !== 'object' || dtype.args.kind !== 'tuple') return undefined;
  const code = dtype.args.items[0];
  if (typeof code !== 'string') return undefined;
  // Structures (V) may hold objects, and sub-arrays multiply: their state would have to be read as numpy does.
  const [, kind, size] = /^[<>=|]?([biufcSUMmO?])(\d*)$/.exec(code) ?? [];
  if (kind === 'O') return 'objects';
  if (kind === undefined) return undefined;
  const count = size === undefined || size === '' ? 1 : Number(size);
  return kind === 'U' ? count * 4 : count;
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
