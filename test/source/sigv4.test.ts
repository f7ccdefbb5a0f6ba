// SPDX-License-Identifier: Apache-2.0
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeRfc3986, presign } from '../../src/source/sigv4.ts';

const now = new Date('2026-11-24T01:02:03.456Z');
const region = 'eu-west-1';

describe('a presigned URL', () => {
  test('is, for any key, version and session, the very one the SDK makes', { timeout: 60_000 }, async () => {
    const name = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.~ !\'()*+%&=?#;:@,/äß€😀"<>[]{}|\\^`$'), minLength: 1, maxLength: 30 });
    const key = name.filter((text) => !/^\/|\/\/|(^|\/)\.{1,2}(\/|$)/.test(text) && text.trim() !== '');
    await fc.assert(
      fc.asyncProperty(key, fc.option(fc.constantFrom('v1', 'a+b/c=='), { nil: undefined }), fc.boolean(), async (Key, VersionId, session) => {
        const keys = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret/key+with=signs', ...(session && { sessionToken: 'to/ken+with==' }) };
        const client = new S3Client({
          region,
          endpoint: 'https://s3.example:9000/base',
          forcePathStyle: true,
          credentials: keys,
          requestChecksumCalculation: 'WHEN_REQUIRED',
          responseChecksumValidation: 'WHEN_REQUIRED',
        });
        const theirs = new URL(
          await getSignedUrl(client, new GetObjectCommand({ Bucket: 'models', Key, ...(VersionId !== undefined && { VersionId }) }), {
            expiresIn: 600,
            signingDate: now,
          }),
        );
        const url = new URL(`https://s3.example:9000/base/models/${Key.split('/').map(encodeRfc3986).join('/')}`);
        const ours = new URL(presign({ url, query: VersionId === undefined ? {} : { versionId: VersionId }, region, keys, now, lifetimeSeconds: 600 }));
        expect(ours.pathname).toBe(theirs.pathname);
        expect([...ours.searchParams].sort()).toEqual([...theirs.searchParams].sort());
      }),
      { numRuns: 200 },
    );
  });
});
