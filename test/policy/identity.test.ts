// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SigstoreIdentity, TrustPlan } from '../../src/plan/trust.ts';
import { checkIdentity, requirePatterns } from '../../src/policy/identity.ts';
import type { Signer } from '../../src/trust/trust.ts';
import { digestOf, KEY_SIGNER, refused } from '../oms/payload.ts';

const ISSUER = 'https://accounts.example.com';
const WORKFLOW = 'https://github.com/org/repo/.github/workflows/release.yml@refs/heads/main';

const sigstoreSigner = (identity: string, issuer = ISSUER): Signer => ({ kind: 'sigstore', identity, issuer, times: [], logs: [], root: 'test' });
const exact = (text: string, issuer = ISSUER): SigstoreIdentity => ({ identity: { kind: 'exact', text }, issuer });
const pattern = (source: string, issuer = ISSUER): SigstoreIdentity => ({ identity: { kind: 'pattern', source }, issuer });

function sigstore(first: SigstoreIdentity, ...more: readonly SigstoreIdentity[]): TrustPlan {
  return { kind: 'sigstore', root: { kind: 'embedded' }, signers: [first, ...more] };
}

function certificate(identities: readonly string[]): TrustPlan {
  return { kind: 'certificate', certificates: [{ kind: 'file', path: 'ca.pem' }], timestampAuthorities: [], expired: 'refuse', identities };
}

function certificateSigner(subject: string, names: readonly string[] = []): Signer {
  const at = new Date(0);
  const common = { issuer: 'CN=CA', serial: '01', fingerprint: digestOf(subject), anchor: 'CN=CA', notBefore: at, notAfter: at, checkedAt: at };
  return { kind: 'certificate', subject, names, ...common, timeSource: 'clock' };
}

const untrusted = (message?: RegExp): unknown => refused('SIGNER_UNTRUSTED', message);

describe('a sigstore identity', () => {
  it('is the expected one of the expected issuer', () => {
    expect(() => checkIdentity(sigstore(exact('ci@example.com')), sigstoreSigner('ci@example.com'))).not.toThrow();
    expect(() => checkIdentity(sigstore(exact('a@example.com'), exact(WORKFLOW)), sigstoreSigner(WORKFLOW))).not.toThrow();
  });

  it.each([
    '',
    'ci@example.co',
    'ci@example.com ',
    ' ci@example.com',
    'CI@example.com',
    'xci@example.com',
    'ci@example.com.evil.org',
    'ci@exampleXcom',
    'ci@example.com\n',
    'ci@example.com\0',
    '.*',
  ])('is compared exactly: %j is somebody else', (actual) => {
    expect(() => checkIdentity(sigstore(exact('ci@example.com')), sigstoreSigner(actual))).toThrow(untrusted());
  });

  it('is no pattern: .* matches the signer .* only', () => {
    for (const text of ['.*', '^', '', 'ci@.*', 'ci@example\\.com', '(ci@example.com)', '[c]i@example.com', 'ci@example.com|x']) {
      expect(() => checkIdentity(sigstore(exact(text)), sigstoreSigner('ci@example.com'))).toThrow(untrusted());
      if (text !== '') expect(() => checkIdentity(sigstore(exact(text)), sigstoreSigner(text))).not.toThrow();
    }
  });

  it('belongs to its issuer, compared exactly', () => {
    for (const issuer of [
      '',
      'https://accounts.example.com/',
      'http://accounts.example.com',
      'https://accounts.example.com.evil.org',
      'https://ACCOUNTS.example.com',
      'https://accounts.example',
    ]) {
      expect(() => checkIdentity(sigstore(exact('ci@example.com')), sigstoreSigner('ci@example.com', issuer))).toThrow(untrusted(/OIDC issuer does not match/));
      expect(() => checkIdentity(sigstore(pattern('.*')), sigstoreSigner('ci@example.com', issuer))).toThrow(untrusted());
    }
  });

  it('of one signer does not go with the issuer of another', () => {
    const trust = sigstore(exact('a@example.com', 'https://one'), exact('b@example.com', 'https://two'));
    expect(() => checkIdentity(trust, sigstoreSigner('a@example.com', 'https://one'))).not.toThrow();
    expect(() => checkIdentity(trust, sigstoreSigner('a@example.com', 'https://two'))).toThrow(untrusted());
    expect(() => checkIdentity(trust, sigstoreSigner('b@example.com', 'https://one'))).toThrow(untrusted());
  });

  it('is accepted exactly when it is the text, whatever the two are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), fc.boolean(), (a, b, same) => {
        const actual = same ? a : b;
        const check = (): void => checkIdentity(sigstore(exact(a)), sigstoreSigner(actual));
        if (actual === a) expect(check).not.toThrow();
        else expect(check).toThrow(untrusted());
      }),
    );
  });

  it('that does not match is told beside the expected one, without control characters', () => {
    expect(() => checkIdentity(sigstore(exact('a@example.com'), pattern('b.*')), sigstoreSigner('\u001b[2Jevil\u202e'))).toThrow(
      expect.objectContaining({
        code: 'SIGNER_UNTRUSTED',
        message: `Certificate's SANs do not match; actual SANs: {'\\u001b[2Jevil\\u202e'} of issuer '${ISSUER}'; expected 'a@example.com' of issuer '${ISSUER}' or /b.*/ of issuer '${ISSUER}'`,
        context: { expected: expect.stringContaining('a@example.com'), found: expect.stringContaining('evil') },
      }),
    );
  });
});

describe('a pattern for identities', () => {
  it('has to match the whole identity', () => {
    const trust = sigstore(pattern('https://github\\.com/org/[^/]+/\\.github/workflows/release\\.yml@refs/heads/main'));
    expect(() => checkIdentity(trust, sigstoreSigner(WORKFLOW))).not.toThrow();
    for (const actual of [
      `${WORKFLOW}-2`,
      `x${WORKFLOW}`,
      `${WORKFLOW}\n`,
      `\n${WORKFLOW}`,
      `${WORKFLOW}\nx`,
      WORKFLOW.replace('repo', 'repo/fork'),
      WORKFLOW.toUpperCase(),
    ]) {
      expect(() => checkIdentity(trust, sigstoreSigner(actual))).toThrow(untrusted());
    }
  });

  it('is anchored as a whole when it offers alternatives', () => {
    const trust = sigstore(pattern('a@example.com|b@example.com'));
    expect(() => checkIdentity(trust, sigstoreSigner('b@example.com'))).not.toThrow();
    for (const actual of ['a@example.com.evil.org', 'xb@example.com']) expect(() => checkIdentity(trust, sigstoreSigner(actual))).toThrow(untrusted());
  });
});

describe('a certificate’s identity', () => {
  const signer = certificateSigner('CN=Signer, O=Example', ['signer@example.com', 'https://example.com/ci']);

  it('is its subject or one of its alternative names, exactly', () => {
    for (const name of ['CN=Signer, O=Example', 'signer@example.com', 'https://example.com/ci']) {
      expect(() => checkIdentity(certificate(['other', name]), signer)).not.toThrow();
    }
    for (const name of ['', 'Signer', 'CN=Signer', 'signer@example.co', '.*', 'SIGNER@example.com', 'https://example.com/ci/']) {
      expect(() => checkIdentity(certificate([name]), signer)).toThrow(untrusted(/signed by 'CN=Signer, O=Example' or 'signer@example.com'/));
    }
  });

  it('does not matter when none is expected', () => {
    expect(() => checkIdentity(certificate([]), signer)).not.toThrow();
  });
});

it('a key needs no identity: it is one', () => {
  expect(() => checkIdentity({ kind: 'key', keys: [{ kind: 'file', path: 'key.pub' }] }, KEY_SIGNER)).not.toThrow();
});

it('a signer of another method than the trusted one is nobody', () => {
  const plans = [{ kind: 'key', keys: [{ kind: 'file', path: 'key.pub' }] } as const, certificate([]), sigstore(pattern('.*'))];
  const signers = [KEY_SIGNER, certificateSigner('CN=x'), sigstoreSigner('a@example.com')];
  for (const plan of plans) {
    for (const signer of signers.filter(({ kind }) => kind !== plan.kind)) expect(() => checkIdentity(plan, signer)).toThrow(untrusted(/method/));
  }
});

describe('a pattern that is tried on a hostile identity', () => {
  it('is matched in linear time, whoever the issuer is', () => {
    const trust = sigstore(pattern('(a+)+b'), pattern('(.*)*x', 'https://other.example'));
    const start = performance.now();
    expect(() => checkIdentity(trust, sigstoreSigner('a'.repeat(4000)))).toThrow(untrusted());
    expect(() => checkIdentity(trust, sigstoreSigner('a'.repeat(100_000)))).toThrow(untrusted());
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('is refused beforehand when it is of another kind', () => {
    for (const source of ['(?=a)b', '\\p{L}+', 'a*+', '(?<n>a)\\k<n>', 'x'.repeat(501)])
      expect(() => requirePatterns(sigstore(pattern(source)))).toThrow(refused('CONFIG_INVALID', /--identity-regexp/));
    for (const trust of [sigstore(pattern('a+')), sigstore(exact('(?=a)')), certificate([])]) expect(() => requirePatterns(trust)).not.toThrow();
  });
});
