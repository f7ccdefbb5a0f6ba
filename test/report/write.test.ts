// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

  it('is not written through a link that lies in wait under the temporary name', async () => {
    const victim = join(dir, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(dir, `report.json.tmp-${process.pid}`));
    await writeReport(join(dir, 'report.json'), {}).catch(() => {});
    expect(readFileSync(victim, 'utf8')).toBe('precious');
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
