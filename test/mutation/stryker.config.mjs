// SPDX-License-Identifier: Apache-2.0
/** Folders of src, or files in them: policy, or trust/key.ts,trust/path.ts. */
const parts = (process.env['MUTATED'] ?? 'oms').split(',');

// biome-ignore lint/style/noDefaultExport: what Stryker reads
export default {
  mutate: parts.map((part) => (part.endsWith('.ts') ? `src/${part}` : `src/${part}/**/*.ts`)),
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
  coverageAnalysis: 'perTest',
  // What a module makes when it is loaded (tables, schemas) needs all tests again for each change: most of the time, where there is much of it.
  ignoreStatic: process.env['IGNORE_STATIC'] === '1',
  concurrency: 2,
  timeoutMS: 10_000,
  timeoutFactor: 2,
  // A name that is not there: Stryker would rewrite the file by an interface that TypeScript 7 no longer has.
  tsconfigFile: 'tsconfig.none.json',
  ignorePatterns: ['reports', 'installed'],
  tempDirName: '.stryker-tmp',
  cleanTempDir: 'always',
  reporters: ['json', 'clear-text'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportMutants: false, reportScoreTable: true },
  jsonReporter: { fileName: 'reports/mutation.json' },
  thresholds: { high: 95, low: 85, break: 85 },
  allowConsoleColors: false,
};
