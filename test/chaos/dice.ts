// SPDX-License-Identifier: Apache-2.0

/** Random choices that a seed makes again. */
export type Dice = {
  /** From `least` to `most`, both possible. */
  between(least: number, most: number): number;
  bytes(length: number): Buffer;
};

/** mulberry32: small, and good enough to choose moments and places. */
export function diceOf(seed: number, name: string): Dice {
  let state = [...name].reduce((sum, char) => Math.imul(sum ^ char.charCodeAt(0), 0x01000193), seed ^ 0x811c9dc5);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    between: (least, most) => least + Math.floor(next() * (most - least + 1)),
    bytes(length) {
      const buffer = Buffer.allocUnsafe(length);
      for (let at = 0; at < length; at++) buffer[at] = next() * 256;
      return buffer;
    },
  };
}
