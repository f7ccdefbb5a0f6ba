// SPDX-License-Identifier: Apache-2.0
import { BeyondLimits } from './finding.ts';

/**
 * What a value on the pickle machine's stack is known to be: enough to say which names are imported (strings), and how long the arrays are that
 * joblib writes between opcodes (tuples, dictionaries, objects, None). Everything else is `undefined`.
 */
export type Value = undefined | string | number | bigint | boolean | typeof NONE | Global | Tuple | Dict | Instance;
export const NONE = { kind: 'none' } as const;
export type Global = { readonly kind: 'global'; readonly module: string; readonly name: string };
export type Tuple = { readonly kind: 'tuple'; readonly items: readonly Value[] };
/** `vague`: it has entries that are not known. */
export type Dict = { readonly kind: 'dict'; readonly entries: Map<string, Value>; vague: boolean };
/** `state`: undefined before it is given one, NONE for one that is not known. */
export type Instance = { readonly kind: 'instance'; readonly of: Value; readonly args: Value; state: Value };

const MAX_STACK = 1_000_000;
const MAX_MEMO = 4_000_000;
const MAX_SPARSE = 100_000;
/** Of the values kept in the memo, beyond which values are forgotten: an import by a forgotten name counts as computed. */
const MAX_KEPT = 500_000;
const MAX_KEPT_CHARS = 16_000_000;
const MAX_ITEMS = 32;

/**
 * The stack and memo of an unpickler, without objects. A real one stops with an exception where this one notes a `fault` and goes on:
 * going on can only find more imports, stopping early would hide some from a scanner that errs.
 */
export class PickleMachine {
  #stack: Value[] = [];
  #marks: number[] = [];
  #dense: Value[] = [];
  /** By number, or by the text of one that is too large to be told apart. */
  readonly #sparse = new Map<number | string, Value>();
  #kept = 0;
  #keptChars = 0;
  /** Set when a real unpickler would have stopped for want of a value. */
  fault = false;
  /** Set when something was done to a value that is not known, which may be one that is. */
  blind = false;

  push(value: Value): void {
    if (this.#stack.length >= MAX_STACK) throw new BeyondLimits(`puts more than ${MAX_STACK} values on its stack`);
    this.#stack.push(value);
  }

  pop(): Value {
    if (!this.#holds(1)) return undefined;
    return this.#stack.pop();
  }

  peek(): Value {
    return this.#holds(1) ? this.#stack.at(-1) : undefined;
  }

  /** Notes a fault unless `count` values lie above the last mark. */
  #holds(count: number): boolean {
    const enough = this.#stack.length - (this.#marks.at(-1) ?? 0) >= count;
    if (!enough) this.fault = true;
    return enough;
  }

  mark(): void {
    if (this.#marks.length >= MAX_STACK) throw new BeyondLimits(`puts more than ${MAX_STACK} marks on its stack`);
    this.#marks.push(this.#stack.length);
  }

  /** Everything above the last mark. */
  popMark(): readonly Value[] {
    const start = this.#marks.pop();
    if (start === undefined) this.fault = true;
    return this.#stack.splice(start ?? this.#stack.length);
  }

  /** POP drops a value, or the mark if nothing lies above it. */
  drop(): void {
    if (this.#marks.length > 0 && this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  tuple(items: readonly Value[]): void {
    this.push(items.length > MAX_ITEMS ? undefined : { kind: 'tuple', items });
  }

  dict(pairs: readonly Value[]): void {
    const dict: Dict = { kind: 'dict', entries: new Map(), vague: false };
    this.push(setItems(dict, pairs));
  }

  /** SETITEM and SETITEMS: the dictionary stays on the stack. */
  setItems(pairs: readonly Value[]): void {
    const target = this.peek();
    if (target === undefined) this.blind = true;
    if (typeof target === 'object' && target.kind === 'dict') setItems(target, pairs);
  }

  /** REDUCE, NEWOBJ, OBJ, INST: the call's result. */
  call(of: Value, args: Value): void {
    this.push({ kind: 'instance', of, args, state: undefined });
  }

  /** BUILD gives the object below the state its state; a second one would be mixed with the first. */
  build(): Value {
    const state = this.pop();
    const target = this.peek();
    if (target === undefined) this.blind = true;
    if (typeof target === 'object' && target.kind === 'instance') target.state = target.state === undefined ? (state ?? NONE) : NONE;
    return target;
  }

  replaceTop(value: Value): void {
    this.pop();
    this.push(value);
  }

  get depth(): number {
    return this.#stack.length;
  }

  get memoSize(): number {
    return this.#dense.length + this.#sparse.size;
  }

  /** MEMOIZE counts what is there, wherever it was put. */
  memoize(): void {
    this.put(this.memoSize);
  }

  put(index: number | string): void {
    const value = this.#keep(this.peek());
    if (typeof index === 'number' && index <= this.#dense.length && !this.#sparse.has(index)) {
      if (index >= MAX_MEMO) throw new BeyondLimits(`remembers more than ${MAX_MEMO} values`);
      if (index === this.#dense.length) this.#dense.push(value);
      else this.#dense[index] = value;
      return;
    }
    this.#sparse.set(index, value);
    if (this.#sparse.size > MAX_SPARSE) throw new BeyondLimits(`remembers more than ${MAX_SPARSE} values out of order`);
  }

  get(index: number | string): void {
    const dense = typeof index === 'number' && index < this.#dense.length;
    if (!dense && !this.#sparse.has(index)) this.fault = true;
    this.push(dense ? this.#dense[index] : this.#sparse.get(index));
  }

  #keep(value: Value): Value {
    if (value === undefined || typeof value === 'number' || typeof value === 'boolean' || value === NONE) return value;
    if (this.#kept >= MAX_KEPT || this.#keptChars >= MAX_KEPT_CHARS) return undefined;
    this.#kept += 1;
    this.#keptChars += typeof value === 'string' ? value.length : 64;
    return value;
  }
}

function setItems(dict: Dict, pairs: readonly Value[]): Dict {
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const key = pairs[i];
    if (typeof key === 'string' && (dict.entries.size < MAX_ITEMS || dict.entries.has(key))) dict.entries.set(key, pairs[i + 1]);
    else dict.vague = true;
  }
  return dict;
}
