// SPDX-License-Identifier: Apache-2.0
import { parseAnchors, parsePublicKeys } from '../../src/anchors/pem.ts';
import { parseSigningConfig, parseTrustConfig, parseTrustedRoot } from '../../src/anchors/rootFile.ts';
import { parseBundle } from '../../src/oms/bundle.ts';
import { PAYLOAD_TYPE } from '../../src/oms/dsse.ts';
import { readClaims, readManifest } from '../../src/oms/statement.ts';
import { refuseUnsafeNames } from '../../src/pipeline/names.ts';
import { readClaimedSigner } from '../../src/trust/claims.ts';
import { verifyTimestamp } from '../../src/trust/timestamp.ts';
import type { TrustAnchors } from '../../src/trust/trust.ts';
import { verifySignature } from '../../src/trust/verify.ts';
import { readCertificate } from '../../src/trust/x509.ts';
import { bundleOf, KEYS, SMALL_MODEL } from '../support/model.ts';
import { makeStatement, resourceOf, shardsOf, signResources } from '../support/signer.ts';
import * as pki from '../trust/pki.ts';
import { IDENTITY, startInstance } from '../trust/sigstoreInstance.ts';
import { must, type Target } from './target.ts';

/** What decides whom to believe. Whatever is changed, nothing but the genuine payload may come out as verified. */
export async function trustTargets(): Promise<readonly Target[]> {
  const root = await pki.root();
  const ca = await pki.intermediate(root);
  const leaf = await pki.leaf(ca, { names: [pki.email(IDENTITY)] });
  const tsaRoot = await pki.root({ subject: 'tsa root' });
  const tsa = await pki.authority(tsaRoot);
  const instance = await startInstance();
  const signature = pki.signatureOf(leaf);
  const stamp = await pki.timestamp(signature, tsa, { embed: [tsa, tsaRoot] });
  const keyBundle = bundleOf(SMALL_MODEL);
  const certificateBundle = json(pki.bundleOf(leaf, [leaf, ca], { timestamps: [stamp] }).material.chain, signature, stamp);
  const keyless = (await instance.sign({ timestamps: [pki.days(-1)] })).material.bundle;
  const keys = parsePublicKeys([{ bytes: Buffer.from(KEYS.publicPem), name: 'key' }]);

  const judged = (name: string, seeds: readonly Buffer[], anchors: TrustAnchors): Target => {
    const genuine = new Set(seeds.map((seed) => parseBundle(seed).envelope.payload.toString('latin1')));
    return {
      name,
      seeds,
      async run(input) {
        const bundle = parseBundle(input);
        readClaimedSigner(bundle.material);
        const payload = await verifySignature(bundle, anchors, pki.NOW);
        must(genuine.has(payload.bytes.toString('latin1')), 'a payload that nobody signed is called verified');
      },
    };
  };
  const certificateAnchors = (): TrustAnchors => ({
    kind: 'certificate',
    anchors: [root.der],
    helpers: [ca.der],
    timestampAuthorities: [tsaRoot.der],
    expired: 'refuse',
  });

  return [
    judged('bundle by key', [keyBundle, bundleOf({ 'a/b': 'c' })], { kind: 'key', keys }),
    judged('bundle by certificate', [certificateBundle], certificateAnchors()),
    judged('bundle by Sigstore', [Buffer.from(JSON.stringify(keyless))], { kind: 'sigstore', root: { json: instance.trustedRoot, description: 'test' } }),
    {
      name: 'certificate (DER)',
      seeds: [leaf.der, ca.der, root.der, instance.ca.der, tsa.der],
      async run(input) {
        const foreign = parseBundle(json([input], signature, stamp));
        const payload = await verifySignature(foreign, certificateAnchors(), pki.NOW);
        must(payload.bytes.equals(pki.PAYLOAD), 'a payload that nobody signed is called verified');
      },
    },
    {
      name: 'keyless certificate (DER)',
      seeds: [Buffer.from(certificateOf(keyless), 'base64')],
      async run(input) {
        const changed = JSON.parse(JSON.stringify(keyless)) as { verificationMaterial: { certificate: { rawBytes: string } } };
        changed.verificationMaterial.certificate.rawBytes = input.toString('base64');
        const bundle = parseBundle(Buffer.from(JSON.stringify(changed)));
        readClaimedSigner(bundle.material);
        await verifySignature(bundle, { kind: 'sigstore', root: { json: instance.trustedRoot, description: 'test' } }, pki.NOW);
        must(input.toString('base64') === certificateOf(keyless), 'a changed certificate is called verified');
      },
    },
    {
      name: 'timestamp (DER)',
      seeds: [stamp, await pki.timestamp(signature, tsa, { embed: [] })],
      async run(input) {
        const authority = readCertificate(tsaRoot.der);
        must(authority !== undefined, 'no authority');
        const verdict = await verifyTimestamp(input, signature, [authority], pki.NOW);
        if (verdict.kind === 'proven') must(verdict.at.getTime() === pki.days(-1).getTime(), 'a timestamp proves a time that nobody stamped');
        readClaimedSigner({ kind: 'key', timestamps: [input] });
      },
    },
    {
      name: 'statement',
      seeds: [
        Buffer.from(JSON.stringify(makeStatement([resourceOf('a', '1'), resourceOf('b/c', '2')]))),
        Buffer.from(JSON.stringify(makeStatement(shardsOf('w:1', Buffer.alloc(250, 'x'), 100), { serialization: { method: 'shards', shard_size: 100 } }))),
        Buffer.from(
          JSON.stringify({
            _type: 'https://in-toto.io/Statement/v1',
            predicateType: 'https://model_signing/Digests/v0.1',
            subject: [{ name: 'a', digest: { sha256: resourceOf('a', 'a').digest } }],
          }),
        ),
      ],
      run(input) {
        const { files } = readClaims({ bytes: input }, 1000);
        const names = files.map(({ path }) => path);
        must(new Set(names).size === names.length, 'a name comes twice');
        if (names.length > 1)
          must(
            names.every((name) => !/(?:^|\/)\.{0,2}(?:\/|$)/.test(name) && !name.includes('\0')),
            'a name leads out of the model',
          );
        refuseUnsafeNames(files);
      },
    },
    {
      name: 'PEM',
      seeds: [Buffer.from(KEYS.publicPem), Buffer.from(pki.pem(root, ca, leaf)), Buffer.from(`text\n${pki.pem(root)}more text\n`)],
      run(input) {
        const failures = [() => parsePublicKeys([{ bytes: input, name: 'input' }]), () => parseAnchors([{ bytes: input, name: 'input' }])].flatMap((parse) => {
          try {
            parse();
            return [];
          } catch (error) {
            return [error];
          }
        });
        // Each says what it thinks of it; both together are no good news.
        if (failures.length === 2) throw failures[0];
      },
    },
    {
      name: 'trusted root',
      seeds: [
        Buffer.from(JSON.stringify(instance.trustedRoot)),
        Buffer.from(
          JSON.stringify({ trustedRoot: instance.trustedRoot, signingConfig: { mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json' } }),
        ),
      ],
      run(input) {
        const material = { bytes: input, name: 'input' };
        const isRoot = attempt(() => parseTrustedRoot(material));
        const isConfig = attempt(() => parseTrustConfig(material));
        must(isRoot !== undefined || isConfig !== undefined, 'a document is a root and a configuration');
        attempt(() => parseSigningConfig(material, 'trust-config'));
        if (isRoot !== undefined && isConfig !== undefined) throw isRoot;
      },
    },
    {
      name: 'signed manifest of hostile names',
      seeds: [Buffer.from(['a/b', 'ä', 'config.json', 'weights/part-1.bin'].join('\n'))],
      async run(input) {
        const names = input.toString('utf8').split('\n');
        const bundle = parseBundle(
          signResources(
            names.map((name) => resourceOf(name, 'x')),
            KEYS,
          ),
        );
        const manifest = readManifest(await verifySignature(bundle, { kind: 'key', keys }, pki.NOW));
        must(
          manifest.files.every(({ path }) => names.includes(path)),
          'a name is read as another one',
        );
        refuseUnsafeNames(manifest.files);
      },
    },
  ];
}

/** What it threw; undefined when it did not. */
function attempt(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

function json(chain: readonly Buffer[], signature: Buffer, stamp: Buffer): Buffer {
  return Buffer.from(
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: {
        x509CertificateChain: { certificates: chain.map((der) => ({ rawBytes: der.toString('base64') })) },
        timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: stamp.toString('base64') }] },
      },
      dsseEnvelope: { payload: pki.PAYLOAD.toString('base64'), payloadType: PAYLOAD_TYPE, signatures: [{ sig: signature.toString('base64') }] },
    }),
  );
}

function certificateOf(bundle: unknown): string {
  return (bundle as { verificationMaterial: { certificate: { rawBytes: string } } }).verificationMaterial.certificate.rawBytes;
}
