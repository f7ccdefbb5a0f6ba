// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

/** The tests of the pure folders alone: what only a whole pull notices counts as not noticed. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/{oms,trust,policy,plan,sign,base,formats}/**/*.test.ts'],
    testTimeout: 30_000,
  },
});
