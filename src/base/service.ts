// SPDX-License-Identifier: Apache-2.0
import { AppError } from './errors.ts';
import { redactUri } from './redact.ts';

/** One request to a signing service: small both ways. `headers` and `body` may hold the identity token: never log them. */
export type ServiceRequest = {
  /** For people: 'the certificate authority'. */
  readonly service: string;
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Longest answer, in bytes. */
  readonly maxBytes: number;
};

/** A 2xx, or the 409 of a log that has the entry already. */
export type ServiceAnswer = { readonly status: number; readonly body: Buffer; readonly location?: string };

/** @throws SIGNING_SERVICE_FAILED, SOURCE_DENIED, SOURCE_UNAVAILABLE, SOURCE_TIMEOUT, TLS_FAILED */
export type CallService = (request: ServiceRequest) => Promise<ServiceAnswer>;

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * The base URL of a service, without a slash at its end. `secret`: the identity token goes there, so plain http is for loopback only;
 * logs and timestamp authorities learn nothing secret and sign what they answer (most public authorities speak plain http).
 * @throws CONFIG_INVALID
 */
export function serviceUrl(text: string, where: string, carries: 'secret' | 'nothing secret'): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw invalid(`${where} '${redactUri(text)}' is not an http:// or https:// URL`);
  if (url.username !== '' || url.password !== '') throw invalid(`${where} '${redactUri(text)}' holds credentials`);
  if (carries === 'secret' && url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
    throw invalid(`${where} ${redactUri(text)} would get the identity token over plain http; use https`);
  }
  url.hash = '';
  return url;
}

/** `/api/v2/signingCert` below the URL of a service. */
export function below(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = url.pathname.replace(/\/+$/, '') + path;
  return url;
}

/** The service answered, but with something that cannot go into a bundle. */
export function serviceFailed(service: string, url: URL, problem: string, cause?: unknown): AppError {
  const uri = redactUri(url.href);
  return new AppError('SIGNING_SERVICE_FAILED', `${service} ${uri} ${problem}`, { context: { uri }, ...(cause !== undefined && { cause }) });
}

function invalid(message: string): AppError {
  return new AppError('CONFIG_INVALID', message);
}
