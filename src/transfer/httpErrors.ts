// SPDX-License-Identifier: Apache-2.0
import { AppError, asAppError, type ErrorCode, type ErrorContext, systemErrorCode } from '../base/errors.ts';
import { inWords } from '../base/inWords.ts';
import { printable, redactUri } from '../base/redact.ts';
import type { HttpSettings } from '../source/source.ts';
import type { Answer } from './answer.ts';
import { headerOf } from './httpHeaders.ts';
import { proxyFor } from './noProxy.ts';

/** What an answer says about its failure: the status, and what S3 writes in its XML body. */
export type FailedAnswer = {
  readonly status: number;
  readonly s3Code?: string;
  readonly region?: string;
  /** What a Hugging Face hub says in a header. */
  readonly hubCode?: string;
  readonly expired: boolean;
};

const BUSY = 'The server is there but overloaded or failing: look at its own log; the next start tries again.';
const MAX_ERROR_BODY = 4096;
const MAX_RETRY_AFTER_MS = 60_000;
const WRONG_REGION = new Set([
  'PermanentRedirect',
  'TemporaryRedirect',
  'AuthorizationHeaderMalformed',
  'AuthorizationQueryParametersError',
  'IllegalLocationConstraintException',
]);
/** The signature or the session behind it ran out: a fresh address will do. S3 answers some of these with 400. */
const EXPIRED = new Set(['ExpiredToken', 'RequestExpired', 'TokenRefreshRequired']);
const DENIED = new Set(['InvalidToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'RequestTimeTooSkewed', 'AccessDenied']);

/** The object is not there: a 404 or 410 for the object itself, or no such file. A bucket that does not exist has the context `op: 'bucket'`. */
export function isObjectMissing(error: unknown): boolean {
  return error instanceof AppError && error.code === 'SOURCE_NOT_FOUND' && error.context.op !== 'bucket';
}

/** The server ignored the range of a request that cannot do without one. */
export function isRangeIgnored(error: unknown): boolean {
  return error instanceof AppError && error.context.op === 'range';
}

/** Reads at most 4 KiB of an answer that is of no further use, and gives up the rest. */
export async function readFailure(answer: Answer): Promise<FailedAnswer> {
  const text = await readStart(answer);
  const element = (name: string): string | undefined => new RegExp(`<${name}>([A-Za-z0-9._-]{1,64})</${name}>`).exec(text)?.[1];
  const s3Code = element('Code');
  const region = headerOf(answer.headers, 'x-amz-bucket-region') ?? element('Region');
  const hubCode = /^[A-Za-z]{1,64}$/.exec(headerOf(answer.headers, 'x-error-code') ?? '')?.[0];
  return {
    status: answer.status,
    ...(hubCode !== undefined && { hubCode }),
    ...(s3Code !== undefined && { s3Code }),
    ...(region !== undefined && { region: printable(region, 64) }),
    // An expired presigned URL is an AccessDenied that tells when it expired.
    expired: (s3Code !== undefined && EXPIRED.has(s3Code)) || (s3Code === 'AccessDenied' && text.includes('<Expires>')),
  };
}

/** An answer that is not the object, as an error. By status and S3 code, never by message text. */
export function statusError(answer: FailedAnswer, url: URL, retryAfter: string | undefined): AppError {
  const { status, hubCode } = answer;
  const s3Code = answer.s3Code ?? hubCode;
  const uri = redactUri(url.href);
  const said = s3Code === undefined ? `HTTP ${status}` : `HTTP ${status}, ${s3Code}`;
  const make = (code: ErrorCode, message: string, context: ErrorContext, hint?: string): AppError =>
    new AppError(code, message, { ...(hint !== undefined && { hint }), context: { uri, status, ...(s3Code !== undefined && { found: s3Code }), ...context } });

  if (isWrongRegion(answer)) {
    const actual = answer.region === undefined ? 'another region' : `region ${answer.region}`;
    return make(
      'CONFIG_INVALID',
      `the bucket of ${uri} is in ${actual} (${said})`,
      { retry: 'no' },
      'Set AWS_REGION or --s3-region to the region of the bucket.',
    );
  }
  if (answer.expired) return make('SOURCE_DENIED', `${uri}: the credentials or the signed URL expired (${said})`, { retry: 'relocate' });
  if (s3Code === 'RequestTimeTooSkewed') return make('SOURCE_DENIED', `${uri} refuses access (${said})`, { retry: 'no' }, 'Correct the clock of this node.');
  if (hubCode === 'GatedRepo') {
    return make(
      'SOURCE_DENIED',
      `${uri} is gated (${said})`,
      { retry: 'no' },
      'Accept the model’s terms on the hub and set HF_TOKEN to a token of that account.',
    );
  }
  if (status === 401 || status === 403 || (s3Code !== undefined && DENIED.has(s3Code)))
    return make('SOURCE_DENIED', `${uri} refuses access (${said})`, { retry: 'no' }, deniedHint(status, s3Code));
  if (s3Code === 'NoSuchBucket') return make('SOURCE_NOT_FOUND', `the bucket of ${uri} does not exist (${said})`, { op: 'bucket', retry: 'no' });
  // The container is missing, not a file in it: that is no unsigned model.
  if (hubCode === 'RepoNotFound' || hubCode === 'RevisionNotFound') {
    const what = hubCode === 'RepoNotFound' ? 'repository' : 'revision';
    return make('SOURCE_NOT_FOUND', `the ${what} of ${uri} does not exist (${said})`, { op: 'bucket', retry: 'no' });
  }
  if (status === 404 || status === 410) return make('SOURCE_NOT_FOUND', `${uri} does not exist (${said})`, { retry: 'no' });
  if (status === 412) return make('SOURCE_CHANGED', `${uri} changed while it was being downloaded (${said})`, { retry: 'no' });
  if (status === 416) return make('SOURCE_CHANGED', `${uri} is shorter than the range asked for (${said})`, { retry: 'no' });
  if (status === 408 || status === 429 || status >= 500 || s3Code === 'RequestTimeout') {
    const retryAfterMs = parseRetryAfter(retryAfter, Date.now());
    return make('SOURCE_UNAVAILABLE', `${uri} cannot answer now (${said})`, { retry: 'relocate', ...(retryAfterMs !== undefined && { retryAfterMs }) }, BUSY);
  }
  return make('SOURCE_UNAVAILABLE', `${uri} gives an answer of no use (${said})`, { retry: 'no' });
}

/** A failure of the connection, before or within the body, as an error. By error code, never by message text. */
export function connectionError(cause: unknown, url: URL, settings: HttpSettings): AppError {
  const uri = redactUri(url.href);
  // The library's parser gives its errors a code for some violations of HTTP, and none for others.
  const code =
    cause instanceof AppError ? undefined : (systemErrorCode(cause) ?? (cause instanceof Error && cause.name === 'HTTPParserError' ? 'HPE' : undefined));
  if (code === undefined) return asAppError(cause);
  const way = wayTo(url, settings);
  const make = (errorCode: ErrorCode, message: string, retry: 'no' | 'again', hint?: string): AppError =>
    new AppError(errorCode, message, { ...(hint !== undefined && { hint }), context: { uri, retry }, cause });
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return timeoutError('connect', url, settings, cause);
    case 'UND_ERR_HEADERS_TIMEOUT':
      return timeoutError('head', url, settings, cause);
    case 'UND_ERR_BODY_TIMEOUT':
      return timeoutError('body', url, settings, cause);
    case 'UND_ERR_INVALID_ARG':
      // The library's way of reporting 407; everything else it could mean is excluded before the request.
      return proxyFor(url, settings.proxy) !== undefined
        ? make('SOURCE_DENIED', `the proxy for ${uri} wants authentication (HTTP 407)`, 'no')
        : asAppError(cause);
    case 'UND_ERR_HEADERS_OVERFLOW':
      return make('SOURCE_UNAVAILABLE', `${way} answers with headers that are too large`, 'no');
    default:
      if (isTlsFailure(code))
        return make('TLS_FAILED', `the TLS connection to ${way} cannot be trusted: ${inWords(code)}${clockIfAsked(code)}`, 'no', tlsHint(code));
      return make(
        'SOURCE_UNAVAILABLE',
        `the connection to ${way} failed: ${inWords(printable(code, 64))}`,
        'again',
        code === 'ENOTFOUND' ? 'Check the host name; then DNS and network policy of this pod.' : undefined,
      );
  }
}

/** What a connection was waiting for. */
export type Phase = 'connect' | 'head' | 'body';

export function timeoutError(phase: Phase, url: URL, settings: HttpSettings, cause?: unknown): AppError {
  const way = wayTo(url, settings);
  const messages: Readonly<Record<Phase, string>> = {
    connect: `no connection to ${way} within ${settings.connectTimeoutMs} ms`,
    head: `no answer from ${way} for ${settings.stallTimeoutMs} ms`,
    body: `no data from ${way} for ${settings.stallTimeoutMs} ms`,
  };
  return new AppError('SOURCE_TIMEOUT', messages[phase], { context: { uri: redactUri(url.href), retry: 'again' }, cause });
}

function wayTo(url: URL, settings: HttpSettings): string {
  const uri = redactUri(url.href);
  return proxyFor(url, settings.proxy) === undefined ? uri : `${uri} (through the proxy)`;
}

/** The body ended early, or went on for too long. */
export function lengthError(url: URL, expected: number, found: number): AppError {
  const uri = redactUri(url.href);
  return new AppError('SOURCE_UNAVAILABLE', `${uri} sent ${found} of ${expected} bytes`, {
    context: { uri, expected: `${expected} bytes`, found: `${found} bytes`, retry: 'again' },
  });
}

/** Retry-After as seconds or date, as milliseconds from now, at most a minute. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : undefined;
}

function isWrongRegion(answer: FailedAnswer): boolean {
  if (answer.s3Code !== undefined && WRONG_REGION.has(answer.s3Code)) return answer.region !== undefined || answer.status < 400;
  return answer.status >= 300 && answer.status < 400 && answer.region !== undefined;
}

/** A clock that is years off makes every certificate one of the past or the future. */
function clockIfAsked(code: string): string {
  return code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID' ? ` by the clock of this node, which says ${new Date().toISOString()}` : '';
}

/** What a refusal says about its cause; undefined: the catalogue's general advice. */
function deniedHint(status: number, s3Code: string | undefined): string | undefined {
  switch (s3Code) {
    case 'SignatureDoesNotMatch':
      return 'The secret access key does not belong to the access key; copy both again.';
    case 'InvalidAccessKeyId':
      return 'The access key does not exist at this endpoint; are the keys those of another account or server?';
    case 'InvalidToken':
      return 'The session token is malformed or of other keys; get new credentials.';
    case undefined:
      return status === 401 ? 'Give credentials: --bearer-token-file, MODEL_GATE_BASIC_AUTH, --netrc-file or --header; for hf:// HF_TOKEN.' : undefined;
    default:
      return undefined;
  }
}

function tlsHint(code: string): string | undefined {
  if (/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/.test(code)) return 'Is this an http:// server, or another port?';
  if (code.startsWith('ERR_TLS_CERT_ALTNAME')) return 'Use the host name for which the certificate was issued, or have it issued for this one.';
  if (/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/.test(code)) return 'Renew the certificate of the server, or correct the clock of this node.';
  return undefined;
}

/** OpenSSL's verification errors as Node names them, its protocol errors, and the TLS handshake with a proxy. */
function isTlsFailure(code: string): boolean {
  if (/^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|CRL_|ERROR_IN_)/.test(code)) return true;
  return ['EPROTO', 'HOSTNAME_MISMATCH', 'INVALID_CA', 'INVALID_PURPOSE', 'PATH_LENGTH_EXCEEDED', 'UND_ERR_PRX_TLS'].includes(code);
}

async function readStart(answer: Answer): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    await answer.read({
      take(bytes) {
        chunks.push(Buffer.from(bytes.subarray(0, MAX_ERROR_BODY - length)));
        length += bytes.length;
        if (length >= MAX_ERROR_BODY) throw new Error('enough');
      },
    });
  } catch {
    // The status is known; a body that breaks off, or is long, can only make the message poorer.
  }
  return Buffer.concat(chunks).toString('latin1');
}
