// SPDX-License-Identifier: Apache-2.0
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import Ajv2020 from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEYS, type Scratch, SMALL_MODEL, scratch, signed, writeTree } from '../support/model.ts';
import { CAN_MOUNT } from '../support/mounts.ts';
import { runGate } from '../support/run.ts';
import { makeKeys } from '../support/signer.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/policies');
const schema = JSON.parse(readFileSync(new URL('../../docs/reference/report.schema.json', import.meta.url), 'utf8')) as object;
const conforms = new Ajv2020.default({ strict: false }).compile(schema);

let space: Scratch;
beforeEach(() => {
  space = scratch();
  writeTree(space.at('model'), signed(SMALL_MODEL));
});
afterEach(() => space[Symbol.dispose]());

const policy = (pem: string, more = ''): string =>
  `apiVersion: model-gate/policy/v1\nrules:\n  - name: only rule\n    source: '*://**'\n    require:\n      key: |\n        ${pem.trim().replaceAll('\n', '\n        ')}\n${more}`;

describe('policy check and test', () => {
  it('say in words what the examples ask for', async () => {
    const ended = await runGate(['policy', 'check', `${EXAMPLES}/floor.yaml`, '--floor']);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('1. production') });
    expect((await runGate(['policy', 'check', `${EXAMPLES}/two-people.yaml`, '--floor'])).code).toBe(2);
  });

  it('run the cases of the examples', async () => {
    const args = ['policy', 'test', `${EXAMPLES}/two-people.yaml`, '--cases'];
    expect(await runGate([...args, `${EXAMPLES}/two-people.cases.yaml`])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('5 of 5 cases as expected'),
    });
    writeFileSync(space.at('wrong.yaml'), 'cases:\n  - { name: nobody signs, source: "s3://models/llama/", expect: allow }\n');
    expect(await runGate([...args, space.at('wrong.yaml')])).toMatchObject({ code: 1, stdout: expect.stringContaining('FAIL nobody signs') });
  });

  it('end with 2 and the path in a broken policy', async () => {
    writeFileSync(space.at('p.yaml'), policy(KEYS.publicPem, '    signedafter: 1\n'));
    expect(await runGate(['policy', 'check', space.at('p.yaml')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('rules[0].signedafter is unknown'),
    });
  });
});

describe('a process with a policy', () => {
  it('tells the rule in the termination message, and everything in the report', async () => {
    writeFileSync(space.at('p.yaml'), policy(KEYS.publicPem));
    const ended = await runGate(['pull', space.at('model'), space.at('out'), '--policy', space.at('p.yaml')]);
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'verified', rule: 'policy: only rule' } });
    expect(conforms(ended.report), JSON.stringify(conforms.errors)).toBe(true);
  });

  it('takes the text of a policy from the environment, as KServe’s containers need it', async () => {
    const ended = await runGate([space.at('model'), space.at('out')], { env: { MODEL_GATE_POLICY: policy(makeKeys().publicPem) } });
    expect(ended).toMatchObject({ code: 1, termination: { verdict: 'refused', reason: 'SIGNATURE_INVALID', rule: 'policy: only rule' } });
    expect(conforms(ended.report), JSON.stringify(conforms.errors)).toBe(true);
  });

  it('in warn mode ends with 0 and never says verified', async () => {
    const ended = await runGate(['pull', space.at('model'), space.at('out')], { env: { MODEL_GATE_POLICY: policy(makeKeys().publicPem, '    mode: warn\n') } });
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'warned', waived: ['SIGNER_UNTRUSTED'] }, report: { verdict: 'warned' } });
    expect(ended.stderr).toContain('NOT REFUSED only because of warn mode');
    expect(conforms(ended.report), JSON.stringify(conforms.errors)).toBe(true);
  });
});

describe.skipIf(!CAN_MOUNT)('the floor at its place in the image', () => {
  /** In a mount namespace whose /etc is a tmpfs: nothing of this machine changes. */
  const run = (args: readonly string[], entry?: string) => {
    const script = 'mount -t tmpfs tmpfs /etc && mkdir /etc/model-gate && cp "$0/policy.yaml" /etc/model-gate/ && exec "$@"';
    return runGate(args, { wrapper: ['unshare', '-m', '/bin/sh', '-c', script, space.at('floor')], ...(entry !== undefined && { entry }) });
  };

  it('holds for every name of the program, and for --dry-run', async () => {
    writeTree(space.at('floor'), { 'policy.yaml': policy(makeKeys().publicPem) });
    writeFileSync(space.at('key.pub'), KEYS.publicPem);
    expect((await run(['verify', space.at('model'), '--public-key', space.at('key.pub')])).code).toBe(1);
    expect((await run(['verify', space.at('model'), '--public-key', space.at('key.pub'), '--dry-run'])).code).toBe(1);
    expect((await run(['verify', space.at('model')])).code).toBe(1);
    const main = resolve(import.meta.dirname, '../..', process.env['MODEL_GATE_DIST'] === undefined ? 'src/main.ts' : 'dist/main.js');
    for (const name of ['model_signing', 'validation-agent']) {
      symlinkSync(main, space.at(name));
      const args = ['verify', 'key', '--signature', space.at('model', 'model.sig'), '--public_key', space.at('key.pub'), space.at('model')];
      expect(await run(args, space.at(name)), name).toMatchObject({ code: 1, stderr: expect.stringContaining("floor: rule 'only rule'") });
    }
  });
});
