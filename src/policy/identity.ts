// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { SigstoreIdentity, TrustPlan } from '../plan/trust.ts';
import type { Signer } from '../trust/trust.ts';
import { compilePattern, PatternError } from './pattern.ts';

/**
 * Whether a genuine signature is by a signer the caller named. Identities are compared exactly; patterns only where the
 * caller asked for one, and then against the whole identity. @throws SIGNER_UNTRUSTED, with the actual and the expected signer
 */
export function checkIdentity(trust: TrustPlan, signer: Signer): void {
  switch (trust.kind) {
    case 'key':
      if (signer.kind !== 'key') throw otherMethod(trust, signer);
      return;
    case 'certificate':
      if (signer.kind !== 'certificate') throw otherMethod(trust, signer);
      checkCertificate(trust.identities, signer);
      return;
    case 'sigstore':
      if (signer.kind !== 'sigstore') throw otherMethod(trust, signer);
      checkSigstore(trust.signers, signer);
      return;
  }
}

function checkCertificate(expected: readonly string[], signer: Extract<Signer, { kind: 'certificate' }>): void {
  const actual = [signer.subject, ...signer.names];
  if (expected.length === 0 || actual.some((name) => expected.includes(name))) return;
  throw untrusted(`signed by ${actual.map(quote).join(' or ')}`, expected.map(quote).join(' or '));
}

/** The words are those of the reference implementation, which users' runbooks look for. */
function checkSigstore(expected: readonly SigstoreIdentity[], signer: Extract<Signer, { kind: 'sigstore' }>): void {
  if (expected.some((one) => one.issuer === signer.issuer && matches(one.identity, signer.identity))) return;
  const wanted = expected
    .map(({ identity, issuer }) => `${identity.kind === 'exact' ? quote(identity.text) : `/${identity.source}/`} of issuer ${quote(issuer)}`)
    .join(' or ');
  const identityKnown = expected.some((one) => matches(one.identity, signer.identity));
  const what = identityKnown ? "Certificate's OIDC issuer does not match" : "Certificate's SANs do not match";
  throw untrusted(`${what}; actual SANs: {${quote(signer.identity)}} of issuer ${quote(signer.issuer)}`, wanted);
}

function matches(identity: SigstoreIdentity['identity'], actual: string): boolean {
  return identity.kind === 'exact' ? identity.text === actual : compilePattern(identity.source)(actual);
}

/**
 * Before anything is fetched: that patterns are of the kind that policies have, too. Whoever can get a certificate chooses the text they are tried
 * on, and with a regular expression of JavaScript he could make that last for ever. @throws CONFIG_INVALID
 */
export function requirePatterns(trust: TrustPlan): void {
  for (const { identity } of trust.kind === 'sigstore' ? trust.signers : []) {
    if (identity.kind === 'exact') continue;
    try {
      compilePattern(identity.source);
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      throw new AppError('CONFIG_INVALID', `--identity-regexp '${printable(identity.source, 200)}' ${error.message}`, {
        hint: 'Letters, \\ before punctuation, . [a-z] [^/] \\d \\w groups | * + ? {m,n}: that can be matched in a time that nobody can stretch.',
      });
    }
  }
}

/** Out of reach while the trust picks the verifier; should that ever change, nobody's policy must be skipped. */
function otherMethod(trust: TrustPlan, signer: Signer): AppError {
  return untrusted(`signed with the ${signer.kind} method`, `the ${trust.kind} method`);
}

function untrusted(found: string, expected: string): AppError {
  return new AppError('SIGNER_UNTRUSTED', `${found}; expected ${expected}`, { context: { expected, found } });
}

function quote(text: string): string {
  return `'${printable(text, 300)}'`;
}
