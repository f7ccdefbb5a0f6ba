// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { MAX_TOKEN_BYTES, parseIdentityToken, refuseExpired } from '../../src/sign/identityToken.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const SECONDS = 1_780_315_200;
const token = (claims: string, head = 'aGVhZA', signature = 'c2ln'): string => `${head}.${Buffer.from(claims).toString('base64url')}.${signature}`;
const parse = (claims: object) => parseIdentityToken(token(JSON.stringify(claims)), 'a file', NOW);

/** The error that a call ends with. */
function errorOf(call: () => unknown): AppError {
  try {
    call();
  } catch (error) {
    if (error instanceof AppError) return error;
  }
  throw new Error('no AppError');
}

describe('an identity token', () => {
  it('is kept as it is, without the space around it', () => {
    const text = token('{"sub":"me"}');
    expect(parseIdentityToken(` \n${text}\n`, 'a file', NOW)).toEqual({ text, subject: 'me' });
  });

  it('may lack a signature, which only its authority would check', () => {
    expect(parseIdentityToken(token('{"sub":"me"}', 'x', ''), 'a file', NOW).subject).toBe('me');
  });

  it.each<[string, object, string]>([
    ['its subject', { sub: 'repo:a/b' }, 'repo:a/b'],
    ['a verified address', { sub: 'me', email: 'a@b.example', email_verified: true }, 'a@b.example'],
    ['an address verified in words', { sub: 'me', email: 'a@b.example', email_verified: 'true' }, 'a@b.example'],
    ['its subject when the address is empty', { sub: 'me', email: '', email_verified: false }, 'me'],
    ['its subject when the address is no text', { sub: 'me', email: 1 }, 'me'],
    ['an address without a subject', { email: 'a@b.example', email_verified: true }, 'a@b.example'],
  ])('speaks for %s', (_what, claims, subject) => {
    expect(parse(claims).subject).toBe(subject);
  });

  it.each([undefined, false, 'false', 1, 'TRUE', null])('with an address whose verification is %j is refused', (verified) => {
    const error = errorOf(() => parse({ sub: 'me', email: 'a@b.example', email_verified: verified }));
    expect(error.code).toBe('CREDENTIALS_MISSING');
    expect(error.message).toBe('the identity token (a file) holds an e-mail address that its issuer has not verified');
  });

  it.each<[string, object]>([
    ['none', {}],
    ['an empty one', { sub: '' }],
    ['one that is no text', { sub: 7 }],
    ['an empty one, and an address that is no text', { sub: '', email: 7 }],
  ])('whose subject is %s is refused', (_what, claims) => {
    const error = errorOf(() => parse(claims));
    expect(error.code).toBe('CREDENTIALS_MISSING');
    expect(error.message).toBe('the identity token (a file) names no subject');
  });

  const CLAIMS = Buffer.from('{"sub":"me"}').toString('base64url');

  it.each<[string, string]>([
    ['nothing', ''],
    ['one part', CLAIMS],
    ['two parts', `x.${CLAIMS}`],
    ['four parts', `x.${CLAIMS}.y.z`],
    ['an empty head', `.${CLAIMS}.y`],
    ['no claims', 'x..y'],
    ['padding', `x.${CLAIMS}==.y`],
    ['other letters in the head', `x+.${CLAIMS}.y`],
    ['other letters in the claims', `x.${CLAIMS}/.y`],
    ['other letters in the signature', `x.${CLAIMS}.y/`],
    ['two lines', `x.${CLAIMS}.y\nx.${CLAIMS}.y`],
    ['claims that are a list', token('["sub"]')],
    ['claims that are a text', token('"sub"')],
    ['claims that are null', token('null')],
    ['claims that are no JSON', token('{"sub":"secret"')],
  ])('of %s is none', (_what, text) => {
    const error = errorOf(() => parseIdentityToken(text, 'a file', NOW));
    expect(error.code).toBe('CREDENTIALS_MISSING');
    expect(error.message).toBe('the identity token (a file) is not a JSON Web Token');
    expect(error.hint).toContain('fresh OIDC identity token');
    // Parsers quote what they could not read.
    expect(error.cause).toBeUndefined();
  });

  it('is 64 KiB long at most', () => {
    const long = (bytes: number): string => {
      const rest = `.${CLAIMS}.y`;
      return `${'x'.repeat(bytes - rest.length)}${rest}`;
    };
    expect(MAX_TOKEN_BYTES).toBe(65_536);
    expect(parseIdentityToken(long(65_536), 'a file', NOW).subject).toBe('me');
    expect(parseIdentityToken(`${long(65_536)}\n`, 'a file', NOW).subject).toBe('me');
    expect(errorOf(() => parseIdentityToken(long(65_537), 'a file', NOW)).message).toContain('is not a JSON Web Token');
  });
});

describe('the end of a token', () => {
  it('is read where it is a number', () => {
    expect(parse({ sub: 'me', exp: SECONDS + 60 })).toMatchObject({ expiresAt: new Date('2026-06-01T12:01:00Z') });
    for (const exp of [`${SECONDS}`, null, undefined]) expect(parse({ sub: 'me', exp })).not.toHaveProperty('expiresAt');
    expect(parseIdentityToken(token('{"sub":"me","exp":1e999}'), 'a file', NOW)).not.toHaveProperty('expiresAt');
  });

  it('is the first moment at which it is refused', () => {
    expect(parse({ sub: 'me', exp: SECONDS + 0.001 }).subject).toBe('me');
    expect(errorOf(() => parse({ sub: 'me', exp: SECONDS })).message).toBe('the identity token expired 2026-06-01T12:00:00Z');
    expect(errorOf(() => parse({ sub: 'me', exp: SECONDS - 0.5 })).message).toBe('the identity token expired 2026-06-01T11:59:59.500Z');
  });

  it('beyond all dates is no reason to take it', () => {
    expect(errorOf(() => parse({ sub: 'me', exp: 1e300 })).message).toBe('the identity token expired at no valid date');
  });

  it('is looked at again before it is used', () => {
    const expiresAt = new Date(NOW.getTime() + 1);
    expect(() => refuseExpired({ text: '', subject: 'me', expiresAt }, NOW)).not.toThrow();
    expect(() => refuseExpired({ text: '', subject: 'me' }, NOW)).not.toThrow();
    const error = errorOf(() => refuseExpired({ text: '', subject: 'me', expiresAt }, expiresAt));
    expect([error.code, error.hint]).toEqual(['CREDENTIALS_MISSING', expect.stringContaining('right before signing')]);
  });
});
