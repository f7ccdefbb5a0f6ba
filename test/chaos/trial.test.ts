// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Files, removeAll, type Scratch, scratch, writeTree } from '../support/model.ts';
import type { Ended } from '../support/run.ts';
import { judge, type Reason, standingOf } from './trial.ts';

const files: Files = { 'config.json': '{}', 'a/w.bin': 'weights' };

let tmp: Scratch;
let to: string;
beforeAll(() => {
  tmp = scratch();
  to = tmp.at('models');
});
afterAll(() => tmp[Symbol.dispose]());

function ended(code: number, reason?: string): Ended {
  const stderr = reason === undefined ? '' : `ERROR FAILED ${reason} (exit ${code}): …`;
  return { code, stderr, stdout: '', terminationText: '', termination: {}, report: undefined, ms: 0 };
}

/** A run that ended like this over this tree, after which the next start made it whole. */
async function problemsOf(end: Ended, tree: Files, expected: readonly Reason[]): Promise<readonly string[]> {
  removeAll(to);
  writeTree(to, tree);
  const trial = await judge({ ended: end, to, files, expected }, async () => {
    removeAll(to);
    writeTree(to, files);
    return ended(0);
  });
  return trial.problems;
}

describe('a trial', () => {
  test('passes when it ended as expected over nothing, a part or the whole', async () => {
    expect(await problemsOf(ended(0), files, ['OK'])).toEqual([]);
    expect(await problemsOf(ended(3, 'SOURCE_TIMEOUT'), {}, ['SOURCE_TIMEOUT'])).toEqual([]);
    expect(await problemsOf(ended(4, 'NO_SPACE'), { 'config.json': '{}', '.model-gate-x/part/1': 'half' }, ['NO_SPACE'])).toEqual([]);
  });

  test('fails on exit 0 over anything but the whole tree', async () => {
    expect(await problemsOf(ended(0), { 'config.json': '{}' }, ['OK'])).toEqual(['exit 0 with part in the destination']);
    expect(await problemsOf(ended(0), { ...files, 'a/w.bin': 'tampered' }, ['OK'])).toContain('exit 0: an unverified file stands in the destination');
  });

  test('fails on a wrong byte or a stranger under a final name, whatever the exit code', async () => {
    for (const tree of [{ 'a/w.bin': 'half' }, { ...files, 'evil.py': 'x' }] as readonly Files[])
      expect(await problemsOf(ended(3, 'SOURCE_TIMEOUT'), tree, ['SOURCE_TIMEOUT'])).toEqual([
        'exit 3 SOURCE_TIMEOUT: an unverified file stands in the destination',
      ]);
  });

  test('fails on a reason that was not expected, an exit code of another reason, and none at all', async () => {
    expect(await problemsOf(ended(70, 'INTERNAL'), {}, ['OK'])).toEqual([expect.stringContaining('exit 70 INTERNAL instead of OK')]);
    expect(await problemsOf(ended(1, 'SOURCE_TIMEOUT'), {}, ['SOURCE_TIMEOUT'])).toEqual(['SOURCE_TIMEOUT with exit 1']);
    expect(await problemsOf(ended(1), {}, ['OK', 'IO'])).toEqual([expect.stringContaining('exit 1 NO REASON instead of OK, IO')]);
  });

  test('fails when the next start does not make it whole', async () => {
    removeAll(to);
    const trial = await judge({ ended: ended(4, 'IO'), to, files, expected: ['IO'] }, async () => ended(4, 'IO'));
    expect(trial).toMatchObject({ recovered: false, problems: [expect.stringContaining('the next start ended 4 IO')] });
  });

  test('knows what a server would load', () => {
    removeAll(to);
    expect(standingOf(to, files)).toBe('nothing');
    writeTree(to, { 'a/w.bin': 'weights' });
    expect(standingOf(to, files)).toBe('part');
  });
});
