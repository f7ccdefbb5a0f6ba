// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/policy/evaluate.ts';
import { readPolicy } from '../../src/policy/read.ts';
import { differs } from '../../src/policy/signer.ts';
import type { SignerClaims } from '../../src/trust/claimNames.ts';
import type { Signer, SigningTime } from '../../src/trust/trust.ts';
import { digestOf } from '../oms/payload.ts';

const NOW = new Date('2026-06-01T00:00:00Z');
const ISSUER = 'https://issuer.example.com';
const policy = (signer: string, checks = '{}') => {
  const rule = `  - { name: r, source: '*://**', require: s, ${checks.slice(1)}`;
  return readPolicy(Buffer.from(`apiVersion: model-gate/policy/v1\nsigners: { s: ${signer} }\nrules:\n${rule}\n`), 'p', 'policy');
};
const problem = (spec: string, signer: Signer): string | undefined => {
  const found = policy(spec).signers.get('s');
  if (found === undefined) throw new Error('no signer');
  return differs(found, signer);
};
const keyless = (identity: string, claims?: SignerClaims, times: readonly SigningTime[] = []): Signer => ({
  ...{ kind: 'sigstore', identity, issuer: ISSUER, times, root: 't', logs: [{ logId: 'l', logIndex: '1' }] },
  key: { fingerprint: digestOf('k'), curve: 'P-256' },
  ...(claims !== undefined && { claims }),
});
const certificate = (subject: string, names: readonly string[], purposes: readonly string[] = []): Signer => {
  const common = { issuer: 'CN=CA', serial: '1', fingerprint: digestOf(subject), anchor: 'CN=CA', notBefore: NOW, notAfter: NOW, checkedAt: NOW };
  return { kind: 'certificate', subject, names, purposes, ...common, timeSource: 'clock' };
};

describe('a sigstore signer', () => {
  const spec = `{ sigstore: { identityRegexp: 'ci-[0-9]+@example[.]com', issuer: '${ISSUER}', claims: { sourceRepositoryUri: https://github.com/org/repo, sourceRepositoryRef: { regexp: 'refs/tags/.+' } } } }`;
  const claims = { sourceRepositoryUri: 'https://github.com/org/repo', sourceRepositoryRef: 'refs/tags/v1' };

  it('is known by identity, issuer and claims', () => {
    expect(problem(spec, keyless('ci-7@example.com', claims))).toBeUndefined();
  });

  it.each([
    ['another identity', keyless('ci-7@example.com.evil', claims), /identity is/],
    ['another issuer', { ...keyless('ci-7@example.com', claims), issuer: `${ISSUER}/x` } as Signer, /issuer is/],
    ['no claims', keyless('ci-7@example.com'), /no claim sourceRepositoryUri/],
    ['another repository', keyless('ci-7@example.com', { ...claims, sourceRepositoryUri: 'https://github.com/org/repo2' }), /claim sourceRepositoryUri is/],
    ['a branch in place of a tag', keyless('ci-7@example.com', { ...claims, sourceRepositoryRef: 'refs/heads/main' }), /claim sourceRepositoryRef is/],
    ['another method', certificate('CN=x', ['ci-7@example.com']), /certificate method/],
  ])('is not one with %s', (_, signer, message) => {
    expect(problem(spec, signer)).toMatch(message);
  });
});

describe('a key signer', () => {
  const spec = '{ key: /key.pub }';
  const byKey: Signer = { kind: 'key', fingerprint: digestOf('k'), curve: 'P-256' };

  it('is whoever signed with the key method: which key it was is checked with the signature', () => {
    expect(problem(spec, byKey)).toBeUndefined();
    expect(problem(spec, certificate('CN=x', []))).toBe('signed with the certificate method, not the key method');
    expect(problem(spec, keyless('x'))).toBe('signed with the sigstore method, not the key method');
    expect(problem('{ certificate: { roots: /ca.pem, anySigner: true } }', byKey)).toBe('signed with the key method, not the certificate method');
  });
});

describe('a certificate signer', () => {
  const spec = '{ certificate: { roots: /ca.pem, names: [a@example.com, b@example.com], subject: CN=lab, eku: codeSigning } }';
  const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';

  it('is known by name, subject and usage together', () => {
    expect(problem(spec, certificate('CN=lab', ['b@example.com'], [CODE_SIGNING]))).toBeUndefined();
    expect(problem(spec, certificate('CN=lab', ['x@example.com', 'a@example.com'], [CODE_SIGNING, '1.2']))).toBeUndefined();
    expect(problem(spec, certificate('CN=lab', ['c@example.com'], [CODE_SIGNING]))).toBe(
      "the certificate is for 'c@example.com', not for 'a@example.com' or 'b@example.com'",
    );
    expect(problem(spec, certificate('CN=lab', [], [CODE_SIGNING]))).toMatch(/^the certificate is for nobody, not for/);
    expect(problem(spec, certificate('CN=other', ['b@example.com'], [CODE_SIGNING]))).toBe("the subject is 'CN=other', not 'CN=lab'");
    const { purposes: _purposes, ...unknown } = certificate('CN=lab', ['b@example.com']) as Extract<Signer, { kind: 'certificate' }>;
    for (const signer of [certificate('CN=lab', ['b@example.com']), unknown])
      expect(problem(spec, signer)).toBe(`the certificate lacks the extended key usage ${CODE_SIGNING}`);
  });

  it('needs no name and no subject where the policy names none', () => {
    expect(problem('{ certificate: { roots: /ca.pem, anySigner: true } }', certificate('', []))).toBeUndefined();
    expect(problem('{ certificate: { roots: /ca.pem, subject: CN=lab } }', certificate('CN=lab', []))).toBeUndefined();
    expect(problem('{ certificate: { roots: /ca.pem, names: [a@example.com] } }', certificate('', ['a@example.com']))).toBeUndefined();
  });
});

describe('checks of a signature', () => {
  const SPEC = `{ sigstore: { identity: a@example.com, issuer: '${ISSUER}' } }`;
  const judged = (checks: string, signer: Signer, symlinks: 'reject' | 'follow' = 'reject') => {
    const read = policy(SPEC, checks);
    const manifest = { rootDigest: '0'.repeat(64), algorithm: 'sha256', subjectName: '', symlinks, paths: ['a'] } as const;
    return evaluate(read, read.rules[0], { manifest, votes: [{ signer, satisfies: ['s'] }], now: NOW }).map((finding) => finding.code);
  };
  const at = (...days: readonly string[]): Signer =>
    keyless(
      'a@example.com',
      undefined,
      days.map((day) => ({ source: 'log', at: new Date(day) })),
    );

  it('compare the earliest proven time', () => {
    expect(judged('{ signedAfter: 2026-05-01 }', at('2026-05-02'))).toEqual([]);
    expect(judged('{ signedAfter: 2026-05-01 }', at('2026-04-30'))).toEqual(['SIGNED_TOO_EARLY']);
    expect(judged('{ signedAfter: 2026-05-01 }', at('2026-05-30', '2026-04-30'))).toEqual(['SIGNED_TOO_EARLY']);
    expect(judged('{ signedAfter: 2026-05-01 }', at())).toEqual(['SIGNED_TOO_EARLY']);
    expect(judged('{ maxAge: 10d }', at('2026-05-25'))).toEqual([]);
    expect(judged('{ maxAge: 10d }', at('2026-05-20'))).toEqual(['SIGNED_TOO_EARLY']);
  });

  it('do not take the time of a log for a timestamp', () => {
    expect(judged('{ requireTimestamp: true }', at('2026-05-25'))).toEqual(['TIMESTAMP_INVALID']);
    expect(judged('{ requireTimestamp: true }', keyless('a', undefined, [{ source: 'timestamp', at: NOW }]))).toEqual([]);
  });

  it('take a key of unknown kind for a wrong one, and links that the policy refuses for a finding', () => {
    const { key: _key, ...unknown } = at('2026-05-25') as Extract<Signer, { kind: 'sigstore' }>;
    expect(judged('{ keyTypes: [P-256] }', unknown)).toEqual(['ALGORITHM_REFUSED']);
    expect(judged('{ requireTransparencyLog: true }', at())).toEqual([]);
    expect(judged('{ files: { symlinks: refuse } }', at(), 'follow')).toEqual(['FILE_TYPE']);
  });
});
