// SPDX-License-Identifier: Apache-2.0
import { FIRST_LINE, PIECE_BYTES } from './memory.ts';

/** Memory that one thread fills and another one hashes. Everything in it is shared; who may touch a slot follows from `head` and `tail`. */
export type Ring = { readonly slots: SharedArrayBuffer; readonly control: SharedArrayBuffer };

const SLOTS = 16;

/** Indexes into the 32-bit part of the control memory. */
const HEAD = 0;
const TAIL = 1;
const BELL = 2;
const CLOSED = 3;
/** 64-bit part: how far the file is written without a gap, then position and length of each slot. */
const REACH = 0;
const ENTRIES = 1;
const WORDS_BYTES = 16;

export function createRing(): Ring {
  return { slots: new SharedArrayBuffer(FIRST_LINE + SLOTS * PIECE_BYTES), control: new SharedArrayBuffer(WORDS_BYTES + (ENTRIES + 2 * SLOTS) * 8) };
}

/** The side that fills. One slot is lent at a time. */
export type RingWriter = {
  /** The next slot, or undefined while all of them wait to be hashed. */
  lend(): Buffer | undefined;
  /** The first `length` bytes of the slot that was lent last are those at `position`. */
  publish(position: number, length: number): void;
  /** The file is written up to `reach`, by way of slots or not. */
  advance(reach: number): void;
  /** Nothing more will come. */
  close(): void;
};

export function ringWriter(ring: Ring): RingWriter {
  const { words, numbers, slot } = views(ring);
  const ringBell = (): void => {
    Atomics.add(words, BELL, 1);
    Atomics.notify(words, BELL);
  };
  return {
    lend() {
      const head = Atomics.load(words, HEAD);
      return head - Atomics.load(words, TAIL) === SLOTS ? undefined : slot(head);
    },
    publish(position, length) {
      const head = Atomics.load(words, HEAD);
      numbers[ENTRIES + 2 * (head % SLOTS)] = BigInt(position);
      numbers[ENTRIES + 2 * (head % SLOTS) + 1] = BigInt(length);
      Atomics.store(words, HEAD, head + 1);
    },
    advance(reach) {
      Atomics.store(numbers, REACH, BigInt(reach));
      ringBell();
    },
    close() {
      Atomics.store(words, CLOSED, 1);
      ringBell();
    },
  };
}

/** The side that hashes, in a thread that may block. */
export type RingReader = {
  /** Bytes in a slot, which is the reader's until `release`. */
  peek(): { readonly position: number; readonly bytes: Buffer } | undefined;
  release(): void;
  reach(): number;
  closed(): boolean;
  /** Takes the state of the bell, to be given to `wait`, before looking at anything else. */
  bell(): number;
  /** Until the bell has rung since. */
  wait(bell: number): void;
};

export function ringReader(ring: Ring): RingReader {
  const { words, numbers, slot } = views(ring);
  return {
    peek() {
      const tail = Atomics.load(words, TAIL);
      if (tail === Atomics.load(words, HEAD)) return undefined;
      const at = ENTRIES + 2 * (tail % SLOTS);
      return { position: Number(numbers[at]), bytes: slot(tail).subarray(0, Number(numbers[at + 1])) };
    },
    release: () => void Atomics.add(words, TAIL, 1),
    reach: () => Number(Atomics.load(numbers, REACH)),
    closed: () => Atomics.load(words, CLOSED) === 1,
    bell: () => Atomics.load(words, BELL),
    wait: (bell) => void Atomics.wait(words, BELL, bell),
  };
}

function views({ slots, control }: Ring) {
  return {
    words: new Int32Array(control, 0, WORDS_BYTES / 4),
    numbers: new BigInt64Array(control, WORDS_BYTES),
    slot: (n: number): Buffer => Buffer.from(slots, FIRST_LINE + (n % SLOTS) * PIECE_BYTES, PIECE_BYTES),
  };
}
