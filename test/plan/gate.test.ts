// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { NOTHING_FOREIGN } from '../../src/plan/foreign.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { type FloorPresence, makePullPlan, makeVerifyPlan, notOneObject } from '../../src/plan/make.ts';
import type { OptionName } from '../../src/plan/options.ts';
import type { GatePlan, PullPlan, VerifyPlan } from '../../src/plan/plan.ts';
import { digestOf, refused } from '../oms/payload.ts';

// What a plan takes over from its options, member by member: an option that gets lost would weaken a check without a word.

type Flags = { readonly [K in OptionName]?: unknown };
const KEY: Flags = { 'public-key': ['/keys/a.pub'] };
const OBJECT = digestOf('one object');

function verify(flags: Flags, floor: FloorPresence = 'absent'): VerifyPlan {
  return makeVerifyPlan(['/model'], resolveOptions('verify', { flags, env: {}, file: undefined }).values, NOTHING_FOREIGN, floor);
}

function pull(positionals: readonly string[], flags: Flags = KEY, objectDigest?: typeof OBJECT): PullPlan {
  const foreign = { ...NOTHING_FOREIGN, ...(objectDigest !== undefined && { objectDigest }) };
  return makePullPlan(positionals, resolveOptions('pull', { flags, env: {}, file: undefined }).values, foreign);
}

const contradiction = (message: RegExp): unknown => refused('PLAN_CONTRADICTION', message);

describe('without options', () => {
  it('nothing is narrowed, limited or pinned that nobody asked for', () => {
    const plan = verify(KEY);
    expect(plan.narrowing).toStrictEqual({ mode: plan.narrowing.mode, requireTimestamp: false });
    for (const name of ['policy', 'bundle', 'timeoutMs', 'maxRate', 'objectDigest']) expect(plan).not.toHaveProperty(name);
    expect(plan.source).toStrictEqual({
      http: { connectTimeoutMs: 10_000, stallTimeoutMs: 60_000, reader: 'auto', headers: {}, verifyTls: true },
      s3: { addressing: 'auto', anonymous: false, accelerate: false, requesterPays: false, verifyTls: true },
      hf: { endpoint: 'https://huggingface.co' },
    });
    expect(plan).toMatchObject({ archives: 'keep', hubCache: false, patterns: { allow: [], ignore: [] } });
    expect(pull(['/a', '/x'])).not.toHaveProperty('objectDigest');
  });
});

describe('with options', () => {
  const cases: readonly [Flags, Partial<Record<keyof GatePlan | 'maxRate' | 'hubCache', unknown>>][] = [
    [{ 'model-name': 'llama' }, { narrowing: { modelName: 'llama' } }],
    [{ 'signed-after': '2026-01-01' }, { narrowing: { signedAfter: '2026-01-01' } }],
    [{ 'require-timestamp': true }, { narrowing: { requireTimestamp: true } }],
    [{ 'allow-formats': 'safetensors,json' }, { narrowing: { formats: { allow: ['safetensors', 'json'], rules: {} } } }],
    [{ format: ['pickle=warn'] }, { narrowing: { formats: { allow: undefined, rules: { pickle: 'warn' } } } }],
    [{ 'ignore-hub-metadata': true, 'ignore-paths': ['x'] }, { ignorePaths: ['x', '.cache/huggingface'] }],
    [{ 'http-reader': 'library' }, { source: { http: { reader: 'library' } } }],
    [{ 'basic-auth': 'user:pass:word' }, { source: { http: { basicAuth: 'user:pass:word' } } }],
    [{ 'netrc-file': '/netrc' }, { source: { http: { netrcFile: '/netrc' } } }],
    [{ 's3-requester-pays': true }, { source: { s3: { requesterPays: true } } }],
    [{ 'hf-endpoint': 'https://hub.example.com' }, { source: { hf: { endpoint: 'https://hub.example.com' } } }],
    [{ 'max-bundle-size': '1MiB', 'max-entries': '5', 'max-file-size': '2MiB' }, { limits: { bundleBytes: 2 ** 20, entries: 5, fileBytes: 2 ** 21 } }],
    [{ 'hub-cache': true }, { hubCache: true, relaxations: ['--hub-cache'] }],
    [{ 'max-rate': '5MiB' }, { maxRate: 5 * 2 ** 20 }],
    [{ connections: '64' }, { connections: 64 }],
  ];
  for (const [flags, expected] of cases)
    it(`${Object.keys(flags).join(' and ')}: the plan says so`, () => {
      const pulled = !('max-rate' in flags || 'hub-cache' in flags);
      expect(pulled ? pull(['/a', '/x'], { ...KEY, ...flags }) : verify({ ...KEY, ...flags })).toMatchObject(expected);
    });

  it('archives are unpacked within their own limits', () => {
    expect(pull(['/a.tgz', '/x'], { ...KEY, unpack: true, 'max-unpacked-size': '3MiB', 'max-unpack-ratio': '7' })).toMatchObject({
      archives: 'unpack',
      limits: { unpackedBytes: 3 * 2 ** 20, unpackRatio: 7 },
    });
  });

  it.each(['secret', 'user:sec\nret', 'user:secret\x7f'])('--basic-auth %j is refused without being quoted', (value) => {
    expect(() => pull(['/a', '/x'], { ...KEY, 'basic-auth': value })).toThrow(
      refused('CONFIG_INVALID', /^--basic-auth must be written 'user:password', without control characters$/),
    );
  });

  it('--hub-cache and --allow-symlinks contradict each other', () => {
    expect(() => verify({ ...KEY, 'hub-cache': true, 'allow-symlinks': true })).toThrow(contradiction(/--hub-cache follows links into blobs only.*give one/));
  });

  it('--model-name is for one model', () => {
    expect(() => pull(['/a', '/x', '/b', '/y'], { ...KEY, 'model-name': 'm' })).toThrow(contradiction(/--model-name belongs to one model/));
    expect(() => pull(['/a', '/x', '/b', '/y'])).not.toThrow();
  });
});

describe('whom to trust', () => {
  const policy = 'policy.yaml';

  it('may be said by a policy or a floor, else it has to be said by flags', () => {
    expect(verify({ policy })).toMatchObject({ policy: { kind: 'file', path: policy } });
    expect(verify({ policy })).not.toHaveProperty('trust');
    expect(verify({}, 'present')).not.toHaveProperty('trust');
    expect(() => verify({})).toThrow(refused('TRUST_METHOD_MISSING', /nothing says whom to trust/));
  });

  it.each<[string, Flags, string]>([
    ['a key', KEY, 'key'],
    ['a CA', { ca: ['ca.pem'] }, 'certificate'],
    ['a chain', { 'certificate-chain': ['ca.pem'] }, 'certificate'],
    ['an identity', { identity: ['a'], issuer: ['i'] }, 'sigstore'],
    ['a pattern', { 'identity-regexp': ['a'], issuer: ['i'] }, 'sigstore'],
  ])('is narrowed by %s beside a policy and below a floor', (_, flags, kind) => {
    expect(verify({ ...flags, policy })).toMatchObject({ policy: { kind: 'file' }, trust: { kind } });
    expect(verify(flags, 'present')).toMatchObject({ trust: { kind } });
  });

  it('is never half said beside a policy: an issuer alone, or options of a method that is not in use', () => {
    expect(() => verify({ issuer: ['i'], policy })).toThrow(refused('CONFIG_INVALID', /--issuer needs --identity/));
    for (const stray of [{ 'certificate-identity': ['x'] }, { 'trusted-root': 'x' }, { 'tuf-refresh': true }])
      expect(() => verify({ ...stray, policy })).toThrow(contradiction(/changes nothing without/));
  });

  it('by several methods is refused with their names, and without any with all of them', () => {
    const several = /^trust is given by several methods: --public-key and --ca and --identity with --issuer; give one$/;
    expect(() => verify({ ...KEY, ca: ['ca.pem'], identity: ['a'], issuer: ['i'] })).toThrow(contradiction(several));
  });
});

describe('a policy', () => {
  it.each(['apiVersion: model-gate/policy/v1', '  apiVersion : x', '{"rules": []}\n', 'a\nb'])('is text: %j', (policy) => {
    expect(verify({ policy }).policy).toEqual({ kind: 'text', text: policy });
  });

  it.each(['policy.yaml', '/etc/apiVersion', 'apiVersion'])('is a file: %j', (policy) => {
    expect(verify({ policy }).policy).toEqual({ kind: 'file', path: policy });
  });

  it('does not come from where the model comes from, unless pinned', () => {
    expect(() => pull(['s3://models/a/', '/x'], { policy: 's3://models/policy.yaml' })).toThrow(
      refused('ANCHORS_UNPINNED', /^s3:\/\/models\/policy.yaml comes from where the model s3:\/\/models\/a\/ comes from/),
    );
    expect(() => pull(['s3://models/a/', '/x'], { policy: `s3://models/policy.yaml#sha256=${OBJECT}` })).not.toThrow();
    expect(() => pull(['s3://models/a/', '/x'], { policy: 's3://policies/policy.yaml' })).not.toThrow();
  });
});

describe('trust material of the hub', () => {
  it('does not come from the hub that the model comes from, wherever that is', () => {
    const unpinned = refused('ANCHORS_UNPINNED');
    expect(() => pull(['hf://org/model', '/x'], { 'public-key': ['https://huggingface.co/org/keys/key.pem'] })).toThrow(unpinned);
    const own: Flags = { 'hf-endpoint': 'https://hub.example.com' };
    expect(() => pull(['hf://org/model', '/x'], { ...own, 'public-key': ['https://hub.example.com/key.pem'] })).toThrow(unpinned);
    expect(() => pull(['hf://org/model', '/x'], { ...own, 'public-key': ['https://huggingface.co/org/keys/key.pem'] })).not.toThrow();
  });
});

describe('buckets and web addresses', () => {
  it('are compared by the whole name of the bucket', () => {
    const unpinned = refused('ANCHORS_UNPINNED');
    expect(() => pull(['s3://Models/a/', '/x'], { 'public-key': ['https://models.example.com/k.pem'] })).toThrow(unpinned);
    for (const key of ['https://models2.example.com/k.pem', 'https://example.com/models2/k.pem', 'https://example.com/x/models/k.pem'])
      expect(() => pull(['s3://models/a/', '/x'], { 'public-key': [key] })).not.toThrow();
    expect(() => pull(['/mnt/models/a/', '/x'], { 'public-key': ['s3://mnt/k.pem'] })).not.toThrow();
  });
});

describe('VERIFICATION_DIGEST', () => {
  it('is the digest of one object, which the plan carries', () => {
    for (const source of ['s3://bucket/m.bin', 'https://h/m.bin', '/model']) expect(pull([source, '/x'], KEY, OBJECT).objectDigest).toBe(OBJECT);
  });

  it.each(['s3://bucket/m/', 'https://h/m/'])('does not go with the directory %s', (source) => {
    expect(() => pull([source, '/x'], KEY, OBJECT)).toThrow(contradiction(/VERIFICATION_DIGEST is the digest of one object, but .* is a directory/));
  });

  it('does not go with several models, nor with --expect-digest', () => {
    expect(() => pull(['/a', '/x', '/b', '/y'], KEY, OBJECT)).toThrow(contradiction(/VERIFICATION_DIGEST belongs to one object/));
    expect(() => pull(['/a', '/x'], { ...KEY, 'expect-digest': [OBJECT] }, OBJECT)).toThrow(contradiction(/--expect-digest that of a signed model/));
  });

  it('says what to do instead, and where', () => {
    expect(notOneObject('s3://b/m/')).toMatchObject({ hint: expect.stringContaining('use --expect-digest'), context: { uri: 's3://b/m/' } });
  });
});

describe('a refusal says what to do', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['two models for one place', () => pull(['/a', '/x', '/b', '/x']), /directory of its own/],
    ['a presigned URL alone', () => pull(['https://h/m.bin?X-Amz-Signature=a', '/x']), /a presigned URL of its own/],
    ['a stray option', () => verify({ ...KEY, 'certificate-identity': ['x'] }), /Leave it out/],
    ['a digest that is none', () => verify({ ...KEY, 'expect-digest': ['latest'] }), /Copy it whole/],
  ])('%s', (_, make, hint) => {
    expect(make).toThrow(expect.objectContaining({ hint: expect.stringMatching(hint) }));
  });
});
