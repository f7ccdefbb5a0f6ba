// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { packed } from '../support/archives.ts';
import { bundleOf, type Files, SMALL_MODEL, signed, writeTree } from '../support/model.ts';
import { bindMount, CAN_MOUNT } from '../support/mounts.ts';
import type { Part, PartDeps } from './part.ts';
import { openModelSource, type SourceKind } from './sources.ts';
import { type Row, tally } from './table.ts';
import { readTrace } from './trace.ts';
import { judge } from './trial.ts';
import { findUnsafeWrites } from './writeOrder.ts';

const CALLS = 'openat,mkdir,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,rmdir';
const files = signed({ ...SMALL_MODEL, 'a/b/c/deep.bin': Buffer.alloc(100_000, 'deep'), 'a/x.json': '{}' });

type Scene = {
  readonly fault: string;
  readonly source: SourceKind;
  readonly mount?: boolean;
  /** Below the directory that is there before. */
  readonly to?: string;
  readonly files?: Files;
  readonly wanted?: Files;
  readonly before?: Files;
  readonly flags?: readonly string[];
};

const archive = packed('model.tar.gz', { 'config.json': '{}', 'a/b/w.bin': 'w' });
const SCENES: readonly Scene[] = [
  { fault: 'a directory that appears', source: 'http' },
  { fault: 'a directory that appears, copied from a claim', source: 'file' },
  { fault: 'a directory that appears, below missing parents', source: 'http', to: 'x/y/models' },
  { fault: 'two trees that change places', source: 'http', before: { 'config.json': 'old', 'a/x.json': 'old' } },
  { fault: 'a mount point', source: 's3', mount: true },
  { fault: 'a mount point, without the bundle', source: 'http', mount: true, flags: ['--no-keep-bundle'] },
  { fault: 'a mount point, repaired', source: 'http', mount: true, before: { ...files, 'a/b/c/deep.bin': 'broken' } },
  {
    fault: 'a mount point, out of an archive',
    source: 'http',
    mount: true,
    files: { 'model.tar.gz': archive, 'model.tar.gz.sig': bundleOf({ 'model.tar.gz': archive }) },
    wanted: { 'config.json': '{}', 'a/b/w.bin': 'w', 'model.sig': bundleOf({ 'model.tar.gz': archive }) },
    flags: ['--unpack', '--no-keep-bundle'],
  },
];

/** Order of writes, on a recorded trace of system calls: what stands under a final name has to survive a power loss. */
export const power: Part = async function* (deps) {
  execFileSync('strace', ['--version'], { stdio: 'ignore' });
  for (const [index, scene] of SCENES.entries()) if (scene.mount !== true || CAN_MOUNT) yield await record(deps, scene, index);
};

async function record(deps: PartDeps, scene: Scene, index: number): Promise<Row> {
  const result = tally('power', `write order: ${scene.fault}`);
  for (let n = 0; n < deps.trials(5, 1); n++) {
    const parent = join(realpathSync(deps.scratch), `${index}-${n}`);
    const trace = `${parent}.trace`;
    const to = join(parent, scene.to ?? 'models');
    mkdirSync(join(parent, 'volume'), { recursive: true });
    using _mount = scene.mount === true ? bindMount(join(parent, 'volume'), to) : undefined;
    if (scene.before !== undefined) writeTree(to, scene.before);
    const served = scene.files ?? files;
    await using source = await openModelSource(scene.source, served, `${parent}-from`);
    const single = scene.files === undefined ? '' : 'model.tar.gz';
    const wanted = Object.fromEntries(
      Object.entries(scene.wanted ?? served).filter(([name]) => name !== 'model.sig' || !scene.flags?.includes('--no-keep-bundle')),
    );
    const gate = (wrapper: readonly string[]) => source.pullToEnd(to, scene.flags ?? [], { wrapper, below: single });
    const ended = await gate(['strace', '-f', '-y', '-s', '0', '-o', trace, '-e', `trace=${CALLS}`]);
    const trial = await judge({ ended, to, files: wanted, expected: ['OK'] }, () => gate([]));
    const calls = readTrace(readFileSync(trace, 'utf8'));
    const synced = calls.filter(({ name }) => name === 'fsync').length;
    const problems = findUnsafeWrites(calls, scene.mount === true ? to : parent, wanted['model.sig'] === undefined ? undefined : 'model.sig');
    if (synced === 0) result.fail('the trace shows no sync at all');
    result.add({ ...trial, problems: [...trial.problems, ...problems] });
  }
  return result.row();
}
