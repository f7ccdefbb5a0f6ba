// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import { Cursor } from './cursor.ts';
import { BeyondLimits, Defect, type PickleImport } from './finding.ts';
import { arrayLayout, isWrapperClass, mayBeWrapper } from './joblib.ts';
import { COMPUTED, judgeImport } from './pickleImports.ts';
import { NONE, PickleMachine, type Value } from './pickleMachine.ts';
import { decimal, decodeUtf8, isFloat, isInteger, memoIndex, unescapeBytes, unescapeUnicode } from './pickleText.ts';

/** What walking one pickle found: all that stood before the end counts, for it ran before a loader could notice the end. */
export type PickleWalk = {
  readonly start: number;
  /** Behind the STOP opcode, or where the walk ended. */
  readonly end: number;
  /** Why the walk ended before STOP. */
  readonly defect: string | undefined;
  /** It ended at a limit of ours: a loader would have gone on. */
  readonly beyond: boolean;
  readonly imports: readonly PickleImport[];
  /** The number at the top of the stack at STOP, if it is one: PyTorch's old files begin with a magic one. */
  readonly result: Value;
  /** Whether it wrote arrays between opcodes, as joblib does. */
  readonly arrays: boolean;
  /** What a real unpickler would have done before it stopped for want of a value: tells pickles without a header from text. */
  readonly ran: { readonly imports: number; readonly calls: number; readonly containers: number; readonly fault: boolean };
};

/** Shared by all walks of one file, so that many small pickles cost no more than one large one. */
export type WalkBudget = { opcodes: number };

const MAX_IMPORTS = 4096;
const NAME_BYTES = 4096;
/** Longer strings cannot name an import that exists; they are skipped unread. */
const STRING_BYTES = 4096;
const LOOK_AHEAD = STRING_BYTES + 16;

/** Walks one pickle from `position` to its STOP without executing anything. Never throws for what the bytes are. */
export async function walkPickle(source: ByteSource, position: number, budget: WalkBudget): Promise<PickleWalk> {
  const found = await walkAs('joblib', source, position, budget);
  if (!found.arrays) return found;
  // Python's own loader knows no arrays between opcodes: to it, their bytes are opcodes, and somebody may have meant them to be.
  const plain = await walkAs('plain', source, position, budget);
  const known = new Set(found.imports.map(({ module, name }) => `${module}\n${name}`));
  return { ...found, imports: [...found.imports, ...plain.imports.filter(({ module, name }) => !known.has(`${module}\n${name}`))] };
}

type Reading = 'joblib' | 'plain';

async function walkAs(reading: Reading, source: ByteSource, position: number, budget: WalkBudget): Promise<PickleWalk> {
  const walk = new Walk(reading, source, position, budget);
  let defect: Defect | undefined;
  try {
    await walk.run();
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    defect = error;
  }
  return walk.outcome(position, defect);
}

class Walk {
  #reading: Reading;
  readonly #cursor: Cursor;
  readonly #budget: WalkBudget;
  readonly #imports = new Map<string, PickleImport>();
  #machine = new PickleMachine();
  /** Where the frame ends that is being read. */
  #frameEnd: number | undefined;
  #result: Value;
  #arrays = false;
  /** Whether it has imported what joblib wraps arrays in. */
  #wrappers = false;
  readonly #ran = { imports: 0, calls: 0, containers: 0, fault: false };

  constructor(reading: Reading, source: ByteSource, position: number, budget: WalkBudget) {
    this.#reading = reading;
    this.#cursor = new Cursor(source, position);
    this.#budget = budget;
  }

  outcome(start: number, defect: Defect | undefined): PickleWalk {
    return {
      start,
      end: this.#cursor.position,
      defect: defect?.message,
      beyond: defect instanceof BeyondLimits,
      imports: [...this.#imports.values()],
      result: this.#result,
      arrays: this.#arrays,
      ran: this.#ran,
    };
  }

  /** One pickle, to its STOP. */
  async run(): Promise<void> {
    for (;;) {
      if (!this.#cursor.has(LOOK_AHEAD) && this.#cursor.remaining > 0 && !this.#cursor.has(Math.min(LOOK_AHEAD, this.#cursor.remaining)))
        await this.#cursor.buffer(LOOK_AHEAD);
      this.#budget.opcodes -= 1;
      if (this.#budget.opcodes < 0) throw new BeyondLimits('has more opcodes than are walked');
      const opcode = this.#cursor.byte();
      if (opcode !== STOP && !this.#simple(opcode) && !this.#sized(opcode)) await this.#line(opcode);
      this.#leaveFrame();
      if (opcode === BUILD) await this.#build();
      if (opcode === STOP) {
        this.#outsideFrame();
        this.#result = this.#machine.pop();
      }
      this.#noteFault();
      if (opcode === STOP) return;
    }
  }

  /**
   * A frame that is read at once is gone when a loader of Python's stops in the midst of it, or has read over its end; another loader reads on where
   * it was. Those who write frames end them between opcodes, and before an array of joblib's.
   */
  #leaveFrame(): void {
    if (this.#frameEnd === undefined || this.#cursor.position < this.#frameEnd) return;
    if (this.#cursor.position > this.#frameEnd) throw new BeyondLimits('has an opcode that reaches beyond its frame');
    this.#frameEnd = undefined;
  }

  #outsideFrame(): void {
    if (this.#frameEnd !== undefined) throw new BeyondLimits('has something in a frame that belongs behind its end');
  }

  #noteFault(): void {
    if (this.#machine.fault) this.#ran.fault = true;
  }

  /** Opcodes without an argument. */
  #simple(opcode: number): boolean {
    const machine = this.#machine;
    switch (opcode) {
      case 0x28: // MARK
        machine.mark();
        return true;
      case 0x30: // POP
        machine.drop();
        return true;
      case 0x31: // POP_MARK
        machine.popMark();
        return true;
      case 0x32: // DUP
        machine.push(machine.peek());
        return true;
      case 0x4e: // NONE
        machine.push(NONE);
        return true;
      case 0x51: // BINPERSID
        machine.replaceTop(undefined);
        return true;
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const args = machine.pop();
        this.#call(machine.pop(), args);
        return true;
      }
      case 0x92: {
        // NEWOBJ_EX
        machine.pop();
        const args = machine.pop();
        this.#call(machine.pop(), args);
        return true;
      }
      case 0x6f: {
        // OBJ
        const values = machine.popMark();
        if (values.length === 0) machine.fault = true;
        const [callee, ...args] = values;
        this.#call(callee, { kind: 'tuple', items: args.slice(0, 8) });
        return true;
      }
      case 0x61: // APPEND
        machine.pop();
        machine.peek();
        return this.#container();
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        machine.popMark();
        machine.peek();
        return this.#container();
      case 0x73: {
        // SETITEM
        const value = machine.pop();
        machine.setItems([machine.pop(), value]);
        return this.#container();
      }
      case 0x75: // SETITEMS
        machine.setItems(machine.popMark());
        return this.#container();
      case 0x64: // DICT
        machine.dict(machine.popMark());
        return this.#container();
      case 0x7d: // EMPTY_DICT
        machine.dict([]);
        return this.#container();
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        machine.popMark();
        machine.push(undefined);
        return this.#container();
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        machine.push(undefined);
        return this.#container();
      case 0x74: // TUPLE
        machine.tuple(machine.popMark());
        return this.#container();
      case 0x29: // EMPTY_TUPLE
        machine.tuple([]);
        return this.#container();
      case 0x85: // TUPLE1
        machine.tuple([machine.pop()]);
        return this.#container();
      case 0x86: {
        // TUPLE2
        const second = machine.pop();
        machine.tuple([machine.pop(), second]);
        return this.#container();
      }
      case 0x87: {
        // TUPLE3
        const third = machine.pop();
        const second = machine.pop();
        machine.tuple([machine.pop(), second, third]);
        return this.#container();
      }
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        machine.push(opcode === 0x88);
        return true;
      case 0x93: {
        // STACK_GLOBAL
        const name = machine.pop();
        const module = machine.pop();
        const known = typeof name === 'string' && typeof module === 'string';
        this.#import(known ? module : COMPUTED, known ? name : COMPUTED);
        return true;
      }
      case 0x94: // MEMOIZE
        machine.memoize();
        return true;
      case 0x97: // NEXT_BUFFER
        machine.push(undefined);
        return true;
      case 0x98: // READONLY_BUFFER
        machine.peek();
        return true;
      case BUILD:
        return true;
    }
    return false;
  }

  /** Opcodes whose argument has, or tells, its length. */
  #sized(opcode: number): boolean {
    const machine = this.#machine;
    const cursor = this.#cursor;
    switch (opcode) {
      case 0x80: // PROTO
        if (cursor.byte() > 5) throw new Defect('uses a protocol that does not exist');
        return true;
      case 0x95: {
        // FRAME
        this.#outsideFrame();
        const length = long(cursor.take(8));
        this.#frameEnd = cursor.position + length;
        return true;
      }
      case 0x4b: // BININT1
        machine.push(cursor.byte());
        return true;
      case 0x4d: // BININT2
        machine.push(cursor.take(2).readUInt16LE());
        return true;
      case 0x4a: // BININT
        machine.push(cursor.take(4).readInt32LE());
        return true;
      case 0x47: // BINFLOAT
        cursor.take(8);
        machine.push(undefined);
        return true;
      case 0x8a: // LONG1
        machine.push(littleEndian(cursor.take(cursor.byte())));
        return true;
      case 0x8b: // LONG4
        return this.#skip(cursor.take(4).readInt32LE());
      case 0x55: // SHORT_BINSTRING
      case 0x8c: // SHORT_BINUNICODE
        return this.#string(cursor.byte());
      case 0x54: // BINSTRING
        return this.#string(cursor.take(4).readInt32LE());
      case 0x58: // BINUNICODE
        return this.#string(cursor.take(4).readUInt32LE());
      case 0x8d: // BINUNICODE8
        return this.#string(long(cursor.take(8)));
      case 0x43: // SHORT_BINBYTES
        return this.#skip(cursor.byte());
      case 0x42: // BINBYTES
        return this.#skip(cursor.take(4).readUInt32LE());
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#skip(long(cursor.take(8)));
      case 0x68: // BINGET
        machine.get(cursor.byte());
        return true;
      case 0x6a: // LONG_BINGET
        machine.get(cursor.take(4).readUInt32LE());
        return true;
      case 0x71: // BINPUT
        machine.put(cursor.byte());
        return true;
      case 0x72: // LONG_BINPUT
        machine.put(cursor.take(4).readUInt32LE());
        return true;
      case 0x82: // EXT1
        return this.#extension(cursor.byte());
      case 0x83: // EXT2
        return this.#extension(cursor.take(2).readUInt16LE());
      case 0x84: // EXT4
        return this.#extension(cursor.take(4).readInt32LE());
    }
    return false;
  }

  /** Opcodes of protocol 0, whose argument is text up to a line feed. */
  async #line(opcode: number): Promise<void> {
    const machine = this.#machine;
    switch (opcode) {
      case 0x63: {
        // GLOBAL
        const module = await this.#name();
        this.#import(module, await this.#name());
        return;
      }
      case 0x69: {
        // INST
        const args = machine.popMark();
        const module = await this.#name();
        this.#import(module, await this.#name());
        this.#call(machine.pop(), { kind: 'tuple', items: args.slice(0, 8) });
        return;
      }
      case 0x49: // INT
      case 0x4c: {
        // LONG
        const text = await this.#text();
        if (text !== undefined && !isInteger(text)) machine.fault = true;
        machine.push(text === undefined ? undefined : decimal(text));
        return;
      }
      case 0x46: {
        // FLOAT
        const text = await this.#text();
        if (text !== undefined && !isFloat(text)) machine.fault = true;
        machine.push(undefined);
        return;
      }
      case 0x53: {
        // STRING
        const text = (await this.#text())?.trim();
        const quoted = text === undefined ? undefined : /^(['"])(.*)\1$/s.exec(text)?.[2];
        if (text !== undefined && quoted === undefined) machine.fault = true;
        machine.push(quoted === undefined ? undefined : unescapeBytes(quoted));
        return;
      }
      case 0x56: {
        // UNICODE
        const text = await this.#text();
        machine.push(text === undefined ? undefined : unescapeUnicode(text));
        return;
      }
      case 0x50: // PERSID
        await this.#text();
        machine.push(undefined);
        return;
      case 0x67: // GET
        machine.get(await this.#index());
        return;
      case 0x70: // PUT
        machine.put(await this.#index());
        return;
      default:
        throw new Defect(`has no opcode 0x${opcode.toString(16).padStart(2, '0')} at byte ${this.#cursor.position - 1}`);
    }
  }

  async #build(): Promise<void> {
    const target = this.#machine.build();
    this.#noteFault();
    this.#ran.calls += this.#ran.fault ? 0 : 1;
    // A loader would go on with a class, or a function, that is no longer what its name says.
    if (typeof target === 'object' && target.kind === 'global') throw new BeyondLimits(`changes what it imports (${target.module}.${target.name})`);
    if (this.#reading === 'plain') return;
    const layout = this.#wrappers && mayBeWrapper(target) ? ({ kind: 'unknown' } as const) : arrayLayout(target, this.#machine.blind);
    if (layout === undefined) return;
    this.#arrays = true;
    this.#outsideFrame();
    if (layout.kind === 'unknown') throw new Defect('has an array whose length cannot be told');
    if (layout.kind === 'pickled') {
      // joblib gives the objects of an array to Python's own loader, which knows no arrays between opcodes.
      const outer = this.#machine;
      this.#machine = new PickleMachine();
      this.#reading = 'plain';
      await this.run();
      this.#reading = 'joblib';
      this.#machine = outer;
    } else {
      if (layout.aligned) {
        if (!this.#cursor.has(1)) await this.#cursor.buffer(1);
        this.#cursor.skip(this.#cursor.byte());
      }
      this.#cursor.skip(layout.sizeBytes);
    }
    this.#machine.replaceTop(undefined);
  }

  #call(callee: Value, args: Value): void {
    this.#machine.call(callee, args);
    if (!this.#ran.fault && !this.#machine.fault) this.#ran.calls += 1;
  }

  #container(): true {
    if (!this.#ran.fault && !this.#machine.fault) this.#ran.containers += 1;
    return true;
  }

  #extension(code: number): true {
    this.#import(COMPUTED, `extension ${code}`);
    return true;
  }

  #import(module: string, name: string): void {
    // No file name of a module can hold these: in text, a line that only looks like an import.
    if (module !== COMPUTED && !/^[\p{L}\p{N}_.-]+$/u.test(module)) this.#machine.fault = true;
    const key = `${module}\n${name}`;
    if (!this.#imports.has(key)) {
      if (this.#imports.size >= MAX_IMPORTS) throw new BeyondLimits(`imports more than ${MAX_IMPORTS} names`);
      this.#imports.set(key, judgeImport(module, name));
    }
    if (!this.#ran.fault && !this.#machine.fault) this.#ran.imports += 1;
    const global = { kind: 'global', module, name } as const;
    this.#wrappers ||= isWrapperClass(global);
    this.#machine.push(global);
  }

  #string(length: number): true {
    if (length < 0) throw new Defect('claims a negative length');
    if (length > STRING_BYTES) return this.#skip(length);
    this.#machine.push(decodeUtf8(this.#cursor.take(length)));
    return true;
  }

  #skip(length: number): true {
    if (length < 0) throw new Defect('claims a negative length');
    this.#cursor.skip(length);
    this.#machine.push(undefined);
    return true;
  }

  /** A module's or attribute's name: at the end of the file, loaders take a line without its last byte. */
  async #name(): Promise<string> {
    const { bytes, ended } = await this.#cursor.line(NAME_BYTES);
    // Dotted names may be as long as their maker likes.
    if (bytes === undefined) return COMPUTED;
    if (!ended && bytes.length === 0) throw new Defect('ends in the middle');
    return decodeUtf8(ended ? bytes : bytes.subarray(0, -1));
  }

  async #text(): Promise<string | undefined> {
    const { bytes, ended } = await this.#cursor.line(STRING_BYTES);
    if (!ended) throw new Defect('ends in the middle');
    return bytes?.toString('latin1');
  }

  async #index(): Promise<number | string> {
    const text = await this.#text();
    if (text === undefined && this.#machine.depth + this.#machine.memoSize > 0) throw new BeyondLimits(`has a number of more than ${STRING_BYTES} digits`);
    const index = memoIndex(text ?? '');
    if (index === undefined) throw new Defect('has a memo index that is no number');
    return index;
  }
}

const STOP = 0x2e;
const BUILD = 0x62;

function littleEndian(bytes: Buffer): Value {
  if (bytes.length === 0) return 0;
  // Only so far as lengths and PyTorch's magic number need it.
  if (bytes.length > 16) return undefined;
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`));
}

function long(bytes: Buffer): number {
  const value = bytes.readBigUInt64LE();
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Defect('claims more bytes than there are');
  return Number(value);
}
