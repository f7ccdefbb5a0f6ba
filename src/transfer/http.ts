// SPDX-License-Identifier: Apache-2.0
import type { ByteRange } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';
import type { HttpSettings, Locator } from '../source/source.ts';
import { type Addresses, createAddresses } from './addresses.ts';
import { type Answer, answerOf, type Taker } from './answer.ts';
import { connectionError, lengthError, readFailure, statusError } from './httpErrors.ts';
import { contentLength, contentRange, headerOf, hubCommit, objectFacts, type ResponseHeaders } from './httpHeaders.ts';
import type { Routes } from './httpRoutes.ts';
import { proxyFor } from './noProxy.ts';
import { createPlainHttp, isPlain, type PlainHttp, type TlsSettings } from './plainHttp.ts';
import { type Hop, isRedirect, MAX_REDIRECTS, nextHop, tooManyRedirects } from './redirect.ts';
import { tlsSettings } from './tlsSettings.ts';

export type HttpLocator = Extract<Locator, { kind: 'http' }>;

export type HttpRequest = {
  readonly range?: ByteRange;
  /** Strong ETag that the object must still have. */
  readonly ifMatch?: string;
  readonly signal: AbortSignal;
};

/** An object that is on its way: its body has to be read to the end or discarded. */
export type HttpObject = {
  /** 200: the whole object, even if a range from 0 was asked for; 206: the range. */
  readonly status: 200 | 206;
  /** Length of the whole object. */
  readonly totalBytes: number | undefined;
  /** Length of this body. */
  readonly bodyBytes: number | undefined;
  /** Strong ETags only. */
  readonly etag?: string;
  /** Of S3, or the commit a hub serves. */
  readonly versionId?: string;
  readonly lastModified?: string;
  /** Raw bytes as stored, once; ends normally only after exactly `bodyBytes`, else throws as `open` does, or what the taker throws. */
  read(taker: Taker): Promise<void>;
  /** Gives up the body; of no effect once it is read. */
  discard(): Promise<void>;
};

export interface HttpTransport extends AsyncDisposable {
  /**
   * Sends one GET, following redirects within limits; retries are the caller's. An abort throws the signal's reason.
   * @throws SOURCE_NOT_FOUND, SOURCE_DENIED, SOURCE_UNAVAILABLE, SOURCE_TIMEOUT, SOURCE_CHANGED, TLS_FAILED, CONFIG_INVALID (wrong region, link-local address)
   */
  open(locator: HttpLocator, request: HttpRequest): Promise<HttpObject>;
  /** Drops all connections, running requests included. */
  close(): Promise<void>;
}

const DEFAULT_CONNECTIONS = 64;

/** `connections`: most connections to one origin at a time. @throws CONFIG_INVALID */
export async function createHttpTransport(settings: HttpSettings, connections = DEFAULT_CONNECTIONS): Promise<HttpTransport> {
  // Nothing of it is needed for plain http.
  let made: Promise<TlsSettings> | undefined;
  const tls = (): Promise<TlsSettings> => (made ??= tlsSettings(settings));
  let routes: Promise<Routes> | undefined;
  const addresses = createAddresses();
  const client: Client = {
    settings,
    addresses,
    plain: createPlainHttp(settings, tls, addresses.lookup),
    library: () => (routes ??= import('./httpRoutes.ts').then(async ({ createRoutes }) => createRoutes(settings, await tls(), connections, addresses.lookup))),
    unusual: new Set(),
  };
  const close = async (): Promise<void> => {
    client.plain.close();
    await (await routes)?.close();
  };
  return {
    open: (locator, request) => open({ ...client, request }, { url: new URL(locator.url), headers: locator.headers }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Client = {
  readonly settings: HttpSettings;
  readonly addresses: Addresses;
  /** The HTTP library, loaded when it is needed. */
  library(): Promise<Routes>;
  readonly plain: PlainHttp;
  /** Origins that have answered in a way only the library reads. */
  readonly unusual: Set<string>;
};

type Exchange = Client & { readonly request: HttpRequest };

async function open(exchange: Exchange, first: Hop): Promise<HttpObject> {
  exchange.addresses.given(first.url);
  let hop = first;
  let commit: string | undefined;
  for (let redirects = 0; ; redirects++) {
    const response = await send(exchange, hop);
    // Of the hub itself only: where it sends us may say anything.
    if (hop.url.origin === first.url.origin) commit ??= hubCommit(response.headers);
    const location = isRedirect(response.status) ? headerOf(response.headers, 'location') : undefined;
    if (location === undefined || isForeignRegion(hop.url, response)) {
      if (!isEmptyObject(exchange.request, response)) return receive(exchange, hop.url, response, commit);
      await response.discard();
      const { range: _, ...request } = exchange.request;
      return open({ ...exchange, request }, first);
    }
    await response.discard();
    if (redirects === MAX_REDIRECTS) throw tooManyRedirects(hop);
    const next = nextHop(hop, location);
    exchange.addresses.redirected(hop.url, next.url);
    hop = next;
  }
}

async function send({ settings, request, plain, library, unusual }: Exchange, hop: Hop): Promise<Answer> {
  const { range, ifMatch, signal } = request;
  signal.throwIfAborted();
  const headers = {
    ...hop.headers,
    // Signed are the bytes as stored; a compressed transfer would only have to be undone.
    'accept-encoding': 'identity',
    ...(range !== undefined && { range: `bytes=${range.start}-${range.end - 1}` }),
    ...(ifMatch !== undefined && { 'if-match': ifMatch }),
  };
  try {
    if (
      settings.reader !== 'library' &&
      proxyFor(hop.url, settings.proxy) === undefined &&
      !unusual.has(hop.url.origin) &&
      isPlain({ url: hop.url, headers })
    ) {
      const answer = await plain.request({ url: hop.url, headers, signal });
      if (answer !== 'unusual') return answer;
      unusual.add(hop.url.origin);
    }
    const dispatcher = (await library()).dispatcherFor(hop.url);
    const response = await dispatcher.request({
      origin: hop.url.origin,
      path: hop.url.pathname + hop.url.search,
      method: 'GET',
      signal,
      // Per request, because the connections that a proxy agent makes do not know the agent's own timeouts.
      headersTimeout: settings.stallTimeoutMs,
      bodyTimeout: settings.stallTimeoutMs,
      headers,
    });
    return answerOf(response);
  } catch (error) {
    signal.throwIfAborted();
    throw connectionError(error, hop.url, settings);
  }
}

/** A presigned URL holds for its host only: following S3 to the bucket's region would end in a refused signature that explains nothing. */
function isForeignRegion(url: URL, response: Answer): boolean {
  return url.searchParams.has('X-Amz-Signature') && headerOf(response.headers, 'x-amz-bucket-region') !== undefined;
}

/** No range of an empty object can be satisfied. Servers say so with 416 in several ways; without the range all say the same. */
function isEmptyObject({ range }: HttpRequest, response: Answer): boolean {
  return response.status === 416 && range?.start === 0;
}

async function receive(exchange: Exchange, url: URL, response: Answer, commit: string | undefined): Promise<HttpObject> {
  const { signal } = exchange.request;
  switch (response.status) {
    case 200:
    case 206: {
      const problem = findProblem(exchange.request, url, response);
      if (problem === undefined) return { ...accept(exchange, url, response), ...(commit !== undefined && { versionId: commit }) };
      await response.discard();
      throw problem;
    }
    default: {
      const answer = await readFailure(response);
      signal.throwIfAborted();
      throw statusError(answer, url, headerOf(response.headers, 'retry-after'));
    }
  }
}

/** What keeps a 200 or 206 from being what was asked for: its bytes would otherwise land in the wrong place. */
function findProblem({ range, ifMatch }: HttpRequest, url: URL, { status, headers }: Answer): AppError | undefined {
  const length = contentLength(headers);
  const { etag } = objectFacts(headers);
  if (Number.isNaN(length)) return problem('SOURCE_UNAVAILABLE', url, 'gives no sensible length', { status });
  // Not all servers honour If-Match.
  if (ifMatch !== undefined && etag !== ifMatch) {
    return problem('SOURCE_CHANGED', url, 'changed while it was being downloaded', { status, expected: ifMatch, found: etag ?? 'no strong ETag' });
  }
  if (!isPartial(headers, status, range)) {
    if (range === undefined || range.start === 0) return undefined;
    return problem('SOURCE_UNAVAILABLE', url, 'does not support ranges', { op: 'range', status });
  }
  const got = contentRange(headers);
  const asked = range === undefined ? 'no range' : `bytes ${range.start}-${range.end - 1}`;
  const fits =
    range !== undefined &&
    got !== undefined &&
    got.range.start === range.start &&
    // Shorter than asked for only where the object ends.
    (got.range.end === range.end || (got.range.end < range.end && got.range.end === got.total)) &&
    (length === undefined || length === got.range.end - got.range.start);
  if (fits) return undefined;
  return problem('SOURCE_UNAVAILABLE', url, `answers with another range than ${asked}`, {
    status,
    expected: asked,
    found: headerOf(headers, 'content-range') ?? 'none',
  });
}

/** 206, or a 200 that sends a range all the same, as gofakes3 (`rclone serve s3`) does: taken for the whole, it would be a truncated object. */
function isPartial(headers: ResponseHeaders, status: number, range: ByteRange | undefined): boolean {
  if (status === 206) return true;
  const sent = range === undefined ? undefined : contentRange(headers)?.range;
  return sent !== undefined && contentLength(headers) === sent.end - sent.start;
}

function accept(exchange: Exchange, url: URL, response: Answer): HttpObject {
  const partial = isPartial(response.headers, response.status, exchange.request.range) ? contentRange(response.headers) : undefined;
  const length = contentLength(response.headers);
  const bodyBytes = partial === undefined ? length : partial.range.end - partial.range.start;
  return {
    status: partial === undefined ? 200 : 206,
    totalBytes: partial === undefined ? length : partial.total,
    bodyBytes,
    ...objectFacts(response.headers),
    read: (taker) => readBody(exchange, url, response, bodyBytes, taker),
    discard: () => response.discard(),
  };
}

async function readBody({ settings, request }: Exchange, url: URL, response: Answer, bodyBytes: number | undefined, taker: Taker): Promise<void> {
  let received = 0;
  // What the taker throws is no failure of the connection.
  let refusal: { readonly error: unknown } | undefined;
  try {
    await response.read({
      ...(taker.lend !== undefined && { lend: taker.lend }),
      take(bytes) {
        received += bytes.length;
        if (bodyBytes !== undefined && received > bodyBytes) throw lengthError(url, bodyBytes, received);
        try {
          taker.take(bytes);
        } catch (error) {
          refusal = { error };
          throw error;
        }
      },
    });
  } catch (error) {
    if (refusal !== undefined) throw refusal.error;
    request.signal.throwIfAborted();
    throw connectionError(error, url, settings);
  }
  request.signal.throwIfAborted();
  if (bodyBytes !== undefined && received < bodyBytes) throw lengthError(url, bodyBytes, received);
}

function problem(code: 'SOURCE_CHANGED' | 'SOURCE_UNAVAILABLE', url: URL, what: string, context: AppError['context']): AppError {
  const uri = redactUri(url.href);
  return new AppError(code, `${uri} ${what}`, { context: { uri, retry: 'no', ...context } });
}
