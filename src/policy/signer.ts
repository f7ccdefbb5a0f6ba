// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { ClaimName } from '../trust/claimNames.ts';
import type { Signer } from '../trust/trust.ts';
import { describeText, matchesText } from './pattern.ts';
import type { SignerSpec } from './policy.ts';

/**
 * Whether the maker of a genuine signature is the one a policy means; what differs, otherwise. Keys and roots are no question here:
 * the signature was verified with those of this signer.
 */
export function differs(spec: SignerSpec, signer: Signer): string | undefined {
  switch (spec.kind) {
    case 'key':
      return signer.kind === 'key' ? undefined : otherMethod(spec, signer);
    case 'certificate':
      return signer.kind === 'certificate' ? certificateDiffers(spec, signer) : otherMethod(spec, signer);
    case 'sigstore':
      return signer.kind === 'sigstore' ? sigstoreDiffers(spec, signer) : otherMethod(spec, signer);
  }
}

function certificateDiffers(spec: Extract<SignerSpec, { kind: 'certificate' }>, signer: Extract<Signer, { kind: 'certificate' }>): string | undefined {
  if (spec.names.length > 0 && !signer.names.some((name) => spec.names.includes(name)))
    return `the certificate is for ${list(signer.names)}, not for ${list(spec.names)}`;
  if (spec.subjects.length > 0 && !spec.subjects.includes(signer.subject)) return `the subject is ${list([signer.subject])}, not ${list(spec.subjects)}`;
  const missing = spec.purposes.find((purpose) => signer.purposes?.includes(purpose) !== true);
  return missing === undefined ? undefined : `the certificate lacks the extended key usage ${missing}`;
}

function sigstoreDiffers(spec: Extract<SignerSpec, { kind: 'sigstore' }>, signer: Extract<Signer, { kind: 'sigstore' }>): string | undefined {
  if (spec.issuer !== signer.issuer) return `the issuer is ${list([signer.issuer])}, not ${list([spec.issuer])}`;
  if (!matchesText(spec.identity, signer.identity)) return `the identity is ${list([signer.identity])}, not ${printable(describeText(spec.identity), 300)}`;
  for (const [name, wanted] of spec.claims) {
    const found = signer.claims?.[name as ClaimName];
    if (found === undefined) return `the certificate has no claim ${name}`;
    if (!matchesText(wanted, found)) return `the claim ${name} is ${list([found])}, not ${printable(describeText(wanted), 300)}`;
  }
  return undefined;
}

function otherMethod(spec: SignerSpec, signer: Signer): string {
  return `signed with the ${signer.kind} method, not the ${spec.kind} method`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'nobody' : printable(names.map((name) => `'${name}'`).join(' or '), 300);
}
