// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from '@sigstore/core';
import { Utf8String } from 'asn1js';
import type { Extension, GeneralName } from 'pkijs';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { readFulcioClaims, readFulcioIdentity } from '../../src/trust/fulcio.ts';
import { type CertificateOptions, dns, email, extension, leaf, root, SERVER_AUTH, uri } from './pki.ts';

const CA = await root();
const bytes = (...values: readonly number[]): ArrayBuffer => new Uint8Array(values).buffer;
const text = (id: string, value: string): Extension => extension(`1.3.6.1.4.1.57264.1.${id}`, new Utf8String({ value }).toBER());
const old = (value: string): Extension => extension('1.3.6.1.4.1.57264.1.1', new Uint8Array(Buffer.from(value)).buffer);
const ISSUER = text('8', 'https://issuer.example.com');

async function certificate(options: CertificateOptions = {}): Promise<X509Certificate> {
  const { der } = await leaf(CA, { names: [email('signer@example.com')], extra: [ISSUER], ...options });
  return X509Certificate.parse(Buffer.from(der));
}

async function refusal(options: CertificateOptions): Promise<unknown> {
  const parsed = await certificate(options);
  try {
    return readFulcioIdentity(parsed);
  } catch (error) {
    return error;
  }
}

describe('who a keyless certificate speaks for', () => {
  it('is its one name and the issuer in either extension, or in both alike', async () => {
    const who = { identity: 'signer@example.com', issuer: 'https://issuer.example.com' };
    for (const extra of [[ISSUER], [old('https://issuer.example.com')], [ISSUER, old('https://issuer.example.com')]])
      expect(readFulcioIdentity(await certificate({ extra }))).toEqual(who);
    expect(readFulcioIdentity(await certificate({ names: [uri('https://ci.example.com/job')] }))).toMatchObject({ identity: 'https://ci.example.com/job' });
  });

  it.each<[string, CertificateOptions]>([
    ['has an extension twice', { extra: [ISSUER, extension('1.2.3', bytes(5, 0)), extension('1.2.3', bytes(5, 0))] }],
    ['is a CA certificate', { ca: true }],
    ['lacks the key usage digitalSignature', { keyUsage: ['keyAgreement'] }],
    ['lacks the key usage digitalSignature', { keyUsage: undefined }],
    ['lacks the extended key usage codeSigning', { purposes: [SERVER_AUTH] }],
    ['lacks the extended key usage codeSigning', { purposes: undefined as never }],
    ['has an unreadable issuer extension', { extra: [extension('1.3.6.1.4.1.57264.1.8', bytes(0x13, 1, 0x61))] }],
    ['has an unreadable issuer extension', { extra: [extension('1.3.6.1.4.1.57264.1.8', bytes(0x8c, 1, 0x61))] }],
  ])('is not told where it %s', async (problem, options) => {
    expect(await refusal(options)).toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: `the signing certificate ${problem}`,
      hint: expect.stringContaining('comes from Fulcio with codeSigning and digitalSignature'),
    });
  });

  it('is not told where an extension cannot be read', async () => {
    const error = await refusal({ keyUsage: undefined, extra: [ISSUER, extension('2.5.29.15', bytes(5, 0))] });
    expect(error).toMatchObject({ code: 'CERT_CHAIN_INVALID', message: expect.stringMatching(/cannot be read|lacks the key usage/) });
  });

  it.each<[string, readonly GeneralName[]]>([
    ['0', []],
    ['2', [email('a@example.com'), email('b@example.com')]],
  ])('is not told by %s names', async (count, names) => {
    expect(await refusal({ names })).toMatchObject({
      code: 'SIGNER_UNTRUSTED',
      message: `the signing certificate has ${count} subject alternative names, expected exactly 1`,
      hint: expect.stringContaining('for one identity'),
    });
  });

  it('is not told without the extension that names it', async () => {
    const { der } = await leaf(CA, { extra: [ISSUER] });
    expect(() => readFulcioIdentity(X509Certificate.parse(Buffer.from(der)))).toThrow(
      expect.objectContaining({ code: 'SIGNER_UNTRUSTED', message: expect.stringContaining('has 0 subject') }),
    );
  });

  it.each([dns('example.com'), email('a b@example.com'), email('a\x7f@example.com'), email('a\n@example.com')])(
    'is not told by a name of another form, or one that cannot be shown (%#)',
    async (name) => {
      expect(await refusal({ names: [name] })).toMatchObject({
        code: 'SIGNER_UNTRUSTED',
        message: 'the subject alternative name of the signing certificate is neither an e-mail address nor a URI',
      });
    },
  );

  it.each<[string, readonly Extension[]]>([
    ['no', []],
    ['no single', [ISSUER, old('https://other.example.com')]],
    ['no single', [text('8', '')]],
    ['no single', [text('8', 'https://issuer example.com')]],
  ])('is not told with %s issuer', async (which, extra) => {
    expect(await refusal({ extra })).toMatchObject({
      code: 'SIGNER_UNTRUSTED',
      message: `the signing certificate names ${which} OIDC issuer`,
      hint: expect.stringContaining('without it the identity means nothing'),
    });
  });
});

describe('claims of the CI service', () => {
  const REF = '14';
  const claimsWith = async (...extra: readonly Extension[]) => readFulcioClaims(await certificate({ extra: [ISSUER, ...extra] }));

  it('are read as they stand, up to 4096 characters', async () => {
    expect(await claimsWith(text(REF, 'refs/tags/v1'))).toEqual({ sourceRepositoryRef: 'refs/tags/v1' });
    expect(await claimsWith(text(REF, 'x'.repeat(4096)))).toEqual({ sourceRepositoryRef: 'x'.repeat(4096) });
  });

  it.each([
    ['that are longer', text(REF, 'x'.repeat(4097))],
    ['that are empty', text(REF, '')],
    ['that cannot be shown', text(REF, 'refs/tags/v\u00e9')],
    ['of another type', extension(`1.3.6.1.4.1.57264.1.${REF}`, bytes(0x13, 1, 0x61))],
    ['with a tag of the context', extension(`1.3.6.1.4.1.57264.1.${REF}`, bytes(0x8c, 1, 0x61))],
    ['that are no DER', extension(`1.3.6.1.4.1.57264.1.${REF}`, bytes(0x0c, 0x7f, 0x61))],
    ['that are nothing', extension(`1.3.6.1.4.1.57264.1.${REF}`, bytes())],
  ])('%s are left out', async (_, extra) => {
    expect(await claimsWith(extra).catch((error: unknown) => (error instanceof AppError ? error.code : error))).toEqual({});
  });
});
