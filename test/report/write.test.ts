// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeReport, writeTermination } from '../../src/report/write.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'model-gate-report-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe('the report file', () => {
  it('is JSON for people and machines, replaces an older one and leaves nothing beside it', async () => {
    const path = join(dir, 'report.json');
    writeFileSync(path, 'older and longer than what comes now'.repeat(10));
    await writeReport(path, { verdict: 'verified' });
    expect(readFileSync(path, 'utf8')).toBe('{\n  "verdict": "verified"\n}\n');
    expect(readdirSync(dir)).toEqual(['report.json']);
  });

  it('that cannot be written is an error, and leaves nothing', async () => {
    await expect(writeReport(join(dir, 'missing', 'report.json'), {})).rejects.toMatchObject({ code: 'IO' });
    mkdirSync(join(dir, 'taken'));
    await expect(writeReport(join(dir, 'taken'), {})).rejects.toMatchObject({ code: 'IO' });
    expect(readdirSync(dir)).toEqual(['taken']);
  });

  it('goes through nothing that lies in wait on a shared volume: links, pipes or files of others under names it might take', async () => {
    const victim = join(dir, 'victim');
    writeFileSync(victim, 'precious');
    const path = join(dir, 'report.json');
    const plant: Record<string, (at: string) => void> = {
      link: (at) => symlinkSync(victim, at),
      hardLink: (at) => linkSync(victim, at),
      pipe: (at) => void execFileSync('mkfifo', [at]),
    };
    for (const [what, put] of Object.entries(plant)) {
      for (const name of [`report.json.tmp-${process.pid}`, 'report.json.tmp', '.report.json.tmp']) put(join(dir, `${name}`));
      rmSync(path, { force: true });
      put(path);
      await writeReport(path, { what });
      expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ what });
      expect(lstatSync(path)).toMatchObject({ nlink: 1 });
      expect(readFileSync(victim, 'utf8')).toBe('precious');
      for (const name of readdirSync(dir)) if (name.includes('.tmp')) rmSync(join(dir, name));
    }
  });
});

describe('the termination message', () => {
  it('replaces what was there', async () => {
    const path = join(dir, 'termination-log');
    writeFileSync(path, 'placeholder that is longer');
    await writeTermination(path, '{"a":1}');
    expect(readFileSync(path, 'utf8')).toBe('{"a":1}');
    await writeTermination(join(dir, 'new'), '{}');
    expect(readFileSync(join(dir, 'new'), 'utf8')).toBe('{}');
  });

  it('is skipped without a word where it cannot be written, and creates nothing in /dev', async () => {
    await expect(writeTermination(join(dir, 'missing', 'log'), 'x')).resolves.toBeUndefined();
    await expect(writeTermination(dir, 'x')).resolves.toBeUndefined();
    await expect(writeTermination('/dev/model-gate-test-termination-log', 'x')).resolves.toBeUndefined();
    expect(readdirSync('/dev')).not.toContain('model-gate-test-termination-log');
  });
});
