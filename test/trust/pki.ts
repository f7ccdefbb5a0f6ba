// SPDX-License-Identifier: Apache-2.0
// A certificate authority, a signer and a timestamp authority for tests: everything is made at run time, nothing expires in the repository.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, type webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import type { NonEmpty } from '../../src/base/brands.ts';
import type { Material, ParsedBundle } from '../../src/oms/bundle.ts';
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding } from '../../src/oms/dsse.ts';

export const NOW = new Date('2026-06-01T12:00:00Z');
export const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
export const TIME_STAMPING = '1.3.6.1.5.5.7.3.8';
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const SHA256 = '2.16.840.1.101.3.4.2.1';
const SHA1 = '1.3.14.3.2.26';
const TST_INFO = '1.2.840.113549.1.9.16.1.4';

export type KeyKind = 'P-256' | 'P-384' | 'P-521' | 'secp256k1' | 'rsa-2048' | 'rsa-1024' | 'ed25519';
export type KeyPair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
export type Party = KeyPair & { readonly certificate: pkijs.Certificate; readonly der: Buffer };
export type Name = readonly (readonly [oid: string, value: string])[];

export type CertificateOptions = {
  readonly subject?: string | Name;
  /** Absent: self-signed. */
  readonly issuer?: Party;
  /** Writes this issuer name instead of the issuer's. */
  readonly issuerName?: string;
  readonly key?: KeyKind | KeyPair;
  readonly from?: Date;
  readonly to?: Date;
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: readonly ('digitalSignature' | 'keyCertSign' | 'keyAgreement')[] | undefined;
  readonly purposes?: readonly string[];
  readonly purposesCritical?: boolean;
  readonly names?: readonly pkijs.GeneralName[];
  readonly extra?: readonly pkijs.Extension[];
  readonly hash?: 'SHA-1' | 'SHA-256';
  /** 16 bytes; absent: random. */
  readonly serial?: Buffer;
};

export function days(count: number, from = NOW): Date {
  return new Date(from.getTime() + count * 86_400_000);
}

export function keyPair(kind: KeyKind): KeyPair {
  switch (kind) {
    case 'rsa-2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'rsa-1024':
      return generateKeyPairSync('rsa', { modulusLength: 1024 });
    case 'ed25519':
      return generateKeyPairSync('ed25519');
    default:
      return generateKeyPairSync('ec', { namedCurve: kind });
  }
}

export async function issue(options: CertificateOptions = {}): Promise<Party> {
  const keys = typeof options.key === 'object' ? options.key : keyPair(options.key ?? 'P-256');
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  certificate.serialNumber = new asn1js.Integer({ valueHex: new Uint8Array(options.serial ?? [1, ...randomBytes(15)]).buffer });
  certificate.subject = name(options.subject ?? 'leaf');
  certificate.issuer = options.issuerName !== undefined ? name(options.issuerName) : (options.issuer?.certificate.subject ?? certificate.subject);
  certificate.notBefore.value = options.from ?? days(-30);
  certificate.notAfter.value = options.to ?? days(30);
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(new Uint8Array(keys.publicKey.export({ format: 'der', type: 'spki' })));
  certificate.extensions = [...extensions(options)];
  await certificate.sign(await signingKey(options.issuer ?? keys, options.hash), options.hash ?? 'SHA-256');
  return { ...keys, certificate, der: Buffer.from(certificate.toSchema(true).toBER()) };
}

export async function root(options: CertificateOptions = {}): Promise<Party> {
  return issue({ subject: 'root', ca: true, keyUsage: ['keyCertSign'], from: days(-3650), to: days(3650), ...options });
}

export async function intermediate(issuer: Party, options: CertificateOptions = {}): Promise<Party> {
  return issue({ subject: 'intermediate', issuer, ca: true, keyUsage: ['keyCertSign'], from: days(-365), to: days(365), ...options });
}

export async function leaf(issuer: Party, options: CertificateOptions = {}): Promise<Party> {
  return issue({ subject: 'leaf', issuer, ca: false, keyUsage: ['digitalSignature'], purposes: [CODE_SIGNING], ...options });
}

export async function authority(issuer: Party, options: CertificateOptions = {}): Promise<Party> {
  return issue({
    subject: 'timestamp authority',
    issuer,
    ca: false,
    keyUsage: ['digitalSignature'],
    purposes: [TIME_STAMPING],
    purposesCritical: true,
    from: days(-365),
    to: days(365),
    ...options,
  });
}

export function email(address: string): pkijs.GeneralName {
  return new pkijs.GeneralName({ type: 1, value: address });
}

export function dns(host: string): pkijs.GeneralName {
  return new pkijs.GeneralName({ type: 2, value: host });
}

export function uri(text: string): pkijs.GeneralName {
  return new pkijs.GeneralName({ type: 6, value: text });
}

export function nameConstraints(permitted: readonly pkijs.GeneralName[], excluded: readonly pkijs.GeneralName[] = []): pkijs.Extension {
  const subtrees = (names: readonly pkijs.GeneralName[]): pkijs.GeneralSubtree[] => names.map((base) => new pkijs.GeneralSubtree({ base }));
  const value = new pkijs.NameConstraints({
    ...(permitted.length > 0 ? { permittedSubtrees: subtrees(permitted) } : {}),
    ...(excluded.length > 0 ? { excludedSubtrees: subtrees(excluded) } : {}),
  });
  return extension('2.5.29.30', value.toSchema().toBER(), true);
}

export function extension(id: string, value: ArrayBuffer, critical = false): pkijs.Extension {
  return new pkijs.Extension({ extnID: id, critical, extnValue: value });
}

export type TimestampOptions = {
  readonly at?: Date;
  readonly status?: number;
  readonly embed?: readonly Party[];
  readonly imprintOf?: Buffer;
  /** The digest itself, as a request holds it. */
  readonly imprint?: Buffer;
  readonly nonce?: asn1js.Integer;
  readonly imprintHash?: 'sha256' | 'sha1';
  readonly contentType?: string;
  readonly signedContentType?: string | undefined;
  /** Signs with another key than the certificate's. */
  readonly signWith?: KeyPair;
  readonly signers?: number;
};

/** An RFC 3161 response over `data`. */
export async function timestamp(data: Buffer, tsa: Party, options: TimestampOptions = {}): Promise<Buffer> {
  const imprintHash = options.imprintHash ?? 'sha256';
  const info = new pkijs.TSTInfo({
    version: 1,
    policy: '1.2.3.4',
    messageImprint: new pkijs.MessageImprint({
      hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: imprintHash === 'sha1' ? SHA1 : SHA256 }),
      hashedMessage: new asn1js.OctetString({
        valueHex: view(
          options.imprint ??
            createHash(imprintHash)
              .update(options.imprintOf ?? data)
              .digest(),
        ),
      }),
    }),
    serialNumber: new asn1js.Integer({ value: 7 }),
    genTime: options.at ?? days(-1),
    ...(options.nonce !== undefined && { nonce: options.nonce }),
  });
  const content = info.toSchema().toBER();
  const encapContentInfo = new pkijs.EncapsulatedContentInfo({ eContentType: options.contentType ?? TST_INFO });
  encapContentInfo.eContent = new asn1js.OctetString({ valueHex: content });
  const signedContentType = 'signedContentType' in options ? options.signedContentType : TST_INFO;
  const signer = (): pkijs.SignerInfo =>
    new pkijs.SignerInfo({
      version: 1,
      sid: new pkijs.IssuerAndSerialNumber({ issuer: tsa.certificate.issuer, serialNumber: tsa.certificate.serialNumber }),
      signedAttrs: new pkijs.SignedAndUnsignedAttributes({
        type: 0,
        attributes: [
          ...(signedContentType === undefined
            ? []
            : [new pkijs.Attribute({ type: '1.2.840.113549.1.9.3', values: [new asn1js.ObjectIdentifier({ value: signedContentType })] })]),
          new pkijs.Attribute({
            type: '1.2.840.113549.1.9.4',
            values: [new asn1js.OctetString({ valueHex: view(createHash('sha256').update(Buffer.from(content)).digest()) })],
          }),
        ],
      }),
    });
  const signed = new pkijs.SignedData({
    version: 3,
    encapContentInfo,
    certificates: (options.embed ?? [tsa]).map((party) => party.certificate),
    signerInfos: Array.from({ length: options.signers ?? 1 }, signer),
  });
  const key = await signingKey(options.signWith ?? tsa);
  for (let i = 0; i < signed.signerInfos.length; i++) await signed.sign(key, i, 'SHA-256');
  const token = new pkijs.ContentInfo({ contentType: '1.2.840.113549.1.7.2', content: signed.toSchema(true) });
  const response = new pkijs.TimeStampResp({
    status: new pkijs.PKIStatusInfo({ status: options.status ?? 0 }),
    timeStampToken: new pkijs.ContentInfo({ schema: token.toSchema() }),
  });
  return Buffer.from(response.toSchema().toBER());
}

type CertificateMaterial = Extract<Material, { kind: 'certificate' }>;

export const PAYLOAD = Buffer.from('{"_type":"https://in-toto.io/Statement/v1"}');

/** A certificate bundle as the parser would have returned it. */
export function bundleOf(
  signer: KeyPair,
  chain: NonEmpty<Party | Buffer>,
  options: { timestamps?: readonly Buffer[]; signature?: Buffer } = {},
): ParsedBundle & { readonly material: CertificateMaterial } {
  const [first, ...rest] = chain.map((c) => (Buffer.isBuffer(c) ? c : c.der));
  if (first === undefined) throw new Error('no leaf');
  const signature = options.signature ?? signatureOf(signer);
  return {
    envelope: { payload: PAYLOAD, payloadType: PAYLOAD_TYPE, signature },
    material: { kind: 'certificate', chain: [first, ...rest], timestamps: options.timestamps ?? [] },
  };
}

export function signatureOf(
  signer: KeyPair,
  encode: (envelope: Envelope) => Buffer = preAuthEncoding,
  hash: string = hashFor(signer.publicKey),
  payload = PAYLOAD,
): Buffer {
  return sign(hash, encode({ payload, payloadType: PAYLOAD_TYPE, signature: Buffer.alloc(0) }), signer.privateKey);
}

export function pem(...parties: readonly Party[]): string {
  return parties.map(({ der }) => `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`).join('');
}

function* extensions(options: CertificateOptions): Iterable<pkijs.Extension> {
  if (options.ca !== undefined) {
    const constraints = new pkijs.BasicConstraints({
      cA: options.ca,
      ...(options.pathLength === undefined ? {} : { pathLenConstraint: options.pathLength }),
    });
    yield extension('2.5.29.19', constraints.toSchema().toBER(), true);
  }
  if (options.keyUsage !== undefined) {
    const bits = { digitalSignature: 0x80, keyAgreement: 0x08, keyCertSign: 0x04 };
    const byte = options.keyUsage.reduce((sum, usage) => sum | bits[usage], 0);
    yield extension('2.5.29.15', new asn1js.BitString({ valueHex: new Uint8Array([byte]).buffer, unusedBits: 2 }).toBER(), true);
  }
  if (options.purposes !== undefined) {
    yield extension('2.5.29.37', new pkijs.ExtKeyUsage({ keyPurposes: [...options.purposes] }).toSchema().toBER(), options.purposesCritical ?? false);
  }
  if (options.names !== undefined) {
    // RFC 5280 §4.2.1.6: critical where there is no other name.
    yield extension('2.5.29.17', new pkijs.GeneralNames({ names: [...options.names] }).toSchema().toBER(), options.subject?.length === 0);
  }
  yield* options.extra ?? [];
}

/** One attribute per RDN; pkijs itself would put them all into one. */
function name(subject: string | Name): pkijs.RelativeDistinguishedNames {
  const parts: Name = typeof subject === 'string' ? [['2.5.4.3', subject]] : subject;
  const sets = parts.map(([type, value]) => new pkijs.AttributeTypeAndValue({ type, value: new asn1js.Utf8String({ value }) }).toSchema());
  return pkijs.RelativeDistinguishedNames.fromBER(new asn1js.Sequence({ value: sets.map((set) => new asn1js.Set({ value: [set] })) }).toBER());
}

async function signingKey({ privateKey }: KeyPair, hash = 'SHA-256'): Promise<webcrypto.CryptoKey> {
  if (privateKey.asymmetricKeyType === 'rsa') return privateKey.toCryptoKey({ name: 'RSASSA-PKCS1-v1_5', hash }, true, ['sign']);
  const curves: Record<string, string> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };
  const namedCurve = curves[privateKey.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'P-256';
  return privateKey.toCryptoKey({ name: 'ECDSA', namedCurve }, true, ['sign']);
}

function hashFor(key: KeyObject): string {
  switch (key.asymmetricKeyDetails?.namedCurve) {
    case 'secp384r1':
      return 'sha384';
    case 'secp521r1':
      return 'sha512';
    default:
      return 'sha256';
  }
}

function view(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
