// SPDX-License-Identifier: Apache-2.0
// A private Sigstore instance in memory: Fulcio-like CA (ours), certificate transparency and transparency logs (@sigstore/mock), a timestamp authority (ours).
import { createHash, randomBytes } from 'node:crypto';
import { initializeCTLog, initializeTLog } from '@sigstore/mock';
import * as asn1js from 'asn1js';
import { AuthorityKeyIdentifier, type Extension } from 'pkijs';
import type { NonEmpty } from '../../src/base/brands.ts';
import { type ParsedBundle, parseBundle } from '../../src/oms/bundle.ts';
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding } from '../../src/oms/dsse.ts';
import {
  authority,
  type CertificateOptions,
  days,
  email,
  extension,
  issue,
  type KeyPair,
  keyPair,
  PAYLOAD,
  type Party,
  root,
  signatureOf,
  timestamp,
} from './pki.ts';

export const IDENTITY = 'signer@example.com';
export const ISSUER = 'https://issuer.example.com/oauth2';
export const SIGNED_AT = days(-1);
const REKOR = 'https://rekor.example.com';

type SigstoreBundle = ParsedBundle & { readonly material: Extract<ParsedBundle['material'], { kind: 'sigstore' }> };
/** JSON that tests take apart. */
// biome-ignore lint/suspicious/noExplicitAny: a bundle and a trusted root are edited at arbitrary depth
export type Json = { [name: string]: any };

export type SignOptions = {
  readonly leaf?: CertificateOptions;
  readonly issuerV1?: string | undefined;
  readonly issuerV2?: string | undefined;
  readonly sct?: 'none';
  readonly entry?: 'dsse/0.0.1' | 'dsse/0.0.2' | 'hashedrekord/0.0.2';
  readonly loggedAt?: Date;
  /** Certificate inside the log entry, when it is not the bundle's. */
  readonly loggedCertificate?: Buffer;
  readonly timestamps?: readonly Date[];
  readonly signWith?: KeyPair;
  /** Changes the bundle's JSON at the end. */
  readonly alter?: (bundle: Json) => void;
  /** Changes the log entry's body before it is logged. */
  readonly alterBody?: (body: Json) => void;
};

export type Instance = {
  readonly trustedRoot: Json;
  readonly ca: Party;
  readonly tsa: Party;
  readonly tsaRoot: Party;
  /** A leaf with the instance's extensions. */
  issueLeaf(options: SignOptions): Promise<Party>;
  /** What Rekor v1 answers: `{ id: entry }`. */
  log(body: Json, at: Date): Promise<Json>;
  sign(options?: SignOptions): Promise<SigstoreBundle>;
};

/** `at`: when it signs. */
export async function startInstance(at = SIGNED_AT): Promise<Instance> {
  // Strict verifiers want to be told which key signed (RFC 5280 §4.2.1.1).
  const keyId = new asn1js.OctetString({ valueHex: arrayBuffer(randomBytes(20)) });
  const ca = await root({ subject: 'fulcio', from: days(-365, at), to: days(365, at), extra: [extension('2.5.29.14', keyId.toBER())] });
  const issuedBy = extension('2.5.29.35', new AuthorityKeyIdentifier({ keyIdentifier: keyId }).toSchema().toBER());
  const tsaRoot = await root({ subject: 'tsa root', from: days(-3650, at), to: days(3650, at) });
  const tsa = await authority(tsaRoot, { from: days(-365, at), to: days(365, at) });
  const ctKeys = keyPair('P-256');
  const ctLog = await initializeCTLog(ctKeys, at);
  const logKeys = keyPair('P-256');

  const trustedRoot: Json = {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [log(REKOR, logKeys)],
    certificateAuthorities: [authorities('https://fulcio.example.com', [ca])],
    ctlogs: [log('https://ct.example.com', ctKeys)],
    timestampAuthorities: [authorities('https://tsa.example.com', [tsa, tsaRoot])],
  };

  const issueLeaf = async (options: SignOptions): Promise<Party> => {
    const keys = typeof options.leaf?.key === 'object' ? options.leaf.key : keyPair(options.leaf?.key ?? 'P-256');
    const { issuerV1, issuerV2 } = { issuerV1: ISSUER, issuerV2: ISSUER, ...options };
    const serial = Buffer.from([1, ...randomBytes(15)]);
    const extra: Extension[] = [issuedBy, ...(options.leaf?.extra ?? [])];
    if (issuerV1 !== undefined) extra.push(extension('1.3.6.1.4.1.57264.1.1', new Uint8Array(Buffer.from(issuerV1)).buffer));
    if (issuerV2 !== undefined) extra.push(extension('1.3.6.1.4.1.57264.1.8', new asn1js.Utf8String({ value: issuerV2 }).toBER()));
    const make = (more: readonly Extension[]): Promise<Party> =>
      issue({
        subject: [],
        issuer: ca,
        keyUsage: ['digitalSignature'],
        purposes: ['1.3.6.1.5.5.7.3.3'],
        names: [email(IDENTITY)],
        from: new Date(at.getTime() - 60_000),
        to: new Date(at.getTime() + 540_000),
        ...options.leaf,
        key: keys,
        serial,
        extra: more,
      });
    const precertificate = await make(extra);
    if (options.sct === 'none') return precertificate;
    const issuerKeyHash = createHash('sha256')
      .update(ca.publicKey.export({ format: 'der', type: 'spki' }))
      .digest();
    const sct = Buffer.from(await ctLog.log(arrayBuffer(precertificate.der), arrayBuffer(issuerKeyHash)));
    // The mock's SCT already begins with its own length.
    const list = Buffer.concat([uint16(sct.length), sct]);
    return make([...extra, extension('1.3.6.1.4.1.11129.2.4.2', new asn1js.OctetString({ valueHex: arrayBuffer(list) }).toBER())]);
  };

  const logEntry = async (body: Json, loggedAt: Date): Promise<Json> => (await initializeTLog(REKOR, logKeys, loggedAt)).log(body);

  const sign = async (options: SignOptions = {}): Promise<SigstoreBundle> => {
    const leaf = await issueLeaf(options);
    const signature = signatureOf(options.signWith ?? leaf);
    const kind = options.entry ?? 'dsse/0.0.1';
    const envelope: Envelope = { payload: PAYLOAD, payloadType: PAYLOAD_TYPE, signature };
    const body = entryBody(kind, envelope, options.loggedCertificate ?? leaf.der);
    options.alterBody?.(body);
    const loggedAt = options.loggedAt ?? at;
    const [logged]: readonly Json[] = Object.values(await logEntry(body, loggedAt));
    if (logged?.['verification']?.inclusionProof === undefined) throw new Error('not logged');
    const { inclusionProof: proof, signedEntryTimestamp } = logged['verification'];
    const [name, version] = kind.split('/');
    const rekorV1 = version === '0.0.1';
    const stamps = options.timestamps ?? (rekorV1 ? [] : [at]);
    const bundle: Json = {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: {
        certificate: { rawBytes: leaf.der.toString('base64') },
        tlogEntries: [
          {
            logIndex: String(logged['logIndex']),
            logId: { keyId: Buffer.from(logged['logID'], 'hex').toString('base64') },
            kindVersion: { kind: name, version },
            ...(rekorV1 ? { integratedTime: String(logged['integratedTime']), inclusionPromise: { signedEntryTimestamp } } : {}),
            inclusionProof: {
              logIndex: String(proof.logIndex),
              rootHash: Buffer.from(proof.rootHash, 'hex').toString('base64'),
              treeSize: String(proof.treeSize),
              hashes: proof.hashes,
              checkpoint: { envelope: proof.checkpoint },
            },
            canonicalizedBody: logged['body'],
          },
        ],
        timestampVerificationData: {
          rfc3161Timestamps: await Promise.all(
            stamps.map(async (stamp) => ({ signedTimestamp: (await timestamp(signature, tsa, { at: stamp })).toString('base64') })),
          ),
        },
      },
      dsseEnvelope: {
        payload: PAYLOAD.toString('base64'),
        payloadType: PAYLOAD_TYPE,
        signatures: [{ sig: signature.toString('base64'), keyid: '' }],
      },
    };
    options.alter?.(bundle);
    const parsed = parseBundle(Buffer.from(JSON.stringify(bundle)));
    if (parsed.material.kind !== 'sigstore') throw new Error('not a sigstore bundle');
    return { ...parsed, material: parsed.material };
  };

  return { trustedRoot, ca, tsa, tsaRoot, issueLeaf, log: logEntry, sign };
}

/** What a log keeps of a DSSE envelope. */
export function entryBody(kind: NonNullable<SignOptions['entry']>, envelope: Envelope, certificate: Buffer): Json {
  const [name, apiVersion] = kind.split('/');
  const { payload, signature } = envelope;
  const verifier = { keyDetails: 'PKIX_ECDSA_P256_SHA_256', x509Certificate: { rawBytes: certificate.toString('base64') } };
  const content = signature.toString('base64');
  const sha256 = (data: Buffer): Buffer => createHash('sha256').update(data).digest();
  switch (kind) {
    case 'dsse/0.0.1': {
      const text = `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
      return {
        apiVersion,
        kind: name,
        spec: {
          envelopeHash: { algorithm: 'sha256', value: sha256(payload).toString('hex') },
          payloadHash: { algorithm: 'sha256', value: sha256(payload).toString('hex') },
          signatures: [{ signature: content, verifier: Buffer.from(text).toString('base64') }],
        },
      };
    }
    case 'dsse/0.0.2': {
      const payloadHash = { algorithm: 'SHA2_256', digest: sha256(payload).toString('base64') };
      return { apiVersion, kind: name, spec: { dsseV002: { payloadHash, signatures: [{ content, verifier }] } } };
    }
    case 'hashedrekord/0.0.2': {
      const data = { algorithm: 'SHA2_256', digest: sha256(preAuthEncoding(envelope)).toString('base64') };
      return { apiVersion, kind: name, spec: { hashedRekordV002: { data, signature: { content, verifier } } } };
    }
  }
}

function log(baseUrl: string, { publicKey }: KeyPair): Json {
  const rawBytes = publicKey.export({ format: 'der', type: 'spki' });
  return {
    baseUrl,
    hashAlgorithm: 'SHA2_256',
    publicKey: { rawBytes: rawBytes.toString('base64'), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor: { start: days(-365).toISOString() } },
    logId: { keyId: createHash('sha256').update(rawBytes).digest('base64') },
  };
}

function authorities(uri: string, chain: NonEmpty<Party>): Json {
  return {
    subject: { organization: 'example', commonName: 'example' },
    uri,
    certChain: { certificates: chain.map(({ der }) => ({ rawBytes: der.toString('base64') })) },
    validFor: { start: days(-365).toISOString() },
  };
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function arrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
