// SPDX-License-Identifier: Apache-2.0
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Envelope, PAYLOAD_TYPE } from './dsse.ts';
import { isObject, type JsonObject, malformed, parseBesideText } from './json.ts';
import { misshapenMember } from './logEntryShape.ts';

export const BUNDLE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** Default cap on the size of a bundle, in bytes. */
export const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;

const MAX_CERTIFICATES = 16;
const MAX_TIMESTAMPS = 16;
/** Real bundles hold some hundred JSON values: the manifest is one of them, a text. Anybody can make a bundle, so this is checked first. */
const MAX_VALUES = 10_000;
/** Nearly all of a large bundle. */
const PAYLOAD = ['dsseEnvelope', 'payload'];

export type Method = 'key' | 'certificate' | 'sigstore';

/**
 * What the bundle says of its signer; nothing of it is trusted (OMS §4.1).
 * `timestamps` are DER RFC 3161 responses, `bundle` is the JSON for the Sigstore library.
 */
export type Material =
  | { readonly kind: 'key'; readonly hint?: string; readonly timestamps: readonly Buffer[] }
  | { readonly kind: 'certificate'; readonly chain: NonEmpty<Buffer>; readonly timestamps: readonly Buffer[] }
  | { readonly kind: 'sigstore'; readonly certificate: Buffer; readonly timestamps: readonly Buffer[]; readonly bundle: JsonObject };

/** A well-formed bundle whose signature nobody has checked yet. */
export type ParsedBundle = { readonly envelope: Envelope; readonly material: Material };

/**
 * Bytes of a bundle file → its parts (OMS §8.1).
 * @throws BUNDLE_MALFORMED with every bad field in the message; LIMIT_EXCEEDED
 */
export function parseBundle(bytes: Buffer, maxBytes = MAX_BUNDLE_BYTES): ParsedBundle {
  if (bytes.length > maxBytes) {
    throw new AppError('LIMIT_EXCEEDED', `the bundle has ${bytes.length} bytes, more than --max-bundle-size ${maxBytes}`);
  }
  if (bytes.length === 0) throw malformed('the bundle is empty');
  const { json, text } = parseBesideText(bytes, 'the bundle', PAYLOAD, MAX_VALUES);
  if (!isObject(json)) throw malformed('the bundle is not a JSON object');

  const problems: string[] = [];
  onlyMembers(json, ['mediaType', 'verificationMaterial', 'dsseEnvelope'], 'bundle', problems);
  if (json['mediaType'] !== BUNDLE_MEDIA_TYPE) problems.push(`mediaType is not ${BUNDLE_MEDIA_TYPE}`);
  const envelope = readEnvelope(json['dsseEnvelope'], text, problems);
  const material = readMaterial(json['verificationMaterial'], () => whole(json, text), problems);
  if (envelope === undefined || material === undefined || problems.length > 0) {
    throw malformed(`the bundle is malformed: ${problems.join('; ')}`);
  }
  return { envelope, material };
}

/** With the payload in its place again. */
function whole(json: JsonObject, text: Buffer | undefined): JsonObject {
  const envelope = json['dsseEnvelope'];
  return text === undefined || !isObject(envelope) ? json : { ...json, dsseEnvelope: { ...envelope, payload: text.toString() } };
}

/** `text`: the payload's bytes, when they stand in no string of `value`. */
function readEnvelope(value: unknown, text: Buffer | undefined, problems: string[]): Envelope | undefined {
  if (!isObject(value)) {
    problems.push('dsseEnvelope is missing or not an object');
    return undefined;
  }
  onlyMembers(value, ['payload', 'payloadType', 'signatures'], 'dsseEnvelope', problems);
  if (value['payloadType'] !== PAYLOAD_TYPE) problems.push(`dsseEnvelope.payloadType is not ${PAYLOAD_TYPE}`);
  const payload = text === undefined ? decodeBase64(value['payload']) : decodeBase64Text(text);
  if (payload === undefined) problems.push('dsseEnvelope.payload is not base64');
  const signature = readSignature(value['signatures'], problems);
  if (payload === undefined || signature === undefined) return undefined;
  return { payload, payloadType: PAYLOAD_TYPE, signature };
}

/** Sigstore bundles carry exactly one signature; a second one would be somebody else's to explain. */
function readSignature(value: unknown, problems: string[]): Buffer | undefined {
  if (!Array.isArray(value) || value.length === 0) {
    problems.push('dsseEnvelope.signatures is missing or empty');
    return undefined;
  }
  const entry: unknown = value[0];
  if (value.length > 1) problems.push(`dsseEnvelope.signatures has ${value.length} entries, expected 1`);
  if (!isObject(entry)) {
    problems.push('dsseEnvelope.signatures[0] is not an object');
    return undefined;
  }
  onlyMembers(entry, ['sig', 'keyid'], 'dsseEnvelope.signatures[0]', problems);
  // OMS §4.1: keyid is absent, empty or null, and never used; a filled one is information nobody signed.
  const keyid = entry['keyid'];
  if (keyid !== undefined && keyid !== null && typeof keyid !== 'string') problems.push('dsseEnvelope.signatures[0].keyid is not a string');
  const signature = decodeBase64(entry['sig']);
  if (signature === undefined) problems.push('dsseEnvelope.signatures[0].sig is not base64');
  return signature;
}

/** OMS §4.1, §11.1: the field of exactly one method. */
function readMaterial(value: unknown, bundle: () => JsonObject, problems: string[]): Material | undefined {
  if (!isObject(value)) {
    problems.push('verificationMaterial is missing or not an object');
    return undefined;
  }
  const methods = ['publicKey', 'x509CertificateChain', 'certificate'];
  onlyMembers(value, [...methods, 'tlogEntries', 'timestampVerificationData'], 'verificationMaterial', problems);
  // Null stands for an absent member in the JSON of protobuf messages.
  const present = methods.filter((name) => value[name] !== undefined && value[name] !== null);
  if (present.length !== 1) {
    problems.push(`verificationMaterial has ${present.length === 0 ? 'none' : 'more than one'} of ${methods.join(', ')}`);
    return undefined;
  }
  const timestamps = readTimestamps(value['timestampVerificationData'], problems);
  const tlogEntries = value['tlogEntries'];
  checkLogEntries(tlogEntries, problems);

  switch (present[0]) {
    case 'publicKey':
      return readPublicKey(value['publicKey'], timestamps, problems);
    case 'x509CertificateChain': {
      const chain = readChain(value['x509CertificateChain'], problems);
      return chain && { kind: 'certificate', chain, timestamps };
    }
    default: {
      const certificate = readCertificate(value['certificate']);
      if (certificate === undefined) problems.push('verificationMaterial.certificate.rawBytes is not base64');
      if (!Array.isArray(tlogEntries) || tlogEntries.length === 0) problems.push('verificationMaterial.tlogEntries is empty, the sigstore method needs one');
      return certificate && { kind: 'sigstore', certificate, timestamps, bundle: bundle() };
    }
  }
}

/** Only the sigstore method looks into them; their form is the bundle's, whatever the method is (OMS §8.1). */
function checkLogEntries(value: unknown, problems: string[]): void {
  if (value === undefined) return;
  const name = 'verificationMaterial.tlogEntries';
  if (!Array.isArray(value)) return void problems.push(`${name} is not an array`);
  const wrong = value.map((entry: unknown, i) => misshapenMember(entry, `${name}[${i}]`)).find((where) => where !== undefined);
  if (wrong !== undefined) problems.push(`${wrong} has another type than the schema gives it`);
}

/** Old bundles carry `rawBytes` in place of `hint` (OMS §11.2(1)); the key in it is never used: whoever made the bundle chose it. */
function readPublicKey(value: unknown, timestamps: readonly Buffer[], problems: string[]): Material | undefined {
  if (!isObject(value)) {
    problems.push('verificationMaterial.publicKey is not an object');
    return undefined;
  }
  const { hint, rawBytes } = value;
  if (hint !== undefined && hint !== null && typeof hint !== 'string') problems.push('verificationMaterial.publicKey.hint is not a string');
  if (rawBytes !== undefined && typeof rawBytes !== 'string') problems.push('verificationMaterial.publicKey.rawBytes is not a string');
  if (hint === undefined && rawBytes === undefined) problems.push('verificationMaterial.publicKey has neither hint nor rawBytes');
  return typeof hint === 'string' && hint !== '' ? { kind: 'key', hint, timestamps } : { kind: 'key', timestamps };
}

function readChain(value: unknown, problems: string[]): NonEmpty<Buffer> | undefined {
  const list = isObject(value) ? value['certificates'] : undefined;
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_CERTIFICATES) {
    problems.push(`verificationMaterial.x509CertificateChain.certificates must hold 1 to ${MAX_CERTIFICATES} certificates`);
    return undefined;
  }
  const chain = list.map(readCertificate).filter((der) => der !== undefined);
  if (chain.length !== list.length) problems.push('a certificate in x509CertificateChain is not base64');
  return isNonEmpty(chain) ? chain : undefined;
}

function readCertificate(value: unknown): Buffer | undefined {
  return isObject(value) ? decodeBase64(value['rawBytes']) : undefined;
}

function readTimestamps(value: unknown, problems: string[]): readonly Buffer[] {
  if (value === undefined || value === null) return [];
  const list = isObject(value) ? (value['rfc3161Timestamps'] ?? []) : undefined;
  if (!Array.isArray(list) || list.length > MAX_TIMESTAMPS) {
    problems.push(`timestampVerificationData.rfc3161Timestamps must hold at most ${MAX_TIMESTAMPS} timestamps`);
    return [];
  }
  const timestamps = list.map((entry: unknown) => (isObject(entry) ? decodeBase64(entry['signedTimestamp']) : undefined)).filter((der) => der !== undefined);
  if (timestamps.length !== list.length) problems.push('a signed timestamp is not base64');
  return timestamps;
}

function decodeBase64(value: unknown): Buffer | undefined {
  // Not as Latin-1, which would make letters of base64 out of others.
  return typeof value === 'string' ? decodeBase64Text(Buffer.from(value)) : undefined;
}

/** Characters of base64 that are decoded at a time, as a text may be large; four stand for three bytes. */
const BASE64_STEP = 64 * 1024;

/** Canonical RFC 4648 §4 only: Node's decoder skips what it does not know, so the text has to come out again. */
function decodeBase64Text(text: Buffer): Buffer | undefined {
  if (text.length === 0) return undefined;
  const padding = text.at(-1) !== 0x3d ? 0 : text.at(-2) !== 0x3d ? 1 : 2;
  const bytes = Buffer.allocUnsafe(Math.ceil(text.length / 4) * 3 - padding);
  for (let at = 0; at < text.length; at += BASE64_STEP) {
    const piece = text.toString('latin1', at, at + BASE64_STEP);
    const start = (at / 4) * 3;
    bytes.write(piece, start, 'base64');
    if (bytes.toString('base64', start, start + (BASE64_STEP / 4) * 3) !== piece) return undefined;
  }
  return bytes;
}

function onlyMembers(value: JsonObject, names: readonly string[], where: string, problems: string[]): void {
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) problems.push(`${where} has unknown member '${printable(unknown, 80)}'`);
}
