// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

/** Tests that need what `npm test` must not: an S3 server, nginx, the reference signer, gigabytes. See .ci/stages/e2e.sh. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/e2e/**/*.test.ts'],
    env: { MODEL_GATE_E2E: '1' },
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
});
