// SPDX-License-Identifier: Apache-2.0
import { type KeyObject, X509Certificate } from 'node:crypto';
import { below, type CallService, serviceFailed } from '../base/service.ts';
import { isObject, parseStrictJson } from '../oms/json.ts';
import { signEcdsa } from '../trust/ecdsa.ts';
import { type FulcioIdentity, readFulcioIdentity } from '../trust/fulcio.ts';
import { parseSigstoreCertificate } from '../trust/sigstoreDer.ts';
import type { IdentityToken } from './identityToken.ts';

/** DER, and whom it speaks for. */
export type IssuedCertificate = FulcioIdentity & { readonly der: Buffer };

type KeyPair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject };

const SERVICE = 'the certificate authority';
/** A chain of a few certificates. */
const MAX_ANSWER_BYTES = 256 * 1024;

/**
 * A short-lived certificate for a key, from Fulcio's interface of version 2 (`POST /api/v2/signingCert`). Whether its issuer is to be
 * trusted is not known here; that it is for this key, valid now, and names one identity, is. @throws SIGNING_SERVICE_FAILED and what `call` throws
 */
export async function requestCertificate(fulcio: URL, token: IdentityToken, keys: KeyPair, now: () => Date, call: CallService): Promise<IssuedCertificate> {
  const url = below(fulcio, '/api/v2/signingCert');
  const proof = signEcdsa(Buffer.from(token.subject), keys.privateKey);
  const request = {
    credentials: { oidcIdentityToken: token.text },
    publicKeyRequest: {
      publicKey: { algorithm: 'ECDSA', content: keys.publicKey.export({ type: 'spki', format: 'pem' }) },
      proofOfPossession: proof.toString('base64'),
    },
  };
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const { body } = await call({ service: SERVICE, url, method: 'POST', headers, body: JSON.stringify(request), maxBytes: MAX_ANSWER_BYTES });
  const failed = (problem: string, cause?: unknown): Error => serviceFailed(SERVICE, url, problem, cause);
  const certificate = readAnswer(body);
  if (certificate === undefined) throw failed('answers with no certificate with an embedded timestamp of a certificate transparency log');
  if (!certificate.publicKey.equals(keys.publicKey)) throw failed('issued a certificate for another key');
  const at = now();
  // Its clock may be a little ahead of ours.
  if (at > certificate.validToDate || certificate.validFromDate.getTime() > at.getTime() + 60_000) {
    throw failed(`issued a certificate that is valid from ${certificate.validFrom} to ${certificate.validTo}, not now`);
  }
  try {
    return { der: certificate.raw, ...readFulcioIdentity(parseSigstoreCertificate(certificate.raw)) };
  } catch (cause) {
    throw failed(`issued a certificate that no verifier would accept: ${cause instanceof Error ? cause.message : 'it cannot be read'}`, cause);
  }
}

/** The leaf. A bundle has no place for a detached timestamp of a certificate transparency log, so only embedded ones will do. */
function readAnswer(body: Buffer): X509Certificate | undefined {
  try {
    const answer = parseStrictJson(body, 'the answer');
    const signed = isObject(answer) ? answer['signedCertificateEmbeddedSct'] : undefined;
    const chain = isObject(signed) ? signed['chain'] : undefined;
    const certificates = isObject(chain) ? chain['certificates'] : undefined;
    const leaf: unknown = Array.isArray(certificates) ? certificates[0] : undefined;
    return typeof leaf === 'string' ? new X509Certificate(leaf) : undefined;
  } catch {
    return undefined;
  }
}
