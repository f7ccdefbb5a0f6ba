// SPDX-License-Identifier: Apache-2.0
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';
import type { StaticKeys } from './s3Options.ts';

export type PresignInput = {
  /** Address of the object, its path percent-encoded as it will be sent. */
  readonly url: URL;
  /** What the request asks for beside the object, signed with it. */
  readonly query: Readonly<Record<string, string>>;
  readonly region: string;
  readonly keys: StaticKeys;
  readonly now: Date;
  readonly lifetimeSeconds: number;
};

/**
 * A GET URL signed by AWS Signature Version 4 in its query, as S3 takes it. The SDK makes the same one in half a millisecond, of which a model of
 * thousands of files needs thousands, and takes 0.1 s to load (docs/performance.md).
 */
export function presign({ url, query, region, keys, now, lifetimeSeconds }: PresignInput): string {
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const date = time.slice(0, 8);
  const scope = `${date}/${region}/s3/aws4_request`;
  const canonicalQuery = canonicalQueryOf({
    ...query,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD',
    'X-Amz-Credential': `${keys.accessKeyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': `${lifetimeSeconds}`,
    ...(keys.sessionToken !== undefined && { 'X-Amz-Security-Token': keys.sessionToken }),
    'X-Amz-SignedHeaders': 'host',
    'x-id': 'GetObject',
  });
  const request = ['GET', url.pathname, canonicalQuery, `host:${url.host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, hash('sha256', request)].join('\n');
  const signature = hmac(signingKey(keys.secretAccessKey, date, region), toSign).toString('hex');
  return `${url.origin}${url.pathname}?${canonicalQuery}&X-Amz-Signature=${signature}`;
}

let lastQuery: { readonly of: string; readonly text: string } | undefined;

/** The same for all objects that are asked for within a second: the last one is kept. */
function canonicalQueryOf(parameters: Readonly<Record<string, string>>): string {
  const of = JSON.stringify(parameters);
  if (lastQuery?.of !== of) {
    const text = Object.entries(parameters)
      .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}=${value}`)
      .join('&');
    lastQuery = { of, text };
  }
  return lastQuery.text;
}

let lastKey: { readonly of: string; readonly key: KeyObject } | undefined;

/** The same for a whole day: the last one is kept. As an object, because Node throws and catches an error for each key that is none. */
function signingKey(secret: string, date: string, region: string): KeyObject {
  const of = JSON.stringify([secret, date, region]);
  if (lastKey?.of !== of) lastKey = { of, key: createSecretKey(hmac(hmac(hmac(hmac(`AWS4${secret}`, date), region), 's3'), 'aws4_request')) };
  return lastKey.key;
}

function hmac(key: string | Buffer | KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Percent-encoding of everything that RFC 3986 does not call unreserved. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
