// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, webcrypto } from 'node:crypto';
import { Integer, OctetString, Utf8String } from 'asn1js';
import { AltName, AttributeTypeAndValue, BasicConstraints, Certificate, CryptoEngine, Extension, GeneralName, GeneralNames } from 'pkijs';

export type Authority = { readonly name: string; readonly keys: webcrypto.CryptoKeyPair; readonly certPem: string };
export type ServerIdentity = { readonly keyPem: string; readonly certPem: string };

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
const HOUR = 3_600_000;
const engine = new CryptoEngine({ name: 'node', crypto: webcrypto });
let serial = 1;

/** A throw-away CA, made on the spot. */
export async function makeAuthority(name = 'Test CA'): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const basic = new BasicConstraints({ cA: true });
  const certPem = await issue(name, name, keys, keys, [
    new Extension({ extnID: '2.5.29.19', critical: true, extnValue: basic.toSchema().toBER(), parsedValue: basic }),
  ]);
  return { name, keys, certPem };
}

/** Key and certificate of a server at 127.0.0.1 and localhost; `lifetime` is relative to now. */
export async function issueServer(authority: Authority, lifetime: 'valid' | 'expired' = 'valid', dnsName = 'localhost'): Promise<ServerIdentity> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const names = [new GeneralName({ type: 2, value: dnsName })];
  if (dnsName === 'localhost') names.push(new GeneralName({ type: 7, value: new OctetString({ valueHex: new Uint8Array([127, 0, 0, 1]).buffer }) }));
  const altName = new GeneralNames({ names });
  const extension = new Extension({
    extnID: '2.5.29.17',
    critical: false,
    extnValue: altName.toSchema().toBER(),
    parsedValue: new AltName({ altNames: names }),
  });
  const certPem = await issue(authority.name, dnsName, authority.keys, keys, [extension], lifetime === 'valid' ? 0 : -2 * HOUR);
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { certPem, keyPem: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString() };
}

async function issue(
  issuer: string,
  subject: string,
  issuerKeys: webcrypto.CryptoKeyPair,
  subjectKeys: webcrypto.CryptoKeyPair,
  extensions: Extension[],
  shiftMs = 0,
): Promise<string> {
  const cert = new Certificate({ version: 2, serialNumber: new Integer({ value: serial++ }), extensions });
  const commonName = (value: string): AttributeTypeAndValue => new AttributeTypeAndValue({ type: '2.5.4.3', value: new Utf8String({ value }) });
  cert.issuer.typesAndValues.push(commonName(issuer));
  cert.subject.typesAndValues.push(commonName(subject));
  cert.notBefore.value = new Date(Date.now() - HOUR + shiftMs);
  cert.notAfter.value = new Date(Date.now() + HOUR + shiftMs);
  await cert.subjectPublicKeyInfo.importKey(subjectKeys.publicKey, engine);
  await cert.sign(issuerKeys.privateKey, 'SHA-256', engine);
  const base64 = Buffer.from(cert.toSchema(true).toBER()).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
}
