// SPDX-License-Identifier: Apache-2.0
import { isUtf8 } from 'node:buffer';
import { Defect } from './finding.ts';
import { plainJson } from './json.ts';

/** Python's own reader gives up at about as many. */
const MAX_DEPTH = 1000;
/** Of one character, as in `\u0061`. */
const LONGEST_ESCAPE = 6;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');
const WORDS: ReadonlyMap<number, Buffer> = new Map(['true', 'false', 'null', 'NaN', 'Infinity'].map((word) => [word.charCodeAt(0), Buffer.from(word)]));

/** What a member has for its value. `isWithin`: it stands in the value of another member of that name. */
export type JsonValue = {
  readonly kind: 'text' | 'list' | 'object' | 'other';
  readonly isWithin: boolean;
  /** Its text, as `plainJson` has it; made anew each time. */
  readonly json: () => string;
  /** What JSON.parse makes of that. */
  readonly parsed: () => unknown;
};

/** Told of each object that has members that were asked for, at its end: of them, and how many objects and lists it stands in. */
export type Visit = (members: ReadonlyMap<string, JsonValue>, depth: number) => void;

/**
 * Reads JSON as Python does (which also takes NaN and Infinity) and tells of the members that have one of `names`, in objects however deep. No
 * tree is made of the rest: a vocabulary has hundred thousands of members, and nobody asks for them.
 * @throws Defect when it is no JSON, has one of `names` twice in an object, or is nested deeper than 1000 levels
 */
export function readMembers(bytes: Buffer, names: ReadonlySet<string>, visit: Visit): void {
  if (!isUtf8(bytes)) throw new Defect('is not valid UTF-8');
  new Reader(bytes, names, visit).document();
}

class Reader {
  readonly #bytes: Buffer;
  readonly #names: ReadonlySet<string>;
  readonly #visit: Visit;
  /** The first bytes of names, by their length in bytes: nearly every other member is told from them by that. */
  readonly #beginnings: readonly (ReadonlySet<number> | undefined)[];
  /** Names whose value is being read. */
  readonly #within = new Set<string>();
  #at = 0;
  #depth = 0;

  constructor(bytes: Buffer, names: ReadonlySet<string>, visit: Visit) {
    this.#bytes = bytes;
    this.#names = names;
    this.#visit = visit;
    const beginnings: Set<number>[] = [];
    for (const name of names) {
      const { length, 0: first = 0 } = Buffer.from(name);
      beginnings[length] = (beginnings[length] ?? new Set()).add(first);
    }
    this.#beginnings = beginnings;
  }

  document(): void {
    if (this.#bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) this.#at = 3;
    this.#skipBlanks();
    this.#value();
    this.#skipBlanks();
    if (this.#at < this.#bytes.length) throw notJson();
  }

  #value(): void {
    const byte = this.#bytes[this.#at];
    if (byte === 0x22) this.#text();
    else if (byte === 0x7b || byte === 0x5b) {
      if (this.#depth === MAX_DEPTH) throw new Defect(`is nested deeper than ${MAX_DEPTH} levels`);
      this.#depth += 1;
      if (byte === 0x7b) this.#object();
      else this.#list();
      this.#depth -= 1;
    } else {
      // Python reads -Infinity, too.
      if (byte === 0x2d && this.#bytes[this.#at + 1] === 0x49) this.#at += 1;
      const word = WORDS.get(this.#bytes[this.#at] ?? 0);
      if (word === undefined) this.#number();
      else this.#word(word);
    }
  }

  #list(): void {
    if (this.#isEmpty(0x5d)) return;
    do this.#value();
    while (this.#goesOn(0x5d));
  }

  #object(): void {
    if (this.#isEmpty(0x7d)) return;
    let members: Map<string, JsonValue> | undefined;
    do {
      const name = this.#name();
      if (name === undefined) this.#value();
      else {
        members ??= new Map();
        if (members.has(name)) throw new Defect(`names ‘${name}’ twice`);
        members.set(name, this.#wantedValue(name));
      }
    } while (this.#goesOn(0x7d));
    if (members !== undefined) this.#visit(members, this.#depth - 1);
  }

  /** Goes into a list or an object, and out again when there is nothing in it. */
  #isEmpty(closing: number): boolean {
    this.#at += 1;
    this.#skipBlanks();
    if (this.#bytes[this.#at] !== closing) return false;
    this.#at += 1;
    return true;
  }

  /** Behind a value: past the comma, to where something is due, or past the end. */
  #goesOn(closing: number): boolean {
    this.#skipBlanks();
    const byte = this.#bytes[this.#at];
    if (byte !== 0x2c && byte !== closing) throw notJson();
    this.#at += 1;
    if (byte === closing) return false;
    this.#skipBlanks();
    return true;
  }

  /** To the value of the next member. Its name, when it was asked for. */
  #name(): string | undefined {
    const start = this.#at;
    if (this.#bytes[start] !== 0x22) throw notJson();
    const escaped = this.#text();
    const name = this.#wantedName(start + 1, this.#at - 1, escaped);
    this.#skipBlanks();
    if (this.#bytes[this.#at] !== 0x3a) throw notJson();
    this.#at += 1;
    this.#skipBlanks();
    return name;
  }

  #wantedName(start: number, end: number, escaped: boolean): string | undefined {
    const length = end - start;
    if (escaped ? length >= this.#beginnings.length * LONGEST_ESCAPE : this.#beginnings[length]?.has(this.#bytes[start] ?? 0) !== true) return undefined;
    const text = this.#bytes.toString('utf8', start, end);
    const name = escaped ? `${JSON.parse(`"${text}"`)}` : text;
    return this.#names.has(name) ? name : undefined;
  }

  #wantedValue(name: string): JsonValue {
    const start = this.#at;
    const isWithin = this.#within.has(name);
    this.#within.add(name);
    this.#value();
    if (!isWithin) this.#within.delete(name);
    const end = this.#at;
    const json = (): string => plainJson(this.#bytes.toString('utf8', start, end));
    return { kind: kindOf(this.#bytes[start]), isWithin, json, parsed: () => JSON.parse(json()) };
  }

  /** To behind the closing quote. Whether there were escapes. */
  #text(): boolean {
    const bytes = this.#bytes;
    let escaped = false;
    for (let at = this.#at + 1; ; at++) {
      const byte = bytes[at];
      if (byte === 0x22) {
        this.#at = at + 1;
        return escaped;
      }
      // The end, or a control character.
      if (byte === undefined || byte < 0x20) throw notJson();
      if (byte !== 0x5c) continue;
      escaped = true;
      at += 1;
      if (bytes[at] === 0x75) {
        if (!/^[0-9a-fA-F]{4}$/.test(bytes.toString('latin1', at + 1, at + 5))) throw notJson();
        at += 4;
      } else if (!ESCAPED.has(bytes[at] ?? 0)) throw notJson();
    }
  }

  #number(): void {
    const bytes = this.#bytes;
    const integer = bytes[this.#at] === 0x2d ? this.#at + 1 : this.#at;
    let at = this.#behindDigits(integer);
    if (bytes[integer] === 0x30 && at > integer + 1) throw notJson();
    if (bytes[at] === 0x2e) at = this.#behindDigits(at + 1);
    if (bytes[at] === 0x65 || bytes[at] === 0x45) at = this.#behindDigits(bytes[at + 1] === 0x2b || bytes[at + 1] === 0x2d ? at + 2 : at + 1);
    this.#at = at;
  }

  /** At least one. */
  #behindDigits(start: number): number {
    let at = start;
    for (let byte = this.#bytes[at] ?? 0; byte >= 0x30 && byte <= 0x39; byte = this.#bytes[at] ?? 0) at += 1;
    if (at === start) throw notJson();
    return at;
  }

  #word(word: Buffer): void {
    const end = this.#at + word.length;
    if (!this.#bytes.subarray(this.#at, end).equals(word)) throw notJson();
    this.#at = end;
  }

  #skipBlanks(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (let byte = bytes[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = bytes[at]) at += 1;
    this.#at = at;
  }
}

const ESCAPED: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'));

function kindOf(first: number | undefined): JsonValue['kind'] {
  if (first === 0x22) return 'text';
  return first === 0x5b ? 'list' : first === 0x7b ? 'object' : 'other';
}

function notJson(): Defect {
  return new Defect('is not valid JSON');
}
