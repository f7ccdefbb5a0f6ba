// SPDX-License-Identifier: Apache-2.0
import { NONE, type Value } from './pickleMachine.ts';

/** What joblib writes right behind the opcode that builds an array's wrapper. */
export type ArrayLayout =
  | { readonly kind: 'raw'; readonly sizeBytes: number; readonly aligned: boolean }
  | { readonly kind: 'pickled' }
  /** The wrapper says something of which the length cannot be computed: what follows cannot be told from opcodes. */
  | { readonly kind: 'unknown' };

/** What joblib writes of an array, and reads: another attribute may stand in the way of a method. */
const ATTRIBUTES = ['shape', 'order', 'subclass', 'dtype', 'allow_mmap', 'numpy_array_alignment_bytes'];

/** The layout when `value` is joblib's wrapper of an array, just built. `blind`: values that are not known were changed, perhaps this one's. */
export function arrayLayout(value: Value, blind: boolean): ArrayLayout | undefined {
  // Before it was forgotten it may have been a wrapper.
  if (blind && (value === undefined || (typeof value === 'object' && value.kind === 'instance' && value.of === undefined))) return { kind: 'unknown' };
  if (typeof value !== 'object' || value.kind !== 'instance' || !isWrapperClass(value.of)) return undefined;
  const { state, args } = value;
  if (blind || typeof args !== 'object' || args.kind !== 'tuple' || args.items.length > 0) return { kind: 'unknown' };
  if (typeof state !== 'object' || state.kind !== 'dict' || state.vague) return { kind: 'unknown' };
  if ([...state.entries.keys()].some((name) => !ATTRIBUTES.includes(name))) return { kind: 'unknown' };
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
  if (typeof dtype !== 'object' || dtype.kind !== 'instance' || !isGlobal(dtype.of, /^numpy$/, 'dtype')) return undefined;
  if (typeof dtype.args !== 'object' || dtype.args.kind !== 'tuple') return undefined;
  const code = dtype.args.items[0];
  if (typeof code !== 'string') return undefined;
  // Structures (V) may hold objects, and sub-arrays multiply: their state would have to be read as numpy does.
  if (/^[<>=|]?O8?$/.test(code)) return dtype.state === undefined || agrees(dtype.state, 8, OBJECT_FLAGS) ? 'objects' : undefined;
  // Letters alone mean other sizes than their own: `f` is four bytes.
  const [, kind = '', digits] = /^[<>=|]?([biufcSUMm])(\d{1,9})$/.exec(code) ?? [];
  if (digits === undefined) return undefined;
  const itemBytes = Number(digits) * (kind === 'U' ? 4 : 1);
  return agrees(dtype.state, itemBytes, kind === 'U' ? TEXT_FLAGS : NO_FLAGS) ? itemBytes : undefined;
}

/** As numpy writes them: others make objects of numbers, or numbers of objects. */
const NO_FLAGS = [0];
const TEXT_FLAGS = [0, 8];
const OBJECT_FLAGS = [63];

/** The state that numpy writes for a type, and reads over what the code said: no sub-array, names or fields, no other length and no other flags. */
function agrees(state: Value, itemBytes: number, allowed: readonly number[]): boolean {
  if (typeof state !== 'object' || state.kind !== 'tuple' || (state.items[0] !== 3 && state.items[0] !== 4)) return false;
  const [, , subarray, names, fields, length, , flags] = state.items;
  return [subarray, names, fields].every((one) => one === NONE) && (length === -1 || length === itemBytes) && allowed.some((one) => one === flags);
}

/** What these are called with may be what they give back. */
const GIVES_ANYTHING = /^numpy\.(_core|core)\.multiarray\nscalar$|^torch\._tensor\n_rebuild_from_type_v2$/;

/** Whether a value, where a wrapper's class is at hand, may be one of its instances or that class itself without being known as that. */
export function mayBeWrapper(value: Value): boolean {
  if (typeof value !== 'object' || value.kind !== 'instance') return false;
  const { of } = value;
  return typeof of !== 'object' || of.kind !== 'global' || GIVES_ANYTHING.test(`${of.module}\n${of.name}`);
}

export function isWrapperClass(value: Value): boolean {
  return isGlobal(value, /^joblib\./, 'NumpyArrayWrapper');
}

function isGlobal(value: Value, module: RegExp, name: string): boolean {
  return typeof value === 'object' && value.kind === 'global' && module.test(value.module) && value.name === name;
}

function asCount(value: Value): number {
  const count = typeof value === 'bigint' ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : Number.NaN;
}
