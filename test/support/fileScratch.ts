// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll } from 'vitest';
import { type Scratch, scratch } from './model.ts';

/** `fresh`: a path where nothing stands yet, another one each time. */
export type FileScratch = Omit<Scratch, typeof Symbol.dispose> & { fresh(): string };

/** The temporary directory of a test file: made before its first test, removed after its last. */
export function fileScratch(): FileScratch {
  let made: Scratch | undefined;
  let count = 0;
  beforeAll(() => {
    made = scratch();
  });
  afterAll(() => made?.[Symbol.dispose]());
  const held = (): Scratch => {
    if (made === undefined) throw new Error('a temporary directory is there from the first test on');
    return made;
  };
  return {
    get path() {
      return held().path;
    },
    at: (...names) => held().at(...names),
    fresh: () => held().at(`t${++count}`),
  };
}
