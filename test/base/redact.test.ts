// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable, redactUri } from '../../src/base/redact.ts';

describe('a URI in a message', () => {
  it.each([
    ['https://h/a/b', 'https://h/a/b'],
    ['https://h:8080/a', 'https://h:8080/a'],
    ['https://[::1]:8080/a', 'https://[::1]:8080/a'],
    ['https://h/a?sig=secret&x=1', 'https://h/a?<redacted>'],
    ['https://h/a#secret', 'https://h/a'],
    ['https://h/a?x#secret', 'https://h/a?<redacted>'],
    ['https://h/a#secret?x', 'https://h/a'],
    ['https://h/a@b', 'https://h/a@b'],
    ['https://h?sig=a@b', 'https://h?<redacted>'],
    ['s3://bucket/key@2:3', 's3://bucket/key@2:3'],
    ['s3://bucket/key?versionId=1', 's3://bucket/key?<redacted>'],
    ['file:///a@b/c:d', 'file:///a@b/c:d'],
    ['/models/a@b:c', '/models/a@b:c'],
    ['models', 'models'],
    ['https://user:pw@h:80/a', 'https://h:80/a'],
    ['', ''],
  ])('%s is %s', (uri, shown) => {
    expect(redactUri(uri)).toBe(shown);
  });

  it.each([
    'https://user:hunter2@h/a',
    'https://hunter2@h/a',
    'HTTPS://user:hunter2@h/a',
    'https://user:p@hunter2@h/a',
    'https://user:p/hunter2@h/a',
    'https://user:p@a/hunter2@h/a',
    'https://user:p@a?hunter2@h/a',
    'https://user:p@h/?hunter2=a@b',
    'https://user:p?hunter2@h/a',
    'https://user:p#hunter2@h/a',
    'https://user:hunter2?x@h',
    'https:\\\\user:hunter2@h/a',
    'https:///user:hunter2@h/a',
    'https:/user:hunter2@h/a',
    'https:user:hunter2@h/a',
    ' https://user:hunter2@h/a',
    's3://AKIA:hunter2@bucket/a',
    's3://AKIA:wJ/hunter2@bucket/a',
    'https://h/a?X-Amz-Signature=hunter2',
    'https://h/?hunter2',
    'https://h/a?a=b#hunter2',
  ])('%s shows no secret', (uri) => {
    expect(redactUri(uri)).not.toContain('hunter2');
  });

  it('never holds user information or a value of the query, whatever they are', () => {
    const secret = fc.string({ unit: 'grapheme-ascii', maxLength: 12 }).map((s) => `S3CR${s}3T`);
    const host = fc.constantFrom('h', 'example.com', 'h:8080', '[::1]', 'bucket');
    const path = fc.constantFrom('', '/', '/a', '/a/b@c', '/a:b');
    const scheme = fc.constantFrom('http', 'https', 's3', 'HTTPS', 'ftp');
    fc.assert(
      fc.property(scheme, secret, secret, host, path, fc.constantFrom('?', '#', '?x='), (kind, user, value, authority, rest, mark) => {
        // A user name torn apart by a raw delimiter leaves no colon to know it by; the password after a colon does.
        const plain = user.replace(/[/?#\\]/g, '');
        expect(redactUri(`${kind}://${plain}@${authority}${rest}`)).not.toContain('S3CR');
        expect(redactUri(`${kind}://${plain}:${plain}@${authority}${rest}`)).not.toContain('S3CR');
        expect(redactUri(`${kind}://u:${user}@${authority}${rest}`)).not.toMatch(/S3CR|3T@/);
        expect(redactUri(`${kind}://${authority}${rest}${mark}${value}`)).not.toContain('S3CR');
      }),
      { numRuns: 1000 },
    );
  });

  it('is one printable line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(redactUri(text)).toMatch(/^[^\p{Cc}\u2028-\u202e\u2066-\u2069\ufeff]*$/u);
      }),
    );
  });
});

describe('text from outside', () => {
  it('loses control characters, line ends and bidirectional overrides', () => {
    expect(printable('a\nb\r\t\u001b[31m\u0000\u007f\u009b\u2028\u202e\u2066\ufeff')).toBe(
      'a\\u000ab\\u000d\\u0009\\u001b[31m\\u0000\\u007f\\u009b\\u2028\\u202e\\u2066\\ufeff',
    );
    expect(printable('a\u00ad\u061c\u180e\u200b\u200f\u2060\u206f')).toBe('a\\u00ad\\u061c\\u180e\\u200b\\u200f\\u2060\\u206f');
    expect(printable('ä 😀 漢 e\u0301 \\n')).toBe('ä 😀 漢 e\u0301 \\n');
  });

  it('is cut to a length', () => {
    expect(printable('abcdef', 3)).toBe('abc…');
    expect(printable('abc', 3)).toBe('abc');
    expect(printable('a'.repeat(5000))).toHaveLength(2001);
  });
});
