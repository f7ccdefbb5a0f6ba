// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/oms/**', 'src/trust/**', 'src/policy/**', 'src/plan/**'],
      thresholds: { lines: 95 },
      reporter: ['text-summary', 'text'],
    },
  },
});
