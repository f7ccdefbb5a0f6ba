// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv2020 from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { packed } from '../support/archives.ts';
import { bundleOf, KEYS } from '../support/model.ts';
import { runGate } from '../support/run.ts';
import { makeKeys, signDirectory } from '../support/signer.ts';

const schema = JSON.parse(readFileSync(new URL('../../docs/reference/report.schema.json', import.meta.url), 'utf8')) as object;
const validate = new Ajv2020.default({ strict: false }).compile(schema);

describe('the JSON report', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'model-gate-report-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  async function report(prepare: () => void): Promise<{ code: number; document: Record<string, unknown> }> {
    const model = join(dir, 'model');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(model);
    writeFileSync(join(model, 'config.json'), '{}');
    const keys = makeKeys();
    writeFileSync(join(dir, 'key.pub'), keys.publicPem);
    writeFileSync(join(model, 'model.sig'), signDirectory(model, keys));
    prepare();
    const argv = [
      'pull',
      model,
      join(dir, 'out'),
      '--public-key',
      join(dir, 'key.pub'),
      '--report',
      join(dir, 'report.json'),
      '--termination-log',
      join(dir, 'termination'),
    ];
    const code = await runProgram(argv, { env: {}, signal: new AbortController().signal, signalName: () => undefined });
    return { code, document: JSON.parse(readFileSync(join(dir, 'report.json'), 'utf8')) as Record<string, unknown> };
  }

  it('follows its schema when the model is verified', async () => {
    const { code, document } = await report(() => {});
    expect(validate(document), JSON.stringify(validate.errors)).toBe(true);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      verdict: 'verified',
      models: [{ verdict: 'verified', partial: false, fileCount: 1, files: [{ path: 'config.json', origin: 'fetched' }] }],
    });
  });

  it('follows its schema when the model is unpacked from an archive', async () => {
    const archive = packed('m.zip', { 'config.json': '{}' });
    writeFileSync(join(dir, 'm.zip'), archive);
    writeFileSync(join(dir, 'm.zip.sig'), bundleOf({ 'm.zip': archive }));
    const path = join(dir, 'archive.json');
    const ended = await runGate([join(dir, 'm.zip'), join(dir, 'unpacked')], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem, MODEL_GATE_REPORT: path } });
    expect(ended.code).toBe(0);
    const unpacked = JSON.parse(readFileSync(path, 'utf8')) as object;
    expect(validate(unpacked), JSON.stringify(validate.errors)).toBe(true);
    expect(unpacked).toMatchObject({
      models: [{ archive: { signed: 'whole', file: { path: 'm.zip' } }, files: [{ path: 'config.json', origin: 'unpacked' }] }],
    });
  });

  it('follows its schema, and still says who signed, when a file was changed', async () => {
    const { code, document } = await report(() => writeFileSync(join(dir, 'model', 'config.json'), '{"changed":1}'));
    expect(validate(document), JSON.stringify(validate.errors)).toBe(true);
    expect(code).toBe(1);
    expect(document).toMatchObject({ verdict: 'refused', error: { code: 'DIGEST_MISMATCH' }, models: [{ verdict: 'refused', signer: { kind: 'key' } }] });
  });
});
