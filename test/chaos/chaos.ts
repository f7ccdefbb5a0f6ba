// SPDX-License-Identifier: Apache-2.0
// `npm run chaos`: see docs/reliability.md.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { scratch } from '../support/model.ts';
import { type PartName, parseArguments } from './arguments.ts';
import { diceOf } from './dice.ts';
import type { Part } from './part.ts';
import { heading, line, type Row } from './table.ts';

const LOAD: Readonly<Record<PartName, () => Promise<Part>>> = {
  server: async () => (await import('./server.ts')).server,
  kill: async () => (await import('./kill.ts')).kill,
  power: async () => (await import('./power.ts')).power,
  resources: async () => (await import('./resources.ts')).resources,
  change: async () => (await import('./change.ts')).change,
  torture: async () => (await import('./torture.ts')).torture,
  'torture-claim': async () => (await import('./torture.ts')).tortureClaim,
  soak: async () => (await import('./soak.ts')).soak,
};

// The built program: the start of the sources would take longer than most trials.
process.env['MODEL_GATE_DIST'] = '1';
const args = parseArguments(process.argv.slice(2));
const rows: Row[] = [];
console.log(`seed ${args.seed}, ${args.size}, ${availableParallelism()} processors, load average ${loadavg()[0]?.toFixed(1)}\n\n${heading()}`);
for (const name of args.only) {
  const began = performance.now();
  using tmp = scratch();
  const part = await LOAD[name]();
  mkdirSync(tmp.at(name));
  const deps = {
    size: args.size,
    trials: (full: number, quick: number) => args.trials ?? (args.size === 'full' ? full : quick),
    dice: (of: string) => diceOf(args.seed, of),
    scratch: tmp.at(name),
  };
  for await (const row of part(deps)) {
    rows.push(row);
    console.log(line(row));
  }
  console.error(`${name}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
}
if (args.json !== undefined) writeFileSync(args.json, JSON.stringify({ ...args, rows }, undefined, 1));
const failed = rows.filter(({ failures }) => failures.length > 0);
for (const { part, fault, failures } of failed) console.log(`FAILED ${part}, ${fault}:\n  ${[...new Set(failures)].join('\n  ')}`);
console.log(`\n${rows.reduce((sum, row) => sum + row.trials, 0)} trials\n${rows.length - failed.length} passed, ${failed.length} failed`);
process.exitCode = failed.length === 0 ? 0 : 1;
