// SPDX-License-Identifier: Apache-2.0
import type { X509Certificate } from '@sigstore/core';
import { AppError } from '../base/errors.ts';
import { CLAIM_OIDS, CLAIMS, type SignerClaims } from './claimNames.ts';

const OID_KEY_USAGE = '2.5.29.15';
const OID_SUBJECT_ALT_NAME = '2.5.29.17';
const OID_EXT_KEY_USAGE = '2.5.29.37';
const OID_CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
const OID_ISSUER_V1 = '1.3.6.1.4.1.57264.1.1';
const OID_ISSUER_V2 = '1.3.6.1.4.1.57264.1.8';
const TAG_UTF8_STRING = 12;
/** GeneralName: rfc822Name and uniformResourceIdentifier (RFC 5280 §4.2.1.6). */
const TEXT_NAMES = [1, 6];

/** Who a Fulcio certificate speaks for: the subject alternative name and the OIDC issuer that vouched for it. */
export type FulcioIdentity = { readonly identity: string; readonly issuer: string };

/**
 * Reads and checks what @sigstore/verify does not: usage, and that there is exactly one reading of who the signer is.
 * @throws CERT_CHAIN_INVALID, SIGNER_UNTRUSTED
 */
export function readFulcioIdentity(leaf: X509Certificate): FulcioIdentity {
  try {
    return readIdentity(leaf);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('CERT_CHAIN_INVALID', 'an extension of the signing certificate cannot be read', { cause: error });
  }
}

/**
 * What the CI service said of the job: DER strings. A claim that is unreadable is left out, so that no rule can match it; a twofold
 * one cannot be: readFulcioIdentity has refused it.
 */
export function readFulcioClaims(leaf: X509Certificate): SignerClaims {
  const claims: Record<string, string> = {};
  for (const name of CLAIMS) {
    const value = claimValue(leaf, CLAIM_OIDS[name]);
    if (value !== undefined) claims[name] = value;
  }
  return claims;
}

function claimValue(leaf: X509Certificate, oid: string): string | undefined {
  try {
    const extension = leaf.extension(oid);
    const text = extension?.valueObj.subs[0];
    if (text === undefined || !text.tag.isUniversal() || text.tag.number !== TAG_UTF8_STRING || text.value.length > 4096) return undefined;
    return printableAscii(text.value);
  } catch {
    return undefined;
  }
}

function readIdentity(leaf: X509Certificate): FulcioIdentity {
  const ids = leaf.extensions.map((e) => e.subs[0]?.toOID());
  if (new Set(ids).size !== ids.length) throw invalid('has an extension twice');
  if (leaf.extBasicConstraints?.isCA === true) throw invalid('is a CA certificate');
  if (leaf.extension(OID_KEY_USAGE) === undefined || leaf.extKeyUsage?.digitalSignature !== true) throw invalid('lacks the key usage digitalSignature');
  const purposes = leaf.extension(OID_EXT_KEY_USAGE)?.valueObj.subs[0]?.subs.map((oid) => oid.toOID()) ?? [];
  if (!purposes.includes(OID_CODE_SIGNING)) throw invalid('lacks the extended key usage codeSigning');
  return { identity: readName(leaf), issuer: readIssuer(leaf) };
}

/** With several names, each client would pick its own: the reference takes any, others the first. */
function readName(leaf: X509Certificate): string {
  const names = leaf.extension(OID_SUBJECT_ALT_NAME)?.valueObj.subs[0]?.subs ?? [];
  const [name] = names;
  if (name === undefined || names.length !== 1) {
    throw new AppError('SIGNER_UNTRUSTED', `the signing certificate has ${names.length} subject alternative names, expected exactly 1`, {
      hint: 'Sign with a certificate for one identity; who signed cannot be told from this one.',
    });
  }
  const text = name.tag.isContextSpecific() && TEXT_NAMES.includes(name.tag.number) && !name.tag.constructed ? printableAscii(name.value) : undefined;
  if (text !== undefined) return text;
  throw new AppError('SIGNER_UNTRUSTED', 'the subject alternative name of the signing certificate is neither an e-mail address nor a URI');
}

/** 1.8 is a DER string, the older 1.1 holds the bare text; Fulcio writes both alike. */
function readIssuer(leaf: X509Certificate): string {
  const modern = leaf.extension(OID_ISSUER_V2)?.valueObj.subs[0];
  if (modern !== undefined && !(modern.tag.isUniversal() && modern.tag.number === TAG_UTF8_STRING)) throw invalid('has an unreadable issuer extension');
  const old = leaf.extension(OID_ISSUER_V1)?.value;
  const values = [modern?.value, old].filter((value) => value !== undefined).map(printableAscii);
  const [issuer] = values;
  if (issuer !== undefined && values.every((value) => value === issuer)) return issuer;
  throw new AppError('SIGNER_UNTRUSTED', `the signing certificate names ${values.length === 0 ? 'no' : 'no single'} OIDC issuer`, {
    hint: 'Sign through an instance whose certificates carry the OIDC issuer; without it the identity means nothing.',
  });
}

/** Undefined for anything a comparison or a terminal could be fooled with. */
function printableAscii(bytes: Buffer): string | undefined {
  return bytes.length > 0 && bytes.every((b) => b > 0x20 && b < 0x7f) ? bytes.toString('latin1') : undefined;
}

function invalid(problem: string): AppError {
  return new AppError('CERT_CHAIN_INVALID', `the signing certificate ${problem}`, {
    hint: 'A certificate for keyless signing comes from Fulcio with codeSigning and digitalSignature; sign again through a working instance.',
  });
}
