// SPDX-License-Identifier: Apache-2.0
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readFloor } from '../../src/anchors/floor.ts';
import { refused } from '../oms/payload.ts';
import { bundleOf, KEYS, type Scratch, SMALL_MODEL, scratch, signed, treeOf, writeTree } from '../support/model.ts';
import { type Flags, pullHere, verifyHere } from '../support/run.ts';
import { makeKeys, rootDigestOf } from '../support/signer.ts';

// Nothing in a pod's own argv, environment or policy widens the floor.

const MALLORY = makeKeys();
let space: Scratch;
let genuine: string;
let forged: string;
beforeEach(() => {
  space = scratch();
  [genuine, forged] = [space.at('genuine'), space.at('forged')];
  writeTree(genuine, signed(SMALL_MODEL));
  writeTree(forged, signed(SMALL_MODEL, MALLORY));
});
afterEach(() => space[Symbol.dispose]());

const indent = (text: string): string => text.trim().replaceAll('\n', '\n      ');
const policyFor = (pem: string, more = '', source = `file://${space.path}/**`): string =>
  `apiVersion: model-gate/policy/v1\nsigners:\n  publisher:\n    key: |\n      ${indent(pem)}\nrules:\n  - name: floor rule\n    source: '${source}'\n    require: publisher\n${more}`;
const floor = (more = '', source?: string): string => policyFor(KEYS.publicPem, more, source);

describe('with a floor', () => {
  test('alone, a model is judged by it', async () => {
    expect((await verifyHere(genuine, { floor: floor() })).reason).toBe('OK');
    expect((await verifyHere(forged, { floor: floor() })).reason).toBe('SIGNATURE_INVALID');
    expect((await pullHere([forged, space.at('out')], { floor: floor() })).reason).toBe('SIGNATURE_INVALID');
    expect(treeOf(space.at('out'))).toEqual({});
  });

  // Each would let the forged model pass without a floor.
  const wideners: readonly [string, Flags, Readonly<Record<string, string>>][] = [
    ['--public-key of the forger', { 'public-key': [MALLORY.publicPem] }, {}],
    ['MODEL_GATE_PUBLIC_KEY of the forger', {}, { MODEL_GATE_PUBLIC_KEY: MALLORY.publicPem }],
    ['--mode warn', { 'public-key': [MALLORY.publicPem], mode: 'warn' }, {}],
    ['--mode off', { 'public-key': [MALLORY.publicPem], mode: 'off' }, {}],
    ['MODEL_GATE_MODE=off', {}, { MODEL_GATE_MODE: 'off', MODEL_GATE_PUBLIC_KEY: MALLORY.publicPem }],
    ['--model-name', { 'model-name': 'anything' }, {}],
  ];
  test.each(wideners)('%s opens nothing', async (_, flags, env) => {
    for (const outcome of [
      await verifyHere(forged, { floor: floor(), flags, env }),
      await pullHere([forged, space.at('out')], { floor: floor(), flags, env }),
    ]) {
      expect(outcome.exitCode).toBe(1);
    }
    expect(treeOf(space.at('out'))).toEqual({});
  });

  test.each(['enforce', 'warn', 'off'])('an own policy in mode %s that trusts the forger opens nothing', async (mode) => {
    const own = policyFor(MALLORY.publicPem, `    mode: ${mode}\n    files: { unsignedFiles: ignore, symlinks: allow }\n`);
    for (const given of [{ flags: { policy: own } }, { env: { MODEL_GATE_POLICY: own } }]) {
      expect((await verifyHere(forged, { floor: floor(), ...given })).exitCode).toBe(1);
      expect((await pullHere([forged, space.at('out')], { floor: floor(), ...given })).exitCode).toBe(1);
    }
    expect(treeOf(space.at('out'))).toEqual({});
  });

  // Each makes the check of the genuine model weaker.
  test.each([
    ['ignore-unsigned-files', { 'ignore-unsigned-files': true }],
    ['ignore-paths', { 'ignore-paths': ['notes'] }],
    ['ignore-hub-metadata', { 'ignore-hub-metadata': true }],
    ['allow-symlinks', { 'allow-symlinks': true }],
    ['hub-cache', { 'hub-cache': true }],
    ['insecure-skip-tls-verify', { 'insecure-skip-tls-verify': true }],
  ])('--%s is refused unless the floor tolerates it', async (name, flags) => {
    expect(await verifyHere(genuine, { floor: floor(), flags })).toMatchObject({
      reason: 'POLICY_DENIED',
      error: { message: expect.stringContaining(`--${name}`) },
    });
  });

  test('the same as variables, and KServe’s own, are refused too', async () => {
    for (const env of [
      { MODEL_GATE_IGNORE_UNSIGNED_FILES: 'true' },
      { MODEL_GATE_ALLOW_SYMLINKS: '1' },
      { MODEL_GATE_IGNORE_PATHS: 'x' },
      { S3_VERIFY_SSL: 'false' },
    ]) {
      expect((await pullHere([genuine, space.at('out')], { floor: floor(), env })).reason).toBe('POLICY_DENIED');
    }
  });

  test.each<[string, Flags, Readonly<Record<string, string>>]>([
    ['--format', { format: ['json=allow', 'pickle=allow', 'unknown=allow'] }, {}],
    ['--allow-formats', { 'allow-formats': 'json,text,pickle,unknown' }, {}],
    ['MODEL_GATE_FORMAT', {}, { MODEL_GATE_FORMAT: '["json=allow","unknown=allow"]' }],
    ['an own policy', { policy: policyFor(KEYS.publicPem, '    formats: { allow: [json, text, unknown] }\n', '*://**') }, {}],
    ['--mode off', { 'public-key': [KEYS.publicPem], mode: 'off' }, {}],
  ])('%s allows no format that the floor denies', async (_, flags, env) => {
    const strict = floor('    formats: { deny: [json] }\n');
    expect((await verifyHere(genuine, { floor: strict, flags, env })).reason).toBe('FORMAT_DENIED');
    expect((await pullHere([genuine, space.at('out')], { floor: strict, flags, env })).reason).toBe('FORMAT_DENIED');
    expect(treeOf(space.at('out'))).toEqual({});
  });

  test.each<[string, Flags]>([
    ['--signed-after of long ago', { 'signed-after': '1970-01-01' }],
    ['--expect-digest', { 'expect-digest': [`sha256:${rootDigestOf(bundleOf(SMALL_MODEL))}`] }],
    ['--mode warn', { mode: 'warn' }],
    ['--allow-expired-certificate', { 'allow-expired-certificate': true }],
  ])('%s makes no old, denied or unlogged model acceptable', async (_, flags) => {
    const digest = `sha256:${rootDigestOf(bundleOf(SMALL_MODEL))}`;
    for (const [rule, reason] of [
      ['    signedAfter: 2020-01-01\n', 'SIGNED_TOO_EARLY'],
      [`    digests: { deny: [{ digest: "${digest}", reason: x }] }\n`, 'DIGEST_DENIED'],
      ['    requireTransparencyLog: true\n', 'LOG_PROOF_INVALID'],
    ] as const) {
      const outcome = await verifyHere(genuine, { floor: floor(rule), flags });
      // A flag that does not fit the others is refused, which widens nothing either.
      expect(['PLAN_CONTRADICTION', reason]).toContain(outcome.reason);
    }
  });

  test('what the floor tolerates is not done until somebody asks for it', async () => {
    const tolerant = floor('    files: { unsignedFiles: ignore }\n');
    writeFileSync(join(genuine, 'notes.txt'), 'unsigned');
    expect((await verifyHere(genuine, { floor: tolerant })).reason).toBe('FILE_UNSIGNED');
    expect((await verifyHere(genuine, { floor: tolerant, flags: { 'ignore-unsigned-files': true } })).reason).toBe('OK');
  });

  test('an own policy cannot tolerate unsigned files that the floor refuses', async () => {
    writeFileSync(join(genuine, 'notes.txt'), 'unsigned');
    const own = policyFor(KEYS.publicPem, '    files: { unsignedFiles: ignore }\n');
    expect((await verifyHere(genuine, { floor: floor(), flags: { policy: own } })).reason).toBe('FILE_UNSIGNED');
  });

  test('an own policy narrows', async () => {
    expect((await verifyHere(genuine, { floor: floor(), flags: { policy: policyFor(KEYS.publicPem, '    files: { maxCount: 1 }\n') } })).reason).toBe(
      'LIMIT_EXCEEDED',
    );
    expect((await verifyHere(genuine, { floor: floor(), flags: { 'public-key': [MALLORY.publicPem] } })).exitCode).toBe(1);
  });

  test('a bucket’s name means the standard servers, however an endpoint was configured', async () => {
    const text = floor('', 's3://**');
    const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' };
    for (const env of [
      { AWS_ENDPOINT_URL: 'http://127.0.0.1:9' },
      { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9' },
      { MODEL_GATE_S3_ENDPOINT: 'http://127.0.0.1:9' },
    ]) {
      const outcome = await pullHere(['s3://models/x/', space.at('out')], { floor: text, env: { ...keys, ...env } });
      expect(outcome).toMatchObject({ reason: 'POLICY_DENIED', error: { message: expect.stringContaining('127.0.0.1') } });
    }
    const hub = await pullHere(['hf://a/b', space.at('out')], { floor: floor('', 'hf://**'), env: { HF_ENDPOINT: 'http://127.0.0.1:9' } });
    expect(hub.reason).toBe('POLICY_DENIED');
  });

  test('a claim’s name counts only where claims are mounted', async () => {
    const outcome = await verifyHere('pvc://genuine', { floor: floor('', 'pvc://**'), flags: { 'pvc-root': space.path } });
    expect(outcome.reason).toBe('POLICY_NO_RULE');
  });

  test('a broken floor stops everything', async () => {
    expect(await verifyHere(genuine, { floor: 'rules: []', flags: { 'public-key': [KEYS.publicPem] } })).toMatchObject({
      reason: 'POLICY_INVALID',
      exitCode: 2,
    });
    expect((await verifyHere(genuine, { floor: '', flags: { 'public-key': [KEYS.publicPem] } })).reason).toBe('POLICY_INVALID');
  });
});

describe('the floor’s file', () => {
  test('is absent only when its name is not there', async () => {
    expect(await readFloor(space.at('none', 'policy.yaml'))).toEqual({ kind: 'absent' });
    symlinkSync('nowhere', space.at('dangling'));
    await expect(readFloor(space.at('dangling'))).rejects.toEqual(refused('POLICY_INVALID'));
    await expect(readFloor(space.path)).rejects.toEqual(refused('POLICY_INVALID'));
    writeFileSync(space.at('file'), '');
    await expect(readFloor(space.at('file', 'policy.yaml'))).rejects.toEqual(refused('POLICY_INVALID'));
    expect(await readFloor(space.at('file'))).toMatchObject({ kind: 'present' });
  });
});

describe('the server behind s3:// under a floor', () => {
  const run = async (endpoint: string): Promise<string> => {
    const env = { AWS_ENDPOINT_URL: endpoint, AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
    // What is let through would be asked over the network, which is of no interest here.
    const signal = AbortSignal.timeout(200);
    return (await pullHere(['s3://models/v1/', space.at('out')], { floor: floor('', 's3://models/**'), env, signal })).reason;
  };

  test.each([
    'https://abcdef1234.execute-api.eu-west-1.amazonaws.com',
    'https://s3abcdefgh.execute-api.eu-west-1.amazonaws.com',
    'https://s3-evil-123.eu-west-1.elb.amazonaws.com',
    'https://ec2-203-0-113-5.eu-west-1.compute.amazonaws.com',
    'https://s3.eu-west-1.amazonaws.com.evil.example',
    'https://evils3.eu-west-1.amazonaws.com',
    'https://s3.eu-west-1.amazonaws.com:8443',
    'http://s3.eu-west-1.amazonaws.com',
  ])('is not taken for AWS because it stands below amazonaws.com: %s', async (endpoint) => {
    expect(await run(endpoint)).toBe('POLICY_DENIED');
  });

  test.each([
    'https://s3.amazonaws.com',
    'https://s3.eu-west-1.amazonaws.com',
    'https://s3.dualstack.ap-southeast-2.amazonaws.com',
    'https://s3-accelerate.amazonaws.com',
    'https://s3-fips.us-gov-west-1.amazonaws.com',
    'https://s3.cn-north-1.amazonaws.com.cn',
    'https://s3-accesspoint.eu-west-1.amazonaws.com',
    'https://s3express-euw1-az1.eu-west-1.amazonaws.com',
    'https://accesspoint.s3-global.amazonaws.com',
  ])('is AWS where it is S3: %s', async (endpoint) => {
    expect(await run(endpoint)).not.toBe('POLICY_DENIED');
  });
});
