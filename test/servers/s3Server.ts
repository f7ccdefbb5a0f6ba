// SPDX-License-Identifier: Apache-2.0
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerIdentity } from './certificates.ts';
import { type Behaviour, type Interfere, listen, type SeenRequest, serveFile } from './httpServer.ts';

export type S3Options = {
  readonly tls?: ServerIdentity;
  /** By bucket, then by key, as written (not encoded). */
  readonly buckets: Readonly<Record<string, Readonly<Record<string, Buffer | string>>>>;
  /** Absent: anybody may read. */
  readonly keys?: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };
  readonly region?: string;
  /** `denied`: a missing key is answered as for callers without ListBucket. */
  readonly missingKey?: 'notFound' | 'denied';
  readonly now?: () => number;
  /** By bucket and key, decoded. */
  readonly interfere?: Interfere;
};

export interface S3Server extends AsyncDisposable {
  readonly origin: string;
  readonly seen: SeenRequest[];
  /** By bucket and key, decoded. */
  readonly objects: Map<string, Buffer>;
  next(bucketAndKey: string, ...behaviours: readonly Behaviour[]): void;
}

/** GetObject of S3, path style, that recomputes the signature of presigned URLs (SigV4) from its own reading of the specification. */
export async function startS3Server(options: S3Options): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  for (const [bucket, keys] of Object.entries(options.buckets))
    for (const [key, body] of Object.entries(keys)) objects.set(`${bucket}/${key}`, Buffer.from(body));
  const queued = new Map<string, Behaviour[]>();
  const seen: SeenRequest[] = [];
  const { origin, [Symbol.asyncDispose]: dispose } = await listen((request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
    const url = new URL(request.url ?? '', 'http://ignored');
    const name = decodeURIComponent(url.pathname.slice(1));
    const refusal = refuse(name, url, request, options, objects);
    const behaviour = options.interfere?.(name, seen.length) ?? queued.get(name)?.shift();
    if (refusal !== undefined && behaviour === undefined) sendError(response, ...refusal);
    else serveFile(objects.get(name), behaviour, request, response);
  }, options.tls);
  return {
    origin,
    seen,
    objects,
    next: (name, ...behaviours) => void queued.set(name, [...(queued.get(name) ?? []), ...behaviours]),
    [Symbol.asyncDispose]: dispose,
  };
}

type Refusal = readonly [status: number, code: string, details?: string];

function refuse(name: string, url: URL, request: IncomingMessage, options: S3Options, objects: Map<string, Buffer>): Refusal | undefined {
  const [bucket = ''] = name.split('/');
  // A GET without a key lists the bucket: none of our business, ever.
  if (request.method !== 'GET' || !name.includes('/') || name.endsWith('/')) return [403, 'AccessDenied'];
  const unsigned = options.keys === undefined ? undefined : checkSignature(url, request, options.keys, options);
  if (unsigned !== undefined) return unsigned;
  if (options.buckets[bucket] === undefined) return [404, 'NoSuchBucket'];
  if (!objects.has(name)) return options.missingKey === 'denied' ? [403, 'AccessDenied'] : [404, 'NoSuchKey'];
  return undefined;
}

function checkSignature(url: URL, request: IncomingMessage, keys: NonNullable<S3Options['keys']>, options: S3Options): Refusal | undefined {
  const query = url.searchParams;
  const given = query.get('X-Amz-Signature');
  if (given === null) return [403, 'AccessDenied'];
  const region = options.region ?? 'us-east-1';
  const date = query.get('X-Amz-Date') ?? '';
  const [accessKeyId, day = '', scopeRegion, service, terminator] = (query.get('X-Amz-Credential') ?? '').split('/');
  if (accessKeyId !== keys.accessKeyId) return [403, 'InvalidAccessKeyId'];
  if (scopeRegion !== region) return [400, 'AuthorizationQueryParametersError', `<Region>${region}</Region>`];
  if (service !== 's3' || terminator !== 'aws4_request' || !date.startsWith(day)) return [400, 'AuthorizationQueryParametersError'];
  if ((query.get('X-Amz-Security-Token') ?? undefined) !== keys.sessionToken) return [400, 'InvalidToken'];
  // Any other signed header would forbid the Range and If-Match of the download; any checksum parameter breaks S3-compatible servers.
  if (query.get('X-Amz-SignedHeaders') !== 'host' || [...query.keys()].some((key) => /checksum/i.test(key))) return [400, 'InvalidRequest'];
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const now = options.now?.() ?? Date.now();
  if (!(now < signedAt + Number(query.get('X-Amz-Expires')) * 1000)) return [403, 'AccessDenied', '<Expires>2026-01-01T00:00:00Z</Expires>'];

  const canonicalQuery = [...query]
    .filter(([key]) => key !== 'X-Amz-Signature')
    .map(([key, value]) => `${percentEncode(key)}=${percentEncode(value)}`)
    .sort()
    .join('&');
  const canonical = ['GET', url.pathname, canonicalQuery, `host:${request.headers.host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', date, [day, region, 's3', 'aws4_request'].join('/'), createHash('sha256').update(canonical).digest('hex')].join('\n');
  const signingKey = [day, region, 's3', 'aws4_request'].reduce<Buffer | string>((key, part) => hmac(key, part), `AWS4${keys.secretAccessKey}`);
  const expected = hmac(signingKey, toSign);
  const found = Buffer.from(given, 'hex');
  return found.length === expected.length && timingSafeEqual(found, expected) ? undefined : [403, 'SignatureDoesNotMatch'];
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sendError(response: ServerResponse, status: number, code: string, details = ''): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>…</Message>${details}</Error>`);
}
