// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    // They need programs that are not here: see test/e2e/vitest.config.ts.
    exclude: ['test/e2e/**'],
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
