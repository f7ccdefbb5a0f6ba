// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AppError,
  asAppError,
  CATALOGUE,
  deserialiseError,
  type ErrorCode,
  EXIT,
  exitCodeOf,
  fromSystemError,
  serialiseError,
  systemErrorCode,
  worstError,
} from '../../src/base/errors.ts';

/** What operators rely on: which reasons stand behind which exit code. A new reason has to be put into a class here, too. */
const TABLE: Readonly<Record<number, readonly string[]>> = {
  1: [
    ...[
      'UNSIGNED',
      'BUNDLE_MALFORMED',
      'SIGNATURE_INVALID',
      'CERT_CHAIN_INVALID',
      'CERT_EXPIRED',
      'LOG_PROOF_INVALID',
      'TIMESTAMP_INVALID',
      'SIGNER_UNTRUSTED',
    ],
    ...[
      'ALGORITHM_REFUSED',
      'LIMIT_EXCEEDED',
      'DIGEST_MISMATCH',
      'SIZE_MISMATCH',
      'DIGEST_NOT_PINNED',
      'FILE_MISSING',
      'FILE_UNSIGNED',
      'FILE_TYPE',
      'PATH_UNSAFE',
      'ARCHIVE_INVALID',
    ],
    ...['MODEL_EMPTY', 'NAME_INVALID'],
    ...['FORMAT_DENIED', 'FORMAT_MALFORMED', 'PICKLE_IMPORT'],
    ...['POLICY_NO_RULE', 'POLICY_DENIED', 'DIGEST_DENIED', 'SIGNED_TOO_EARLY', 'THRESHOLD_NOT_MET'],
  ],
  2: [
    'POLICY_INVALID',
    'USAGE',
    'CONFIG_INVALID',
    'PLAN_CONTRADICTION',
    'TRUST_METHOD_MISSING',
    'ANCHORS_INVALID',
    'ANCHORS_UNPINNED',
    'MODEL_NOT_FOUND',
    'SIGNING_KEY_INVALID',
  ],
  3: [
    ...['SOURCE_NOT_FOUND', 'SOURCE_DENIED', 'CREDENTIALS_MISSING', 'SOURCE_UNAVAILABLE', 'SOURCE_TIMEOUT', 'TLS_FAILED', 'SOURCE_CHANGED'],
    ...['SIGNING_SERVICE_FAILED', 'ANCHORS_UNREACHABLE', 'TUF_UNAVAILABLE'],
  ],
  4: ['NO_SPACE', 'READ_ONLY', 'DESTINATION_DIFFERS', 'IO', 'PUBLISH_FAILED'],
  70: ['INTERNAL'],
  143: ['CANCELLED'],
};

const CODES = Object.keys(CATALOGUE) as ErrorCode[];

describe('the catalogue', () => {
  it.each(CODES)('gives %s the exit code of its class', (code) => {
    const [exit] = Object.entries(TABLE).find(([, codes]) => codes.includes(code)) ?? [];
    expect(exitCodeOf(code)).toBe(Number(exit));
  });

  it('has every reason of the table, and none twice', () => {
    const all = Object.values(TABLE).flat();
    expect([...all].sort()).toEqual([...CODES].sort());
    expect(new Set(all).size).toBe(all.length);
  });

  it('says of every reason what it means and what to do, in whole sentences on one line', () => {
    for (const { meaning, hint } of Object.values(CATALOGUE)) {
      expect(meaning).toMatch(/^[A-Z][^\n]+\.$/);
      expect(hint).toMatch(/^[A-Z][^\n]+[.?]$/);
    }
  });

  it('gives a signal its own exit code', () => {
    expect(exitCodeOf('CANCELLED', 'SIGINT')).toBe(130);
    expect(exitCodeOf('CANCELLED', 'SIGTERM')).toBe(143);
    expect(exitCodeOf('DIGEST_MISMATCH', 'SIGTERM')).toBe(1);
    expect(EXIT.ok).toBe(0);
  });

  it('never maps a failure to success', () => {
    expect(CODES.filter((code) => exitCodeOf(code) === EXIT.ok)).toEqual([]);
  });
});

describe('several failures', () => {
  const error = (code: ErrorCode): AppError => new AppError(code, code);

  it('end with a defect first, then 1 over 3 over 4 over 2, and a signal last', () => {
    const order: readonly ErrorCode[] = ['INTERNAL', 'DIGEST_MISMATCH', 'SOURCE_DENIED', 'NO_SPACE', 'USAGE', 'CANCELLED'];
    for (const [i, code] of order.entries()) expect(worstError(order.slice(i).reverse().map(error))?.code).toBe(code);
    expect(worstError([])).toBeUndefined();
  });

  it('never hide a rejection behind trouble with source, volume or request', () => {
    const harmless = CODES.filter((code) => exitCodeOf(code) !== EXIT.internal);
    fc.assert(
      fc.property(fc.shuffledSubarray(harmless, { minLength: 1 }), (codes) => {
        const rejected = codes.some((code) => exitCodeOf(code) === EXIT.rejected);
        expect(exitCodeOf(worstError(codes.map(error))?.code ?? 'INTERNAL') === EXIT.rejected).toBe(rejected);
      }),
    );
  });

  it('of one class keep the one that came first', () => {
    expect(worstError([error('FILE_MISSING'), error('DIGEST_MISMATCH')])?.code).toBe('FILE_MISSING');
  });
});

describe('an error', () => {
  it('has the hint of its reason unless it brings a better one, and keeps its cause', () => {
    const cause = new Error('why');
    expect(new AppError('IO', 'x')).toMatchObject({ name: 'AppError', hint: CATALOGUE.IO.hint, context: {}, message: 'x' });
    expect(new AppError('IO', 'x', { hint: 'y', context: { path: 'p' }, cause })).toMatchObject({ hint: 'y', context: { path: 'p' }, cause });
    expect('cause' in new AppError('IO', 'x')).toBe(false);
  });

  it('survives the way through JSON to another thread', () => {
    const error = new AppError('SIZE_MISMATCH', 'm', { hint: 'h', context: { expected: '1', found: '2', names: ['a'], count: 3, retry: 'relocate' } });
    const copy = deserialiseError(JSON.parse(JSON.stringify(serialiseError(error))));
    expect(copy).toBeInstanceOf(AppError);
    expect(serialiseError(copy)).toEqual(serialiseError(error));
  });

  it('that nobody foresaw is a defect', () => {
    expect(asAppError(new TypeError('boom'))).toMatchObject({ code: 'INTERNAL', message: 'boom', cause: expect.any(TypeError) });
    for (const thrown of ['text', 1, null, undefined]) expect(asAppError(thrown)).toMatchObject({ code: 'INTERNAL', message: String(thrown) });
    const known = new AppError('IO', 'x');
    expect(asAppError(known)).toBe(known);
  });

  it.each([
    ['ENOSPC', 'NO_SPACE'],
    ['EDQUOT', 'NO_SPACE'],
    ['EROFS', 'READ_ONLY'],
    ['EACCES', 'READ_ONLY'],
    ['EPERM', 'READ_ONLY'],
    ['EIO', 'IO'],
    ['ESTALE', 'IO'],
    ['ENOTDIR', 'IO'],
  ])('of the system, %s, means %s', (errno, code) => {
    const cause = Object.assign(new Error('secret detail'), { code: errno });
    expect(fromSystemError(cause, 'writing a', { path: 'a' })).toMatchObject({
      code,
      message: expect.stringMatching(new RegExp(`^writing a: [a-z/ -]+ \\(${errno}\\)$`)),
      context: { path: 'a' },
      cause,
    });
  });

  it('of the system without a number is a defect, and one that is known stays what it is', () => {
    expect(fromSystemError(new Error('boom'), 'writing')).toMatchObject({ code: 'INTERNAL', message: 'boom' });
    expect(fromSystemError('boom', 'writing')).toMatchObject({ code: 'INTERNAL' });
    const known = new AppError('FILE_TYPE', 'x');
    expect(fromSystemError(known, 'writing')).toBe(known);
    for (const odd of [null, 'x', {}, { code: 1 }]) expect(systemErrorCode(odd)).toBeUndefined();
  });
});
