// SPDX-License-Identifier: Apache-2.0
// What a run of Stryker found, in few lines: node test/mutation/summary.ts reports/mutation.json oms
import { readFileSync } from 'node:fs';

type Mutant = {
  readonly mutatorName: string;
  readonly replacement?: string;
  readonly status: string;
  readonly location: { readonly start: { readonly line: number } };
};
type Report = { readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>> };

const [path = 'reports/mutation.json', folder = ''] = process.argv.slice(2);
const { files } = JSON.parse(readFileSync(path, 'utf8')) as Report;
const all = Object.values(files).flatMap(({ mutants }) => mutants);
const count = (...statuses: readonly string[]): number => all.filter(({ status }) => statuses.includes(status)).length;
const [found, missed] = [count('Killed', 'Timeout'), count('Survived', 'NoCoverage')];
console.log(`${folder}: ${found + missed} mutants, ${found} found, ${missed} survived, score ${((100 * found) / (found + missed)).toFixed(1)} %`);
for (const [file, { source, mutants }] of Object.entries(files)) {
  const lines = source.split('\n');
  for (const { mutatorName, replacement, status, location } of mutants) {
    if (status !== 'Survived' && status !== 'NoCoverage') continue;
    const line = location.start.line;
    console.log(
      `${file}:${line} ${mutatorName} → ${(replacement ?? '').replace(/\s+/g, ' ').slice(0, 100)}\n    ${(lines[line - 1] ?? '').trim().slice(0, 160)}`,
    );
  }
}
