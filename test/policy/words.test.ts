// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { runCases } from '../../src/policy/cases.ts';
import { explainPolicy } from '../../src/policy/explain.ts';
import { sourceName } from '../../src/policy/match.ts';
import { readPolicy } from '../../src/policy/read.ts';

// What `policy check` and `policy test` say; as commands they are tried in test/cli/policy.test.ts.

const POLICY = `apiVersion: model-gate/policy/v1
mode: warn
signers:
  alice: { key: /keys/alice.pem }
  bob: { key: /keys/bob.pem }
  release:
    certificate: { roots: /keys/ca.pem, names: [release@example.com] }
  robot:
    sigstore:
      identity: https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main
      issuer: https://token.actions.githubusercontent.com
always:
  digests:
    deny: [{ digest: 'sha256:${'1'.repeat(64)}', reason: leaked }]
rules:
  - name: two people
    source: s3://models/**
    mode: enforce
    require: { threshold: { atLeast: 2, of: [alice, bob] } }
    signedAfter: '2026-01-01'
    requireTransparencyLog: true
    files: { allow: ['*.safetensors', '*.json'], maxCount: 10, maxFileSize: 1GiB }
    formats: { allow: [safetensors, json] }
  - name: either
    modelName: tiny
    require: { anyOf: [release, { allOf: [robot, alice] }] }
    hashes: [sha256]
    keyTypes: [P-256]
    requireTimestamp: true
`;
const policy = readPolicy(Buffer.from(POLICY), 'policy.yaml', 'policy');
const nameOf = (uri: string) => sourceName(parseSourceUri(uri, '/'), undefined);
const run = (cases: string) => runCases(policy, Buffer.from(`cases:\n${cases}`), new Date('2026-06-01T00:00:00Z'), nameOf);
const problemsOf = (one: string): string =>
  run(`  - { name: case, ${one} }`)
    .flatMap((result) => result.problems)
    .join('\n');

describe('a policy in words', () => {
  test('names its signers, its rules in their order, and every check', () => {
    const words = explainPolicy(policy);
    for (const text of [
      'mode warn',
      'alice: one of 1 key materials',
      "release: a certificate for 'release@example.com'",
      "of issuer 'https://token.actions.githubusercontent.com'",
      'the digest is none of 1 denied ones',
      '1. two people (mode enforce)',
      'source   s3://models/**',
      'by 2 different ones of alice, bob',
      'signed after 2026-01-01T00:00:00.000Z',
      'in a transparency log',
      'files only *.safetensors, *.json',
      'files of at most 1073741824 bytes',
      'at most 10 files',
      'formats only safetensors, json, none of them malformed',
      '2. either',
      'model    tiny',
      'by release or (by robot and by alice)',
      'hashed with sha256',
      'signed with keys on P-256',
      'with a timestamp',
    ])
      expect(words).toContain(text);
    expect(words.indexOf('1. two people')).toBeLessThan(words.indexOf('2. either'));
  });
});

describe('cases', () => {
  test('that ship with the examples come out as written', () => {
    const read = (name: string): Buffer => readFileSync(new URL(`../../examples/policies/${name}`, import.meta.url));
    const results = runCases(readPolicy(read('two-people.yaml'), 'two-people.yaml', 'policy'), read('two-people.cases.yaml'), new Date(), nameOf);
    expect(results.length).toBeGreaterThan(3);
    expect(results.flatMap((result) => result.problems)).toEqual([]);
  });

  test('say what is other than expected: verdict with its reasons, rule, reason', () => {
    const signed = "source: 's3://models/a/', signedBy: [{ signer: alice, signedAt: '2026-02-01', logged: true }]";
    expect(problemsOf(`${signed}, expect: allow`)).toMatch(/^expected allow, got refuse \(THRESHOLD_NOT_MET/);
    expect(problemsOf(`${signed}, expect: refuse, rule: other`)).toBe("expected rule 'other', got 'two people'");
    expect(problemsOf(`${signed}, expect: refuse, reason: DIGEST_DENIED`)).toContain('expected reason DIGEST_DENIED, got THRESHOLD_NOT_MET');
    expect(problemsOf("source: 's3://other/a/', expect: warn, rule: none, reason: POLICY_NO_RULE")).toBe('');
  });

  test('know keyless signers, their keys and times', () => {
    const robot = '{ signer: robot, signedAt: 2026-05-01, timestamped: true, logged: true, keyType: P-384 }';
    const alice = "{ signer: alice, signedAt: '2026-05-01', timestamped: true }";
    expect(problemsOf(`modelName: tiny, signedBy: [${robot}, ${alice}], expect: warn, reason: ALGORITHM_REFUSED`)).toBe('');
    expect(problemsOf(`modelName: tiny, signedBy: [${robot.replace('P-384', 'P-256')}, ${alice}], expect: allow`)).toBe('');
  });

  test.each([
    ['an unknown signer', 'signedBy: [mallory], expect: allow', /mallory/],
    ['an unknown member', 'signer: alice, expect: allow', /signer/],
    ['a source that is none', "source: 'gopher://x', expect: allow", /gopher|scheme/],
    ['a verdict that is none', 'expect: maybe', /expect/],
  ])('with %s are refused, with the place', (_, one, message) => {
    expect(() => problemsOf(one)).toThrow(expect.objectContaining({ code: 'POLICY_INVALID', message: expect.stringMatching(message) }));
  });
});
