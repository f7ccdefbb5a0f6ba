// SPDX-License-Identifier: Apache-2.0
import { gzipSync } from 'node:zlib';
import type { Behaviour } from '../servers/httpServer.ts';
import type { Dice } from './dice.ts';
import type { Reason } from './trial.ts';

export type Dialect = 'http' | 's3';

/** Something a server does wrong: to which requests, and how a pull may end then. */
export type ServerFault = {
  readonly fault: string;
  readonly dialects: readonly Dialect[];
  /** `once`: the first request for the object; `always`: all of them; `nth`: one request of all, whatever it asks for. */
  readonly when: 'once' | 'always' | 'nth';
  /** `big` is fetched in two ranges. */
  readonly object: 'model.sig' | 'config.json' | 'big.bin';
  readonly behave: (dice: Dice, count: number) => Behaviour;
  readonly expected: readonly Reason[];
  readonly flags?: readonly string[];
};

export const BIG_BYTES = 12 * 1024 * 1024;

const BOTH: readonly Dialect[] = ['http', 's3'];
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
const somewhere = (dice: Dice): number => dice.between(0, BIG_BYTES - 1);
const status = (code: number, headers: Record<string, string> = {}, s3Code?: string): Behaviour => ({
  kind: 'status',
  status: code,
  headers,
  body: s3Code === undefined ? '' : `<?xml version="1.0"?><Error><Code>${s3Code}</Code></Error>`,
});

export const SERVER_FAULTS: readonly ServerFault[] = [
  row('reset before an answer, once', 'once', 'big.bin', () => ({ kind: 'reset' }), ['OK']),
  row('reset before an answer, always', 'always', 'config.json', () => ({ kind: 'reset' }), ['SOURCE_UNAVAILABLE']),
  row('reset at a random byte, once', 'once', 'big.bin', (dice) => ({ kind: 'resetAt', bytes: somewhere(dice) }), ['OK']),
  row('reset at a random byte, always', 'always', 'config.json', (dice) => ({ kind: 'resetAt', bytes: dice.between(0, 2) }), ['SOURCE_UNAVAILABLE']),
  row('stall at a random byte, once', 'once', 'big.bin', (dice) => ({ kind: 'stall', bytes: somewhere(dice) }), ['OK']),
  row('stall at a random byte, always', 'always', 'config.json', (dice) => ({ kind: 'stall', bytes: dice.between(0, 2) }), ['SOURCE_TIMEOUT']),
  row('silence, once', 'once', 'config.json', () => ({ kind: 'silence' }), ['OK']),
  row('silence, always, for the bundle', 'always', 'model.sig', () => ({ kind: 'silence' }), ['SOURCE_TIMEOUT']),
  row('a byte every 20 ms, and --timeout 2s', 'always', 'big.bin', () => ({ kind: 'drip', everyMs: 20 }), ['SOURCE_TIMEOUT'], ['--timeout', '2s']),
  row('truncated at a random byte, once', 'once', 'big.bin', (dice) => ({ kind: 'truncate', bytes: somewhere(dice) }), ['OK']),
  row('truncated, always', 'always', 'config.json', (dice) => ({ kind: 'truncate', bytes: dice.between(0, 2) }), ['SOURCE_UNAVAILABLE']),
  row('Content-Length too long, once', 'once', 'big.bin', (dice) => ({ kind: 'lie', contentLength: BIG_BYTES + dice.between(1, 99) }), ['OK']),
  row('Content-Length too short, always', 'always', 'config.json', (dice) => ({ kind: 'lie', contentLength: dice.between(0, 17) }), [
    'DIGEST_MISMATCH',
    'SOURCE_UNAVAILABLE',
  ]),
  row('no Content-Length', 'always', 'big.bin', () => ({ kind: 'chunked' }), ['OK']),
  row('ignores Range', 'always', 'big.bin', () => ({ kind: 'ignoreRange' }), ['OK']),
  row('wrong Content-Range', 'always', 'big.bin', () => ({ kind: 'wrongRange', contentRange: `bytes 1-${BIG_BYTES}/${BIG_BYTES}` }), ['SOURCE_UNAVAILABLE']),
  row('Content-Range that is none', 'always', 'big.bin', () => ({ kind: 'wrongRange', contentRange: 'bytes x-y/z' }), ['SOURCE_UNAVAILABLE']),
  row('another ETag once', 'once', 'big.bin', () => ({ kind: 'etag', etag: '"older"' }), ['OK']),
  row('another ETag for every range', 'always', 'big.bin', (_, count) => ({ kind: 'etag', etag: `"v${count}"` }), ['SOURCE_CHANGED']),
  row('one bit wrong in one range, same ETag, once', 'once', 'big.bin', () => ({ kind: 'corrupt' }), ['OK']),
  row('one bit wrong, always', 'always', 'big.bin', () => ({ kind: 'corrupt' }), ['DIGEST_MISMATCH']),
  row('429 with Retry-After, once', 'once', 'config.json', () => status(429, { 'retry-after': '1' }, 'SlowDown'), ['OK']),
  row('429, always', 'always', 'config.json', () => status(429), ['SOURCE_UNAVAILABLE']),
  row('503 with Retry-After, once', 'once', 'model.sig', () => status(503, { 'retry-after': '1' }), ['OK']),
  row('503 without Retry-After, once', 'once', 'big.bin', () => status(503, {}, 'SlowDown'), ['OK']),
  row('503, always', 'always', 'big.bin', () => status(503, {}, 'ServiceUnavailable'), ['SOURCE_UNAVAILABLE']),
  row(
    'Retry-After of a year, and --timeout 2s',
    'always',
    'config.json',
    () => status(503, { 'retry-after': '31536000' }),
    ['SOURCE_TIMEOUT'],
    ['--timeout', '2s'],
  ),
  row('500 on a random request', 'nth', 'config.json', () => status(500, {}, 'InternalError'), ['OK']),
  row('403 for a file, always', 'always', 'config.json', () => status(403, {}, 'AccessDenied'), ['SOURCE_DENIED']),
  row('404 for a signed file, always', 'always', 'config.json', () => status(404, {}, 'NoSuchKey'), ['FILE_MISSING']),
  row('redirect to itself', 'always', 'config.json', () => ({ kind: 'redirect', location: '?again' }), ['SOURCE_UNAVAILABLE']),
  row('redirect to file:', 'always', 'config.json', () => ({ kind: 'redirect', location: 'file:///etc/passwd' }), ['SOURCE_UNAVAILABLE']),
  row('redirect to a link-local address', 'always', 'config.json', () => ({ kind: 'redirect', location: 'http://169.254.77.77/' }), ['SOURCE_UNAVAILABLE']),
  row('endless body of the bundle', 'always', 'model.sig', () => ({ kind: 'endlessBody' }), ['LIMIT_EXCEEDED']),
  row('endless body of a file', 'always', 'config.json', () => ({ kind: 'endlessBody' }), ['LIMIT_EXCEEDED']),
  row('endless head', 'always', 'config.json', () => ({ kind: 'endlessHead' }), ['SOURCE_UNAVAILABLE']),
  row('gzip bomb (64 MiB in 64 KiB)', 'always', 'config.json', () => ({ kind: 'status', status: 200, headers: { 'content-encoding': 'gzip' }, body: bomb }), [
    'DIGEST_MISMATCH',
  ]),
];

function row(
  fault: string,
  when: ServerFault['when'],
  object: ServerFault['object'],
  behave: ServerFault['behave'],
  expected: readonly Reason[],
  flags: readonly string[] = [],
): ServerFault {
  return { fault, dialects: BOTH, when, object, behave, expected, flags };
}
