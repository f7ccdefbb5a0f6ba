// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { isObject, type JsonObject } from '../oms/json.ts';

/** Real ones are below 4 KiB. */
export const MAX_TOKEN_BYTES = 64 * 1024;

/** An OIDC identity token: a secret that speaks for somebody for a few minutes. Only its certificate authority checks it. */
export type IdentityToken = {
  readonly text: string;
  /** What Fulcio wants signed as proof that the key is ours: the e-mail address if there is one, else the subject. */
  readonly subject: string;
  readonly expiresAt?: Date;
};

/** `origin` names where the token came from; nothing of its text ever gets into a message. @throws CREDENTIALS_MISSING */
export function parseIdentityToken(text: string, origin: string, now: Date): IdentityToken {
  const claims = claimsOf(text.trim());
  if (claims === undefined) throw unusable(`the identity token (${origin}) is not a JSON Web Token`);
  const { email, email_verified: verified, sub, exp } = claims;
  if (typeof email === 'string' && email !== '' && verified !== true && verified !== 'true') {
    throw unusable(`the identity token (${origin}) holds an e-mail address that its issuer has not verified`);
  }
  const subject = typeof email === 'string' && email !== '' ? email : sub;
  if (typeof subject !== 'string' || subject === '') throw unusable(`the identity token (${origin}) names no subject`);
  const token = { text: text.trim(), subject, ...(typeof exp === 'number' && Number.isFinite(exp) && { expiresAt: new Date(exp * 1000) }) };
  refuseExpired(token, now);
  return token;
}

/** Hashing a model may take longer than a token lives. @throws CREDENTIALS_MISSING */
export function refuseExpired({ expiresAt }: IdentityToken, now: Date): void {
  if (expiresAt === undefined || now < expiresAt) return;
  const when = Number.isNaN(expiresAt.getTime()) ? 'at no valid date' : expiresAt.toISOString().replace('.000Z', 'Z');
  throw unusable(
    `the identity token expired ${when}`,
    'Get a new one right before signing; for large models let the program fetch it itself (GitHub Actions).',
  );
}

function claimsOf(text: string): JsonObject | undefined {
  const [, payload] = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/.exec(text) ?? [];
  if (payload === undefined || text.length > MAX_TOKEN_BYTES) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return isObject(claims) ? claims : undefined;
  } catch {
    return undefined;
  }
}

function unusable(message: string, hint = 'Give a fresh OIDC identity token whose audience is the certificate authority’s (sigstore).'): AppError {
  // No cause: parsers quote what they could not read.
  return new AppError('CREDENTIALS_MISSING', message, { hint });
}
