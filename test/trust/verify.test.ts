// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import type { ParsedBundle } from '../../src/oms/bundle.ts';
import { PAYLOAD_TYPE } from '../../src/oms/dsse.ts';
import type { TrustAnchors } from '../../src/trust/trust.ts';
import { verifySignature } from '../../src/trust/verify.ts';
import { NOW, PAYLOAD } from './pki.ts';
import { startInstance } from './sigstoreInstance.ts';

const MATERIALS = {
  key: { kind: 'key', timestamps: [] },
  certificate: { kind: 'certificate', chain: [Buffer.alloc(1)], timestamps: [] },
  sigstore: { kind: 'sigstore', certificate: Buffer.alloc(1), bundle: {}, timestamps: [] },
} as const satisfies Record<string, ParsedBundle['material']>;

const ANCHORS = {
  key: { kind: 'key', keys: [] as never },
  certificate: { kind: 'certificate', anchors: [Buffer.alloc(1)], helpers: [], timestampAuthorities: [], expired: 'refuse' },
  sigstore: { kind: 'sigstore', root: { json: {}, description: 'none' } },
} as const satisfies Record<string, TrustAnchors>;

const FLAGS = { key: '--public-key', certificate: '--ca (and --certificate-identity)', sigstore: '--identity and --issuer' };
const METHODS = ['key', 'certificate', 'sigstore'] as const;

it.each(METHODS.flatMap((wanted) => METHODS.filter((found) => found !== wanted).map((found) => [found, wanted] as const)))(
  'a bundle by %s is never verified by %s: both are named, and what to give instead',
  async (found, wanted) => {
    const bundle: ParsedBundle = { envelope: { payload: PAYLOAD, payloadType: PAYLOAD_TYPE, signature: Buffer.alloc(70) }, material: MATERIALS[found] };
    await expect(verifySignature(bundle, ANCHORS[wanted], NOW)).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
      message: `the bundle was signed with the ${found} method, but trust is given for the ${wanted} method`,
      hint: `If the publisher signs that way, give ${FLAGS[found]}; a bundle never chooses its own method.`,
      context: { expected: wanted, found },
    });
  },
);

it('a keyless bundle is verified by the root', async () => {
  const instance = await startInstance();
  const root = { json: instance.trustedRoot, description: 'the test root', date: '2026-01-01' };
  await expect(verifySignature(await instance.sign(), { kind: 'sigstore', root }, NOW)).resolves.toMatchObject({
    bytes: PAYLOAD,
    encoding: 'DSSEv1',
    signer: { kind: 'sigstore' },
  });
});
