// SPDX-License-Identifier: Apache-2.0
import { Utf8String } from 'asn1js';
import { beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { verifyWithSigstore } from '../../src/trust/sigstore.ts';
import type { VerifiedPayload } from '../../src/trust/trust.ts';
import { type CertificateOptions, days, dns, email, extension, keyPair, leaf, NOW, PAYLOAD, SERVER_AUTH, uri } from './pki.ts';
import { IDENTITY, type Instance, ISSUER, type Json, SIGNED_AT, type SignOptions, startInstance } from './sigstoreInstance.ts';

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance();
});

async function verify(options: SignOptions = {}, json: unknown = instance.trustedRoot, now = NOW): Promise<VerifiedPayload> {
  return verifyWithSigstore(await instance.sign(options), { kind: 'sigstore', root: { json, description: 'the test root', date: '2026-01-01' } }, now);
}

/** The trusted root, changed. */
function rootWith(change: Json): Json {
  return { ...structuredClone(instance.trustedRoot), ...change };
}

const entry = (bundle: Json) => bundle['verificationMaterial'].tlogEntries[0];

describe('a keyless bundle verifies', () => {
  it('with an entry of Rekor v1 and states the facts of the signer', async () => {
    const payload = await verify();
    expect(payload.bytes).toEqual(PAYLOAD);
    expect(payload.signer).toEqual({
      kind: 'sigstore',
      identity: IDENTITY,
      issuer: ISSUER,
      times: [{ source: 'log', at: SIGNED_AT }],
      logs: [{ logId: expect.stringMatching(/^[0-9a-f]{64}$/), logIndex: expect.stringMatching(/^\d+$/) }],
      root: 'the test root',
      key: { curve: 'P-256', fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
  });

  it('with the claims of the CI service, of which unreadable ones are left out', async () => {
    const text = (id: number, value: string) => extension(`1.3.6.1.4.1.57264.1.${id}`, new Utf8String({ value }).toBER());
    const extra = [
      text(12, 'https://github.com/org/repo'),
      text(14, 'refs/tags/v1'),
      text(20, 'pu\u202Esh'),
      extension('1.3.6.1.4.1.57264.1.18', new Uint8Array([1]).buffer),
    ];
    await expect(verify({ leaf: { extra } })).resolves.toMatchObject({
      signer: { claims: { sourceRepositoryUri: 'https://github.com/org/repo', sourceRepositoryRef: 'refs/tags/v1' } },
    });
    const { signer } = await verify({ leaf: { extra } });
    expect(Object.keys((signer.kind === 'sigstore' && signer.claims) || {})).toEqual(['sourceRepositoryUri', 'sourceRepositoryRef']);
  });

  it.each(['dsse/0.0.2', 'hashedrekord/0.0.2'] as const)('with an entry of Rekor v2 (%s) and a timestamp', async (kind) => {
    await expect(verify({ entry: kind })).resolves.toMatchObject({ signer: { times: [{ source: 'timestamp', at: SIGNED_AT }] } });
  });

  it('of Rekor v2 whose unsigned index is not what the report says', async () => {
    const payload = await verify({ entry: 'dsse/0.0.2', alter: (b) => Object.assign(entry(b), { logIndex: '4711' }) });
    expect(payload.signer).toMatchObject({ logs: [{ logIndex: '0' }] });
  });

  it('with a log time and a timestamp', async () => {
    await expect(verify({ timestamps: [SIGNED_AT] })).resolves.toMatchObject({ signer: { times: [{ source: 'log' }, { source: 'timestamp' }] } });
  });

  it('with a P-384 key and with a URI identity', async () => {
    await expect(verify({ leaf: { key: 'P-384' } })).resolves.toBeDefined();
    const workflow = 'https://github.com/acme/models/.github/workflows/sign.yml@refs/heads/main';
    await expect(verify({ leaf: { names: [uri(workflow)] } })).resolves.toMatchObject({ signer: { identity: workflow } });
  });

  it('with the issuer in only one of its two extensions', async () => {
    await expect(verify({ issuerV1: undefined })).resolves.toMatchObject({ signer: { issuer: ISSUER } });
    await expect(verify({ issuerV2: undefined })).resolves.toMatchObject({ signer: { issuer: ISSUER } });
  });

  it('when it carries a timestamp that no authority of the root can judge, by the log’s time', async () => {
    const payload = await verify({ timestamps: [SIGNED_AT] }, rootWith({ timestampAuthorities: [] }));
    expect(payload.signer).toMatchObject({ times: [{ source: 'log' }] });
  });
});

describe('the signature', () => {
  it('has to be by the certificate’s key and over this payload', async () => {
    await expect(verify({ signWith: keyPair('P-256') })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    const altered: SignOptions = {
      alter: (b) => {
        b['dsseEnvelope'].payload = Buffer.from('{"_type":"other"}').toString('base64');
      },
    };
    await expect(verify(altered)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });
});

describe('the certificate', () => {
  it('of an unknown CA is refused, with its issuer, the root’s description and what to do', async () => {
    const other = await startInstance();
    await expect(verify({}, rootWith({ certificateAuthorities: other.trustedRoot['certificateAuthorities'] }))).rejects.toMatchObject({
      code: 'CERT_CHAIN_INVALID',
    });
    const renamed = structuredClone(other.trustedRoot['certificateAuthorities']);
    renamed[0].certChain.certificates = structuredClone(instance.trustedRoot['timestampAuthorities'][0].certChain.certificates);
    await expect(verify({}, rootWith({ certificateAuthorities: renamed }))).rejects.toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: expect.stringMatching(/'CN=fulcio'.*the test root/),
      hint: expect.stringContaining('--tuf-refresh'),
    });
  });

  it('needs a certificate transparency proof', async () => {
    await expect(verify({ sct: 'none' })).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
    const other = await startInstance();
    await expect(verify({}, rootWith({ ctlogs: other.trustedRoot['ctlogs'] }))).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
  });

  it('has to be valid when it was logged', async () => {
    await expect(verify({ loggedAt: days(1, SIGNED_AT) })).rejects.toMatchObject({
      code: 'CERT_CHAIN_INVALID',
      message: expect.stringContaining('was valid from'),
    });
    await expect(verify({ loggedAt: days(-1, SIGNED_AT) })).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
  });

  it.each<[string, CertificateOptions]>([
    ['without code signing', { purposes: [SERVER_AUTH] }],
    ['without any extended usage', { purposes: [] }],
    ['without digitalSignature', { keyUsage: ['keyAgreement'] }],
    ['with an unreadable key usage', { keyUsage: undefined, extra: [extension('2.5.29.15', new Uint8Array([5, 0]).buffer)] }],
    ['that is a CA', { ca: true, keyUsage: ['digitalSignature', 'keyCertSign'] }],
    ['with an extension twice', { extra: [extension('1.2.3', new Uint8Array([5, 0]).buffer), extension('1.2.3', new Uint8Array([5, 0]).buffer)] }],
  ])('%s is refused', async (_, options) => {
    await expect(verify({ leaf: options })).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
  });

  it.each<[string, SignOptions]>([
    ['no name', { leaf: { names: [] } }],
    ['two names', { leaf: { names: [email('attacker@example.com'), email(IDENTITY)] } }],
    ['a DNS name', { leaf: { names: [dns('example.com')] } }],
    ['a name with a control character', { leaf: { names: [email('signer@example.com\n')] } }],
    ['no issuer', { issuerV1: undefined, issuerV2: undefined }],
    ['two issuers', { issuerV1: 'https://other.example.com' }],
    ['an empty issuer', { issuerV1: undefined, issuerV2: '' }],
  ])('with %s tells no signer', async (_, options) => {
    await expect(verify(options)).rejects.toMatchObject({ code: 'SIGNER_UNTRUSTED' });
  });

  it('with an issuer of another type is refused', async () => {
    const printableString = extension('1.3.6.1.4.1.57264.1.8', new Uint8Array([0x13, 1, 0x61]).buffer);
    await expect(verify({ issuerV2: undefined, leaf: { extra: [printableString] } })).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
  });

  it('has to be DER and of an accepted algorithm', async () => {
    const withLeaf = (rawBytes: Buffer): SignOptions => ({
      alter: (b) => {
        b['verificationMaterial'].certificate.rawBytes = rawBytes.toString('base64');
      },
    });
    await expect(verify(withLeaf(Buffer.from('garbage')))).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
    const rsa = await leaf(instance.ca, { key: 'rsa-2048' });
    await expect(verify(withLeaf(rsa.der))).rejects.toMatchObject({ code: 'ALGORITHM_REFUSED' });
    await expect(verify(withLeaf(Buffer.concat([rsa.der, Buffer.from([0])])))).rejects.toMatchObject({ code: 'CERT_CHAIN_INVALID' });
  });
});

describe('the log entry', () => {
  it('of an unknown log is refused, with the log’s id and what to do', async () => {
    const other = await startInstance();
    await expect(verify({}, rootWith({ tlogs: other.trustedRoot['tlogs'] }))).rejects.toMatchObject({
      code: 'LOG_PROOF_INVALID',
      message: expect.stringMatching(/log [0-9a-f]{64}.*the test root/),
      hint: expect.stringContaining('--trusted-root'),
    });
  });

  it.each(['dsse/0.0.1', 'dsse/0.0.2', 'hashedrekord/0.0.2'] as const)('(%s) has to be about the bundle’s certificate', async (kind) => {
    const other = await leaf(instance.ca);
    await expect(verify({ entry: kind, loggedCertificate: other.der })).rejects.toMatchObject({
      code: 'LOG_PROOF_INVALID',
      message: expect.stringContaining('certificate'),
    });
  });

  it('has to be about this signature and payload', async () => {
    const other = Buffer.alloc(32).toString('hex');
    await expect(verify({ alterBody: (b) => Object.assign(b['spec'].payloadHash, { value: other }) })).rejects.toMatchObject({ code: 'LOG_PROOF_INVALID' });
    await expect(verify({ alterBody: (b) => Object.assign(b['spec'].signatures[0], { signature: 'AAAA' }) })).rejects.toMatchObject({
      code: 'LOG_PROOF_INVALID',
    });
    const digest = Buffer.alloc(32).toString('base64');
    await expect(verify({ entry: 'hashedrekord/0.0.2', alterBody: (b) => Object.assign(b['spec'].hashedRekordV002.data, { digest }) })).rejects.toMatchObject({
      code: 'LOG_PROOF_INVALID',
    });
  });

  it.each<[string, NonNullable<SignOptions['alter']>]>([
    ['no inclusion proof', (b) => delete entry(b).inclusionProof],
    ['no checkpoint', (b) => delete entry(b).inclusionProof.checkpoint],
    ['another root hash', (b) => Object.assign(entry(b).inclusionProof, { rootHash: Buffer.alloc(32).toString('base64') })],
    ['another tree size', (b) => Object.assign(entry(b).inclusionProof, { treeSize: '2' })],
    ['another index', (b) => Object.assign(entry(b).inclusionProof, { logIndex: '1' })],
    ['an index that is no number', (b) => Object.assign(entry(b).inclusionProof, { logIndex: '-1' })],
    ['too many hashes', (b) => Object.assign(entry(b).inclusionProof, { hashes: Array(200).fill('AAAA') })],
    ['an altered promise', (b) => Object.assign(entry(b).inclusionPromise, { signedEntryTimestamp: 'AAAA' })],
    ['another time', (b) => Object.assign(entry(b), { integratedTime: String(SIGNED_AT.getTime() / 1000 + 1) })],
    ['another kind than its body', (b) => Object.assign(entry(b).kindVersion, { version: '0.0.2' })],
    ['an unknown kind', (b) => Object.assign(entry(b).kindVersion, { kind: 'intoto' })],
    ['a body that is no JSON', (b) => Object.assign(entry(b), { canonicalizedBody: 'AAAA' })],
    ['a twin', (b) => b['verificationMaterial'].tlogEntries.push(entry(b))],
    ['too many siblings', (b) => b['verificationMaterial'].tlogEntries.push(...Array(16).fill(entry(b)))],
  ])('with %s is refused', async (_, alter) => {
    await expect(verify({ alter })).rejects.toMatchObject({ code: expect.stringMatching(/^(LOG_PROOF|TIMESTAMP)_INVALID$/) });
  });

  it('whose checkpoint another key signed is refused', async () => {
    const forged = (await startInstance()).sign();
    const other = (await forged).material.bundle;
    const envelope = entry(structuredClone(other)).inclusionProof;
    await expect(verify({ alter: (b) => Object.assign(entry(b), { inclusionProof: envelope }) })).rejects.toMatchObject({ code: 'LOG_PROOF_INVALID' });
  });

  it('with two certificates in its body is refused', async () => {
    const twice = (b: Json) => {
      const signature = b['spec'].signatures[0];
      const text = Buffer.from(signature.verifier, 'base64').toString();
      signature.verifier = Buffer.from(text + text).toString('base64');
    };
    await expect(verify({ alterBody: twice })).rejects.toMatchObject({ code: 'LOG_PROOF_INVALID' });
    await expect(verify({ alterBody: (b) => Object.assign(b['spec'].signatures[0], { verifier: 'AAAA' }) })).rejects.toMatchObject({
      code: 'LOG_PROOF_INVALID',
    });
    const key = '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n';
    await expect(verify({ alterBody: (b) => Object.assign(b['spec'].signatures[0], { verifier: Buffer.from(key).toString('base64') }) })).rejects.toMatchObject(
      {
        code: 'LOG_PROOF_INVALID',
      },
    );
  });

  it('of Rekor v2 has to come from a log in service at that time', async () => {
    const tlogs = structuredClone(instance.trustedRoot['tlogs']);
    tlogs[0].publicKey.validFor = { start: days(-365).toISOString(), end: days(-100).toISOString() };
    await expect(verify({ entry: 'dsse/0.0.2' }, rootWith({ tlogs }))).rejects.toMatchObject({ code: 'LOG_PROOF_INVALID' });
  });

  it('that lacks parts makes the bundle malformed', async () => {
    await expect(verify({ alter: (b) => delete entry(b).kindVersion })).rejects.toMatchObject({ code: 'BUNDLE_MALFORMED' });
    await expect(verify({ alter: (b) => delete entry(b).logId })).rejects.toMatchObject({ code: 'BUNDLE_MALFORMED' });
  });
});

describe('time', () => {
  it('without any source is refused', async () => {
    // The words that people look for.
    const message = expect.stringContaining('not enough timestamps validated');
    await expect(verify({ entry: 'dsse/0.0.2', timestamps: [] })).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID', message });
    await expect(verify({ alter: (b) => delete entry(b).inclusionPromise })).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID' });
  });

  it('of a garbage or foreign timestamp is refused even beside a good log time', async () => {
    const other = await (await startInstance()).sign({ timestamps: [SIGNED_AT] });
    const [foreign] = other.material.timestamps;
    for (const signedTimestamp of ['AAAA', foreign?.toString('base64')]) {
      const alter = (b: Json) => {
        b['verificationMaterial'].timestampVerificationData.rfc3161Timestamps = [{ signedTimestamp }];
      };
      await expect(verify({ alter })).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID' });
    }
  });

  it('in the future is refused', async () => {
    await expect(verify({}, instance.trustedRoot, days(-2))).rejects.toMatchObject({ code: 'LOG_PROOF_INVALID', message: expect.stringContaining('future') });
    await expect(verify({ entry: 'dsse/0.0.2' }, instance.trustedRoot, days(-2))).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID' });
  });
});

describe('the trusted root', () => {
  it.each(['certificateAuthorities', 'tlogs', 'ctlogs'])('without %s is unusable', async (member) => {
    await expect(verify({}, rootWith({ [member]: [] }))).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
  });

  it('that is something else is unusable', async () => {
    await expect(verify({}, { tlogs: [{}] })).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
    await expect(verify({}, 7)).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
  });
});

describe('a hostile bundle', () => {
  const members = (value: unknown, path: readonly string[] = []): readonly (readonly string[])[] =>
    typeof value === 'object' && value !== null ? Object.entries(value).flatMap(([name, inner]) => [[...path, name], ...members(inner, [...path, name])]) : [];
  const holder = (bundle: Json, path: readonly string[]): Json => path.slice(0, -1).reduce((inner, name) => inner[name], bundle);

  it('is refused whichever text in it is altered', async () => {
    const { bundle } = (await instance.sign({ timestamps: [SIGNED_AT] })).material;
    const texts = members(bundle).filter((path) => typeof holder(bundle, path)[path.at(-1) ?? ''] === 'string' && path.at(-1) !== 'keyid');
    expect(texts.length).toBeGreaterThan(15);
    for (const path of texts) {
      const alter = (altered: Json) => Object.assign(holder(altered, path), { [path.at(-1) ?? '']: flipped(holder(altered, path)[path.at(-1) ?? '']) });
      await expect(verify({ timestamps: [SIGNED_AT], alter }), path.join('.')).rejects.toBeInstanceOf(AppError);
    }
  });

  it('never causes anything but a refusal when a part has another type or is missing', async () => {
    for (const path of members((await instance.sign()).material.bundle)) {
      for (const value of [undefined, null, 7, '', [null]]) {
        const alter = (bundle: Json) => Object.assign(holder(bundle, path), { [path.at(-1) ?? '']: value });
        const outcome = await verify({ alter }).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome, `${path.join('.')} = ${JSON.stringify(value)}`).toBeInstanceOf(AppError);
        if (outcome instanceof AppError) expect(outcome.code).not.toBe('INTERNAL');
      }
    }
  });
});

/** One bit of base64 content, or the last character of a text. */
function flipped(text: string): string {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length > 0 && bytes.toString('base64') === text && !/^\d+$/.test(text)) {
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    return bytes.toString('base64');
  }
  return text.slice(0, -1) + (text.endsWith('1') ? '2' : '1');
}
