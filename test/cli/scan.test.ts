// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Scratch, scratch, snapshot, writeTree } from '../support/model.ts';
import { runGate, startGate, until } from '../support/run.ts';

const EVIL = Buffer.from("cos\nsystem\n(S'touch /tmp/model-gate-was-executed'\ntR.", 'latin1');
const CLEAN = { 'config.json': '{"hidden_size": 8}', 'README.md': '# A model\n', 'sub/notes.txt': 'plain' };

let tmp: Scratch;
let count = 0;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

function model(files: Readonly<Record<string, Buffer | string>>): string {
  const dir = tmp.at(`m${++count}`);
  writeTree(dir, files);
  return dir;
}

describe('model-gate scan', () => {
  it('calls plain data clean, names every format, and changes nothing', async () => {
    const dir = model(CLEAN);
    const before = snapshot(dir);
    const ended = await runGate(['scan', dir]);
    expect(ended).toMatchObject({ code: 0, terminationText: '', report: undefined });
    expect(ended.stdout).toMatch(/^ok +README\.md +text\nok +config\.json +json\nok +sub\/notes\.txt +text\n3 files: 0 refused/);
    expect(snapshot(dir)).toEqual(before);
  });

  it('refuses with the worst reason, and lists all', async () => {
    const dir = model({ ...CLEAN, 'run.sh': '#!/bin/sh\n', 'model.safetensors': 'not', 'weights.bin': EVIL });
    const ended = await runGate(['scan', dir, '--json']);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('BLOCKED PICKLE_IMPORT (exit 1)');
    const document = JSON.parse(ended.stdout) as { files: { path: string; verdict: string; problems: { code: string }[] }[] };
    expect(document).toMatchObject({ verdict: 'refused', reason: 'PICKLE_IMPORT', counts: { files: 6, refused: 3, warnings: 0 } });
    expect(document.files.filter(({ verdict }) => verdict === 'refused').map(({ path, problems }) => [path, problems[0]?.code])).toEqual([
      ['model.safetensors', 'FORMAT_MALFORMED'],
      ['run.sh', 'FORMAT_DENIED'],
      ['weights.bin', 'PICKLE_IMPORT'],
    ]);
  });

  it('judges a single file, too', async () => {
    const file = `${model({ 'x.pkl': EVIL })}/x.pkl`;
    expect(await runGate(['scan', file])).toMatchObject({ code: 1, stdout: expect.stringContaining('loading it imports os.system') });
  });

  it('allows, denies and warns as told, but never a dangerous import', async () => {
    const dir = model({ 'run.sh': '#!/bin/sh\n' });
    expect((await runGate(['scan', dir, '--allow-formats', 'json,script'])).code).toBe(0);
    expect((await runGate(['scan', dir, '--allow-formats', 'script', '--format', 'script=deny'])).code).toBe(1);
    expect(await runGate(['scan', dir, '--format', 'script=warn'])).toMatchObject({ code: 0, stdout: expect.stringContaining('1 with warnings') });
    expect((await runGate(['scan', model({ x: EVIL }), '--format', 'pickle=allow'])).code).toBe(1);
  });

  it.each([
    [['--allow-formats', 'safetensor'], 'CONFIG_INVALID', 'did you mean safetensors?'],
    [['--format', 'pickle'], 'CONFIG_INVALID', 'NAME=allow'],
    [['--format', 'pickle=deny', '--format', 'pickle=warn'], 'PLAN_CONTRADICTION', 'two things'],
  ])('refuses %j as a request', async (flags, code, text) => {
    const ended = await runGate(['scan', model(CLEAN), ...flags]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(code);
    expect(ended.stderr).toContain(text);
  });

  it('follows no link and opens nothing but files: what it cannot look into is refused', async () => {
    const dir = model(CLEAN);
    symlinkSync('/etc', `${dir}/link`);
    execFileSync('mkfifo', [`${dir}/pipe`]);
    const ended = await runGate(['scan', dir]);
    expect(ended).toMatchObject({ code: 1, stdout: expect.stringMatching(/REFUSED +link\n +FILE_TYPE[^\n]*link[^\n]*\n[\s\S]*REFUSED +pipe\n +FILE_TYPE/) });
    expect(ended.stdout).not.toContain('passwd');
  });

  it('does not call nothing clean', async () => {
    mkdirSync(tmp.at('empty'));
    expect((await runGate(['scan', tmp.at('empty')])).stderr).toContain('MODEL_EMPTY');
    expect(await runGate(['scan', tmp.at('nowhere')])).toMatchObject({ code: 2, stderr: expect.stringContaining('MODEL_NOT_FOUND') });
  });

  it('wants the data of an ONNX model among its files', async () => {
    const field = (number: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
    const entry = Buffer.concat([field(1, Buffer.from('location')), field(2, Buffer.from('w.npy'))]);
    const onnx = Buffer.concat([Buffer.from([8, 8]), field(7, field(5, field(13, entry)))]);
    expect((await runGate(['scan', model({ 'm.onnx': onnx })])).stderr).toContain('FORMAT_MALFORMED');
    expect((await runGate(['scan', model({ 'm.onnx': onnx, 'w.npy': '' }), '--format', 'text=allow'])).stdout).toMatch(/ok +m\.onnx +onnx/);
  });

  it('ends at a signal', async () => {
    const dir = model({});
    mkdirSync(dir, { recursive: true });
    // Decompressing and walking this takes far longer than it takes to be told.
    for (let i = 0; i < 400; i++) writeFileSync(`${dir}/${i}.json`, `{"a": [${'1,'.repeat(400_000)}1]}`);
    const running = startGate(['scan', dir, '--log-format', 'json']);
    let over = false;
    const ended = running.ended.finally(() => {
      over = true;
    });
    await until(() => running.stderrSoFar().includes('treeRead'), 'the list of files');
    running.kill('SIGTERM');
    await until(() => over, 'the end of the scan', 5000);
    expect((await ended).code).toBe(143);
  });
});

describe('model-gate report', () => {
  it('refuses what is no report, and says so', async () => {
    const file = `${model({ 'x.json': '{}' })}/x.json`;
    for (const flags of [[], ['--html']]) {
      const ended = await runGate(['report', file, ...flags]);
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      expect(ended.stderr).toContain('CONFIG_INVALID');
    }
    expect((await runGate(['report'])).stderr).toContain('USAGE');
  });
});
