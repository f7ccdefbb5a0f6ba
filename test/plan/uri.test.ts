// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { parseSourceUri, type SourceSpec } from '../../src/plan/uri.ts';
import { refused } from '../oms/payload.ts';

const parse = (uri: string): SourceSpec => parseSourceUri(uri, '/mnt/pvc');
const invalid = (message?: RegExp): unknown => refused('CONFIG_INVALID', message);

describe('an s3:// URI', () => {
  it.each([
    ['s3://bucket/models/v1/', { bucket: 'bucket', key: 'models/v1/', directory: true }],
    ['s3://bucket/model.bin', { bucket: 'bucket', key: 'model.bin', directory: false }],
    ['s3://bucket', { bucket: 'bucket', key: '', directory: true }],
    ['s3://bucket/', { bucket: 'bucket', key: '', directory: true }],
    ['S3://my.Bucket_1/a', { bucket: 'my.Bucket_1', key: 'a', directory: false }],
    ['s3://bucket//a', { bucket: 'bucket', key: 'a', directory: false }],
    ['s3://bucket/a b/%41?x#y', { bucket: 'bucket', key: 'a b/%41?x#y', directory: false }],
  ])('is a bucket and a key as written: %s', (uri, expected) => {
    expect(parse(uri)).toEqual({ kind: 's3', ...expected });
  });

  it.each(['s3://', 's3:///key', 's3://a', 's3://-bucket/x', 's3://bu cket/x', 's3://user:secret@bucket/x', 's3://../x', `s3://${'a'.repeat(256)}/x`])(
    'has a bucket name, not %s',
    (uri) => {
      expect(() => parse(uri)).toThrow(invalid(/^(?!.*secret).*no valid bucket name/));
    },
  );
});

describe('an http(s) URL', () => {
  it('may end in a slash, carry a query, and be presigned', () => {
    expect(parse('https://h/models/')).toMatchObject({ kind: 'http', directory: true, presigned: false });
    expect(parse('HTTP://h/model.bin')).toMatchObject({ kind: 'http', directory: false, presigned: false });
    expect(parse('https://h')).toMatchObject({ directory: true });
    expect(parse('https://h/m/?sv=1&sig=s')).toMatchObject({ directory: true, presigned: false });
    expect(parse('https://h/m.bin?X-Amz-Signature=abc')).toMatchObject({ presigned: true });
    expect(parse('https://h/m.bin?a=b&X-Goog-Signature=abc')).toMatchObject({ presigned: true });
  });

  it('loses its fragment and keeps its query', () => {
    const spec = parse('https://h/m/?sig=s#frag');
    expect(spec.kind === 'http' && spec.url.href).toBe('https://h/m/?sig=s');
  });

  it.each([
    'https://user:hunter2@h/',
    'https://hunter2@h/',
    'https://:hunter2@h/',
    'https://h:hunter2/',
    'http://',
    'https:///',
    'https://h:99999/',
    'https://user:hun/ter2@h/',
  ])('holds no credentials and is valid: %s is refused without being quoted', (uri) => {
    expect(() => parse(uri)).toThrow(invalid(/^(?!.*hun).*(credentials|not a valid URL)/));
  });
});

describe('a file', () => {
  it.each([
    ['/models/a', '/models/a'],
    ['models/a', 'models/a'],
    ['.', '.'],
    ['file:///models/a', '/models/a'],
    ['FILE:///models/a%20b', '/models/a%20b'],
    ['a:b', 'a:b'],
    ['/a?b#c', '/a?b#c'],
  ])('is a path or file:// URI: %s', (uri, path) => {
    expect(parse(uri)).toEqual({ kind: 'file', path });
  });

  it('is never on another host', () => {
    expect(() => parse('file://host/models')).toThrow(invalid(/names a host/));
    expect(() => parse('file://models')).toThrow(invalid(/names a host/));
  });
});

describe('a pvc:// URI', () => {
  it('is a path below the claim’s mount', () => {
    expect(parse('pvc://claim/a/b')).toEqual({ kind: 'file', path: '/mnt/pvc/claim/a/b', claim: 'claim' });
    expect(parse('pvc://claim')).toEqual({ kind: 'file', path: '/mnt/pvc/claim', claim: 'claim' });
    expect(parse('pvc://my.claim-1/')).toEqual({ kind: 'file', path: '/mnt/pvc/my.claim-1/', claim: 'my.claim-1' });
    expect(parseSourceUri('pvc://claim/a', '/volumes//')).toMatchObject({ path: '/volumes/claim/a' });
  });

  it.each(['pvc://claim/..', 'pvc://claim/../other', 'pvc://claim/a/../../../etc'])('never leaves the claim: %s', (uri) => {
    expect(() => parse(uri)).toThrow(invalid(/leaves the claim/));
  });

  it.each(['pvc://', 'pvc:///a', 'pvc://../a', 'pvc://Claim/a', 'pvc://.claim/a', 'pvc://claim-/a', 'pvc://a b/c'])('names a claim: %s', (uri) => {
    expect(() => parse(uri)).toThrow(invalid(/no valid claim name/));
  });
});

describe('any other text', () => {
  it.each(['', 'gs://bucket/x', 'hf://org', 'ftp://h/x', 'oci://r/x', '/a\0b', 'https://h/\0'])('is refused: %j', (uri) => {
    expect(() => parse(uri)).toThrow(invalid());
  });

  it('is parsed or refused with a reason', () => {
    const uri = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(fc.constantFrom('s3', 'http', 'https', 'file', 'pvc', 'x'), fc.string()).map(([s, r]) => `${s}://${r}`),
      fc.webUrl(),
    );
    fc.assert(
      fc.property(uri, (text) => {
        try {
          const spec = parse(text);
          if (spec.kind === 'file' && spec.claim !== undefined) expect(spec.path.split('/')).not.toContain('..');
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
          expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(/^\P{Cc}*$/u) });
        }
      }),
      { numRuns: 500 },
    );
  });
});
