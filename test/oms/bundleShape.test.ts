// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type HexDigest, isNonEmpty } from '../../src/base/brands.ts';
import { parseBundle } from '../../src/oms/bundle.ts';
import { type Envelope, PAYLOAD_TYPE } from '../../src/oms/dsse.ts';
import type { ModelPath } from '../../src/oms/path.ts';
import { type SignerMaterial, writeBundle, writeStatement } from '../../src/oms/write.ts';

// What the specification's schemas say of a bundle, member by member (OMS §3.1, §4, §5). The schemas themselves are asked by .ci/stages/vectors.sh.

const DIGEST = 'ab'.repeat(32) as HexDigest;
const DER = Buffer.from('a certificate');
const ENTRY = { logIndex: '1', canonicalizedBody: 'e30=' };
const WHOLE = [{ range: 'whole' as const, digest: DIGEST }];
const SHARDS = [
  { range: { start: 0, end: 10 }, digest: DIGEST },
  { range: { start: 10, end: 12 }, digest: DIGEST },
];

const materials: Readonly<Record<string, { readonly material: SignerMaterial; readonly json: object }>> = {
  key: { material: { kind: 'key', hint: DIGEST }, json: { publicKey: { hint: DIGEST }, tlogEntries: [] } },
  certificate: {
    material: { kind: 'certificate', chain: [DER, DER] },
    json: { x509CertificateChain: { certificates: [{ rawBytes: DER.toString('base64') }, { rawBytes: DER.toString('base64') }] }, tlogEntries: [] },
  },
  sigstore: {
    material: { kind: 'sigstore', certificate: DER, logEntries: [ENTRY] },
    json: { certificate: { rawBytes: DER.toString('base64') }, tlogEntries: [ENTRY] },
  },
};

function envelopeOf(parts: typeof WHOLE | typeof SHARDS, shardSizeBytes?: number): Envelope {
  const files = [{ path: 'folder/a' as ModelPath, parts }];
  const facts = { subjectName: 'model', files, algorithm: 'sha256', symlinks: 'reject', ignored: ['.git' as ModelPath] } as const;
  const { bytes } = writeStatement({ ...facts, ...(shardSizeBytes !== undefined && { shardSizeBytes }) });
  return { payload: bytes, payloadType: PAYLOAD_TYPE, signature: Buffer.from('a signature') };
}

describe.each(Object.entries(materials))('a bundle by %s', (kind, { material, json }) => {
  it.each([
    ['files', envelopeOf(WHOLE)],
    ['shards', envelopeOf(SHARDS, 10)],
  ])('over %s has these members and no others', (_method, envelope) => {
    expect(JSON.parse(writeBundle(envelope, material).toString())).toEqual({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: json,
      dsseEnvelope: {
        payload: envelope.payload.toString('base64'),
        payloadType: 'application/vnd.in-toto+json',
        signatures: [{ sig: envelope.signature.toString('base64') }],
      },
    });
  });

  it('holds its timestamps, and is read by the verifier', () => {
    const bundle = writeBundle(envelopeOf(WHOLE), material, [Buffer.from('one'), Buffer.from('two')]);
    const { verificationMaterial } = JSON.parse(bundle.toString()) as { verificationMaterial: object };
    expect(verificationMaterial).toEqual({
      ...json,
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: 'b25l' }, { signedTimestamp: 'dHdv' }] },
    });
    const parsed = parseBundle(bundle).material;
    expect(parsed.kind).toBe(kind);
    expect(isNonEmpty(parsed.timestamps) && parsed.timestamps.map(String)).toEqual(['one', 'two']);
  });
});

describe('a statement', () => {
  const read = (envelope: Envelope): unknown => JSON.parse(envelope.payload.toString());
  const around = (resources: readonly object[], serialization: object) => ({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'model', digest: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) } }],
    predicateType: 'https://model_signing/signature/v1.0',
    predicate: { resources, serialization: { hash_type: 'sha256', allow_symlinks: false, ignore_paths: ['.git'], ...serialization } },
  });

  it('over files has these members and no others', () => {
    expect(read(envelopeOf(WHOLE))).toEqual(around([{ name: 'folder/a', digest: DIGEST, algorithm: 'sha256' }], { method: 'files' }));
  });

  it('over shards has their size and labels, and ranges for names', () => {
    const shard = (range: string) => ({ name: `folder/a:${range}`, digest: DIGEST, algorithm: 'sha256-sharded-10' });
    expect(read(envelopeOf(SHARDS, 10))).toEqual(around([shard('0:10'), shard('10:12')], { method: 'shards', shard_size: 10 }));
  });
});
