// SPDX-License-Identifier: Apache-2.0
// npm run fuzz -- [--seconds N] [--seed N] [--target PART]: every parser of outside bytes, each for its share of the time.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { allTargets, fuzzTarget, slug } from './run.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, target: { type: 'string', default: '' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
await using all = await allTargets();
const chosen = all.targets.filter(({ name }) => slug(name).includes(slug(values.target)));
const ms = (Number(values.seconds) * 1000) / Math.max(1, chosen.length);

console.log(`seed ${seed}, ${chosen.length} targets, ${values.seconds} s`);
let failed = 0;
let runs = 0;
for (const target of chosen) {
  const result = await fuzzTarget(target, { seed, runs: Number.MAX_SAFE_INTEGER, ms });
  runs += result.runs;
  console.log(
    `${result.failure === undefined ? 'ok  ' : 'FAIL'} ${target.name.padEnd(34)} ${String(result.runs).padStart(8)} inputs, ${result.refused} refused`,
  );
  if (result.failure === undefined) continue;
  failed++;
  const at = join(mkdtempSync(join(tmpdir(), 'model-gate-fuzz-')), `${slug(target.name)}.bin`);
  writeFileSync(at, result.failure.input);
  console.log(`     ${result.failure.why.split('\n').slice(0, 6).join('\n     ')}`);
  console.log(`     again: --seed ${seed} --target ${slug(target.name)}; the input is ${at}, to be kept in test/fuzz/corpus`);
}
console.log(`${runs} inputs, ${failed} targets failed, peak ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`);
process.exitCode = failed === 0 && runs > 0 ? 0 : 1;
