// SPDX-License-Identifier: Apache-2.0
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { limitCpu, limitMemory } from '../support/controlGroup.ts';
import { type Files, KEYS, removeAll, signed } from '../support/model.ts';
import { bindMount, CAN_MOUNT, IS_ROOT, mountTmpfs } from '../support/mounts.ts';
import { type ProcessOptions, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';
import type { Dice } from './dice.ts';
import type { Part, PartDeps } from './part.ts';
import { type ModelSource, openModelSource } from './sources.ts';
import { type Row, tally } from './table.ts';
import { judge, type Reason } from './trial.ts';

const MIB = 1024 * 1024;

/** What a pod lacks: as a way to run the program, and a volume to run it on. */
type Shortage = {
  readonly fault: string;
  readonly expected: readonly Reason[];
  readonly flags?: readonly string[];
  /** Absent: the directory as it is. Disposed before the next start. */
  volume?(path: string, dice: Dice): Disposable;
  process?(dice: Dice): ProcessOptions;
  /** What the next start needs: a volume that is large enough, another user. */
  readonly again?: 'same' | 'without';
};

const NOBODY = 54_321;

const SHORTAGES: readonly Shortage[] = [
  {
    fault: 'disk full at a random byte',
    expected: ['NO_SPACE', 'OK'],
    volume: (path, dice) => mountTmpfs(path, `${dice.between(16, 4000)}k`),
    again: 'without',
  },
  {
    fault: 'read-only volume',
    expected: ['READ_ONLY'],
    volume: (path) => bindMount(`${path}-real`, path, 'ro'),
    again: 'without',
  },
  { fault: 'volume of another user, permission denied', expected: ['READ_ONLY'], process: () => ({ uid: NOBODY, gid: NOBODY }), again: 'without' },
  {
    fault: 'a user that no table knows, on a volume for all',
    expected: ['OK'],
    volume(path) {
      chmodSync(path, 0o777);
      return { [Symbol.dispose]() {} };
    },
    process: () => ({ uid: NOBODY, gid: NOBODY }),
  },
  {
    fault: 'RLIMIT_NOFILE of 24 to 64',
    expected: ['OK', 'IO', 'SOURCE_UNAVAILABLE'],
    process: (dice) => ({ wrapper: ['prlimit', `--nofile=${dice.between(24, 64)}`] }),
    again: 'without',
  },
  { fault: 'HOME unset', expected: ['OK'], process: () => ({ wrapper: ['env', '-u', 'HOME'] }) },
  { fault: 'a TMPDIR that does not exist', expected: ['OK'], process: () => ({ env: { TMPDIR: '/does/not/exist' } }) },
  { fault: 'an empty environment but for the key', expected: ['OK'], process: () => ({ wrapper: ['env', '-i', `MODEL_GATE_PUBLIC_KEY=${KEYS.publicPem}`] }) },
];

export const resources: Part = async function* (deps) {
  const files = signed(Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`d${n % 3}/part-${n}.bin`, deps.dice(`${n}`).bytes(250_000)])));
  for (const [index, shortage] of SHORTAGES.entries()) {
    const needsMount = shortage.volume !== undefined;
    if ((needsMount && !CAN_MOUNT) || (shortage.process?.(deps.dice('')).uid !== undefined && !IS_ROOT))
      console.error(`skipped without root: ${shortage.fault}`);
    else yield await lack(deps, shortage, index, files);
  }
  const large = signed({ 'large.bin': deps.dice('large').bytes(deps.size === 'full' ? 600 * MIB : 64 * MIB) });
  yield* inGroups(deps, large);
  yield* wrongClock(deps, files);
};

async function lack(deps: PartDeps, shortage: Shortage, index: number, files: Files): Promise<Row> {
  const result = tally('resources', shortage.fault);
  const dice = deps.dice(shortage.fault);
  await using source = await openModelSource('http', files, deps.scratch);
  for (let n = 0; n < deps.trials(shortage.fault.includes('random') || shortage.fault.includes('RLIMIT') ? 60 : 5, 2); n++) {
    const volume = join(deps.scratch, `${index}-${n}`);
    for (const path of [volume, `${volume}-real`]) mkdirSync(path);
    const to = join(volume, 'models');
    const run = (options: ProcessOptions) => source.pullToEnd(to, [...(shortage.flags ?? [])], options);
    const options = shortage.process?.(dice) ?? {};
    const ending = { to, files, expected: shortage.expected };
    const mounted = shortage.volume?.(volume, dice);
    try {
      const ended = await run(options);
      result.add(
        await judge({ ...ending, ended }, async () => {
          if (shortage.again === 'without') mounted?.[Symbol.dispose]();
          return run(shortage.again === 'without' ? {} : options);
        }),
      );
    } finally {
      if (shortage.again !== 'without') mounted?.[Symbol.dispose]();
    }
    removeAll(volume);
  }
  return result.row();
}

/** 256 MiB of memory, and a tenth of a processor, in control groups. */
async function* inGroups(deps: PartDeps, large: Files): AsyncGenerator<Row> {
  await using source = await openModelSource('http', large, deps.scratch);
  const once = async (fault: string, wrapper: readonly string[], expected: readonly Reason[]): Promise<Row> => {
    const result = tally('resources', fault);
    for (let n = 0; n < deps.trials(3, 1); n++) {
      const to = join(deps.scratch, `group-${n}`, 'models');
      const ended = await source.pullToEnd(to, [], { wrapper });
      result.add(await judge({ ended, to, files: large, expected }, () => source.pullToEnd(to)));
      removeAll(join(to, '..'));
    }
    return result.row();
  };
  using memory = limitMemory(256 * MIB);
  if (memory === undefined) console.error('skipped without a memory control group: 256 MiB');
  else yield await once(`256 MiB of memory, a model of ${deps.size === 'full' ? 600 : 64} MiB`, memory.wrapper, ['OK']);
  using cpu = limitCpu(0.1);
  if (cpu === undefined) console.error('skipped without a cpu control group: 0.1 CPU');
  else yield await once('0.1 CPU', cpu.wrapper, ['OK']);
}

/** By libfaketime: the time of a process, also that of its TLS library. */
async function* wrongClock(deps: PartDeps, files: Files): AsyncGenerator<Row> {
  const library = fakeTime();
  if (library === undefined) {
    console.error('skipped without libfaketime: a clock that is wrong');
    return;
  }
  const authority = await makeAuthority();
  writeFileSync(join(deps.scratch, 'ca.pem'), authority.certPem);
  await using secure: ModelSourceOverTls = await serveModel(files, { tls: await issueServer(authority) });
  await using plain = await serveModel(files);
  const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
  for (const [clock, url, expected] of [
    ['-10y', secure.url, 'TLS_FAILED'],
    ['+10y', secure.url, 'TLS_FAILED'],
    ['-10y', plain.url, 'OK'],
    ['+10y', plain.url, 'OK'],
  ] as const) {
    const result = tally('resources', `a clock that is wrong by ${clock}, over ${url.split(':')[0]}`);
    for (let n = 0; n < deps.trials(3, 1); n++) {
      const to = join(deps.scratch, `clock${clock}-${url.split(':')[0]}-${n}`, 'models');
      const wrong = { ...env, LD_PRELOAD: library, FAKETIME: clock, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
      const args = ['pull', url, to, '--ca-bundle', join(deps.scratch, 'ca.pem')];
      const ended = await runGate(args, { env: wrong });
      const trial = await judge({ ended, to, files, expected: [expected] }, () => runGate(args, { env }));
      const unclear = ended.code !== 0 && !/the clock of this node, which says \d{4}-/.test(ended.stderr) ? ['the message does not speak of the clock'] : [];
      result.add({ ...trial, problems: [...trial.problems, ...unclear] });
    }
    yield result.row();
  }
}

type ModelSourceOverTls = Pick<ModelSource, 'url'> & AsyncDisposable;

function fakeTime(): string | undefined {
  return ['/usr/lib/x86_64-linux-gnu/faketime', '/usr/lib/aarch64-linux-gnu/faketime']
    .filter((folder) => existsSync(folder) && readdirSync(folder).includes('libfaketimeMT.so.1'))
    .map((folder) => join(folder, 'libfaketimeMT.so.1'))[0];
}
