// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync } from 'node:crypto';
import { isNonEmpty } from '../base/brands.ts';
import { AppError, asAppError } from '../base/errors.ts';
import type { CallService } from '../base/service.ts';
import { parseBundle } from '../oms/bundle.ts';
import { type Statement, writeBundle } from '../oms/write.ts';
import type { LogEntry } from '../trust/logEntry.ts';
import type { SigstoreRoot } from '../trust/trust.ts';
import { verifySignature } from '../trust/verify.ts';
import { type IssuedCertificate, requestCertificate } from './fulcio.ts';
import { type IdentityToken, refuseExpired } from './identityToken.ts';
import { entryJson, logSignature } from './rekor.ts';
import type { SigningServices } from './services.ts';
import { signStatement } from './sign.ts';
import { requestTimestamp } from './timestamp.ts';

export type KeylessSigner = {
  readonly services: SigningServices;
  /** The new bundle has to verify with it; absent: nobody knows this instance's. */
  readonly root?: SigstoreRoot;
  readonly now: () => Date;
  readonly call: CallService;
};

/** A bundle's bytes, and who signed it. */
export type KeylessBundle = { readonly bytes: Buffer; readonly identity: string; readonly issuer: string };

/**
 * Signs with a key that lives as long as this call, under a certificate for the token's identity, and has logs and authorities witness it.
 * What they answer is checked before anything is returned.
 * @throws CREDENTIALS_MISSING (expired), SIGNING_SERVICE_FAILED, and what `call` throws
 */
export async function signKeyless(statement: Statement, token: IdentityToken, signer: KeylessSigner): Promise<KeylessBundle> {
  const { services, now, call } = signer;
  refuseExpired(token, now());
  const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const certificate = await requestCertificate(services.fulcio, token, keys, now, call);
  const envelope = signStatement(statement, keys);
  const [entries, timestamps] = await Promise.all([
    Promise.all(services.logs.map((log) => logSignature(log, envelope, certificate.der, call))),
    Promise.all(services.timestampAuthorities.map((authority) => requestTimestamp(authority, envelope.signature, now, call))),
  ]);
  refuseUndated(entries, timestamps);
  const logEntries = entries.map(entryJson);
  if (!isNonEmpty(logEntries)) throw new AppError('INTERNAL', 'signing without a transparency log');
  const bytes = writeBundle(envelope, { kind: 'sigstore', certificate: certificate.der, logEntries }, timestamps);
  await checkBundle(bytes, certificate, signer);
  return { bytes, identity: certificate.identity, issuer: certificate.issuer };
}

/** The certificate lives for minutes: without a proven time no verifier can believe it. Rekor v2 leaves that to timestamp authorities. */
function refuseUndated(entries: readonly LogEntry[], timestamps: readonly Buffer[]): void {
  if (timestamps.length > 0 || entries.some((entry) => entry.inclusionPromise !== undefined)) return;
  throw new AppError('SIGNING_SERVICE_FAILED', 'nothing proves the time of signing: the transparency log gives no signed time, and there is no timestamp', {
    hint: 'Give a timestamp authority with --timestamp-url.',
  });
}

/** As a verifier would read it. */
async function checkBundle(bytes: Buffer, { identity, issuer }: IssuedCertificate, { root, now }: KeylessSigner): Promise<void> {
  const bundle = parseBundle(bytes);
  if (root === undefined) return;
  try {
    const { signer } = await verifySignature(bundle, { kind: 'sigstore', root }, now());
    if (signer.kind === 'sigstore' && signer.identity === identity && signer.issuer === issuer) return;
  } catch (cause) {
    const { message, hint } = asAppError(cause);
    throw new AppError('SIGNING_SERVICE_FAILED', `the new bundle would not verify: ${message}`, { hint, cause });
  }
  throw new AppError('INTERNAL', 'the new bundle names another signer');
}
