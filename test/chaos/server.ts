// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Interfere } from '../servers/httpServer.ts';
import { type Files, SMALL_MODEL, signed } from '../support/model.ts';
import { endpoints } from './endpoints.ts';
import type { Part, PartDeps } from './part.ts';
import { BIG_BYTES, type Dialect, SERVER_FAULTS, type ServerFault } from './serverFaults.ts';
import { openModelSource } from './sources.ts';
import { type Row, tally } from './table.ts';
import { atOnce, judge, type Trial } from './trial.ts';

const AT_ONCE = 3;
const LIMITS = ['--connect-timeout', '1s', '--stall-timeout', '1s', '--max-file-size', '32MiB', '--max-bundle-size', '1MiB'];

/** A server that misbehaves on a script, in the dialects of HTTP and S3. */
export const server: Part = async function* (deps) {
  const files = signed({ ...SMALL_MODEL, 'big.bin': deps.dice('big.bin').bytes(BIG_BYTES) });
  const faults = SERVER_FAULTS.flatMap((fault) => fault.dialects.map((dialect) => ({ fault, dialect })));
  // A few rows at a time: most of their time is waiting.
  for (let from = 0; from < faults.length; from += 6) {
    for (const row of await atOnce(AT_ONCE, faults.slice(from, from + 6), ({ fault, dialect }) => tryFault(deps, fault, dialect, files))) yield row;
  }
  yield* endpoints(deps, files, LIMITS);
};

async function tryFault(deps: PartDeps, fault: ServerFault, dialect: Dialect, files: Files): Promise<Row> {
  const name = `${dialect}: ${fault.fault}`;
  const dice = deps.dice(name);
  const result = tally('server', name);
  for (let n = 0; n < deps.trials(6, 1); n++) {
    const to = join(deps.scratch, `${SERVER_FAULTS.indexOf(fault)}-${dialect}-${n}`, 'models');
    mkdirSync(join(to, '..'));
    result.add(await tryOnce(fault, dialect, dice, to, files));
  }
  return result.row();
}

async function tryOnce(fault: ServerFault, dialect: Dialect, dice: ReturnType<PartDeps['dice']>, to: string, files: Files): Promise<Trial> {
  let healed = false;
  let done = false;
  const nth = dice.between(1, 6);
  const interfere: Interfere = (path, count) => {
    const meant = fault.when === 'nth' ? count === nth : path.endsWith(`/${fault.object}`);
    if (healed || !meant || (done && fault.when !== 'always')) return undefined;
    done = true;
    return fault.behave(dice, count);
  };
  await using source = await openModelSource(dialect, files, '', interfere);
  const pull = (flags: readonly string[]) => source.pullToEnd(to, [...LIMITS, ...flags]);
  const ended = await pull(fault.flags ?? []);
  healed = true;
  const trial = await judge({ ended, to, files, expected: fault.expected }, () => pull([]));
  return done ? trial : { ...trial, problems: [...trial.problems, 'the fault was never met'] };
}
