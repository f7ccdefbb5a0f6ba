// SPDX-License-Identifier: Apache-2.0

/** A parser of bytes from outside, and inputs to start from. */
export type Target = {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  /** Ends normally, or throws an AppError that is not INTERNAL. What else must hold, it throws as a Violation. */
  run(input: Buffer): Promise<void> | void;
} & Partial<AsyncDisposable>;

/** Something that must hold whatever the input does not. */
export class Violation extends Error {}

export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what);
}
