// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

/** The folders of what is mutated. */
const folders = new Set((process.env['MUTATED'] ?? 'oms').split(',').map((part) => part.split('/')[0]));

/** Their own unit tests alone: what only a whole pull notices, or another folder, counts as not noticed. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: [...folders].map((folder) => `test/${folder}/**/*.test.ts`),
    // Changed code counts what it does, and takes many times as long.
    testTimeout: 300_000,
  },
});
