// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { identify } from '../../src/formats/identify.ts';
import { type FormatPolicy, judgeFormats } from '../../src/formats/judge.ts';

const VENV = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'model-gate-ci/python-picklescan/bin');
/** Everything whose content is looked into is allowed, so that only the content can be what is refused. */
const LENIENT: FormatPolicy = {
  allow: ['safetensors', 'json', 'text', 'pickle', 'joblib', 'pytorch', 'npy', 'npz', 'numpy-object', 'tar', 'zip', 'compressed'],
  rules: {},
};

type Row = { readonly file: string; readonly ours: boolean; readonly theirs: string };

const folder = mkdtempSync(join(tmpdir(), 'model-gate-corpus-'));
let rows: readonly Row[];

beforeAll(async () => {
  const made = spawnSync(join(VENV, 'python'), [join(import.meta.dirname, 'corpus.py'), folder], { encoding: 'utf8' });
  expect(made.stderr).toBe('');
  expect(made.status).toBe(0);
  // The exit status of a scan of one file each: 0 clean, 1 dangerous, 2 failed. One process scans all, for time.
  const scan = spawnSync(join(VENV, 'python'), ['-c', SCAN, folder], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  expect(scan.status).toBe(0);
  const theirs: Readonly<Record<string, string>> = JSON.parse(scan.stdout);
  rows = await Promise.all(
    Object.keys(theirs).map(async (file) => {
      const findings = await identify(bufferSource(readFileSync(join(folder, file))), file.slice(file.indexOf('/') + 1));
      return { file, ours: judgeFormats(LENIENT, file, findings, new Set()).length > 0, theirs: theirs[file] ?? '' };
    }),
  );
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SCAN = `
import json, logging, os, sys
logging.disable(logging.CRITICAL)
from picklescan.scanner import scan_file_path
verdicts = {}
for folder in ('benign', 'hostile'):
    for name in sorted(os.listdir(os.path.join(sys.argv[1], folder))):
        try:
            result = scan_file_path(os.path.join(sys.argv[1], folder, name))
            verdicts[f'{folder}/{name}'] = 'found' if result.issues_count > 0 else 'failed' if result.scan_err else 'clean'
        except Exception as error:
            verdicts[f'{folder}/{name}'] = 'failed'
print(json.dumps(verdicts))
`;

describe('the judge of formats beside picklescan', () => {
  it('misses nothing that picklescan finds', () => {
    const missedByThem = rows.filter((row) => row.file.startsWith('hostile/') && row.ours && row.theirs !== 'found');
    const count = (theirs: string): number => rows.filter((row) => row.file.startsWith('hostile/') && row.theirs === theirs).length;
    console.log(
      `hostile: ${rows.filter(({ file }) => file.startsWith('hostile/')).length}; picklescan: ${count('found')} found, ${count('failed')} failed, ${count('clean')} clean`,
    );
    for (const { file, theirs } of missedByThem) console.log(`  only ours: ${file} (picklescan: ${theirs})`);
    expect(rows.filter((row) => row.theirs === 'found').length).toBeGreaterThan(50);
    expect(rows.filter((row) => row.theirs === 'found' && !row.ours).map(({ file }) => file)).toEqual([]);
  });

  it('refuses every hostile file', () => {
    expect(readdirSync(join(folder, 'hostile')).length).toBeGreaterThan(150);
    expect(rows.filter((row) => row.file.startsWith('hostile/') && !row.ours).map(({ file }) => file)).toEqual([]);
  });

  it('accepts every benign file', () => {
    expect(rows.filter((row) => row.file.startsWith('benign/') && row.ours).map(({ file }) => file)).toEqual([]);
  });
});
