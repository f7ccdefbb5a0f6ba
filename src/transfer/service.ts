// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { AppError, asAppError } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import { type CallService, type ServiceAnswer, type ServiceRequest, serviceFailed } from '../base/service.ts';
import type { HttpSettings } from '../source/source.ts';
import { backoffMs, isRetryable } from './backoff.ts';
import { connectionError, parseRetryAfter } from './httpErrors.ts';
import { headerOf } from './httpHeaders.ts';
import { createRoutes, type Routes } from './httpRoutes.ts';
import { tlsSettings } from './tlsSettings.ts';

const ATTEMPTS = 3;
/** One answer, however slowly it drips in. */
const TOTAL_MS = 120_000;
const MAX_ERROR_BYTES = 4096;

export type ServiceClient = AsyncDisposable & { readonly call: CallService };

/**
 * Requests to signing services: answers are capped in size and time, a busy service is asked again, and no redirect is followed
 * (it would carry the identity token to another place). @throws CONFIG_INVALID
 */
export async function createServiceClient(settings: HttpSettings, signal: AbortSignal): Promise<ServiceClient> {
  const routes = createRoutes(settings, await tlsSettings(settings), 4);
  return {
    call: (request) => callWithRetries(request, { settings, routes, signal }),
    [Symbol.asyncDispose]: () => routes.close(),
  };
}

type Way = { readonly settings: HttpSettings; readonly routes: Routes; readonly signal: AbortSignal };

async function callWithRetries(request: ServiceRequest, way: Way): Promise<ServiceAnswer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(request, way);
    } catch (error) {
      way.signal.throwIfAborted();
      if (attempt === ATTEMPTS || !isRetryable(error)) throw error;
      // The timer rejects with an error of its own; callers are promised the signal's reason.
      await sleep(backoffMs(attempt, asAppError(error).context.retryAfterMs), undefined, { signal: way.signal }).catch(() => way.signal.throwIfAborted());
    }
  }
}

async function call(request: ServiceRequest, { settings, routes, signal }: Way): Promise<ServiceAnswer> {
  const { url, body } = request;
  const deadline = AbortSignal.timeout(TOTAL_MS);
  signal.throwIfAborted();
  try {
    const response = await routes.dispatcherFor(url).request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method,
      signal: AbortSignal.any([signal, deadline]),
      headersTimeout: settings.stallTimeoutMs,
      bodyTimeout: settings.stallTimeoutMs,
      headers: { ...request.headers, 'accept-encoding': 'identity' },
      ...(body !== undefined && { body }),
    });
    return await receive(request, response);
  } catch (error) {
    signal.throwIfAborted();
    if (deadline.aborted) throw new AppError('SOURCE_TIMEOUT', `no whole answer from ${redactUri(url.href)} within ${TOTAL_MS} ms`, { cause: error });
    throw connectionError(error, url, settings);
  }
}

async function receive(request: ServiceRequest, response: Dispatcher.ResponseData): Promise<ServiceAnswer> {
  const { statusCode: status, headers } = response;
  const location = headerOf(headers, 'location');
  if ((status >= 200 && status < 300) || (status === 409 && location !== undefined)) {
    return { status, body: await readBody(request, response, request.maxBytes, 'refuse'), ...(location !== undefined && { location }) };
  }
  const said = messageOf(await readBody(request, response, MAX_ERROR_BYTES, 'cut'));
  throw failure(request, status, said, headerOf(headers, 'retry-after'));
}

async function readBody({ service, url }: ServiceRequest, { body }: Dispatcher.ResponseData, maxBytes: number, longer: 'refuse' | 'cut'): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const stream: AsyncIterable<Buffer> = body;
  // Leaving the loop gives up the body.
  for await (const chunk of stream) {
    chunks.push(chunk);
    length += chunk.length;
    if (length <= maxBytes) continue;
    if (longer === 'cut') break;
    throw serviceFailed(service, url, `answers with more than ${maxBytes} bytes`);
  }
  return Buffer.concat(chunks);
}

function failure({ service, url }: ServiceRequest, status: number, said: string, retryAfter: string | undefined): AppError {
  const uri = redactUri(url.href);
  const what = `${service} ${uri}`;
  if (status === 401 || status === 403) {
    return new AppError('SOURCE_DENIED', `${what} refuses access (HTTP ${status}${said})`, {
      hint: 'Check the identity token: its audience, its issuer, and that it has not expired.',
      context: { uri, status, retry: 'no' },
    });
  }
  if (status === 408 || status === 429 || status >= 500) {
    const retryAfterMs = parseRetryAfter(retryAfter, Date.now());
    return new AppError('SOURCE_UNAVAILABLE', `${what} cannot answer now (HTTP ${status}${said})`, {
      context: { uri, status, retry: 'again', ...(retryAfterMs !== undefined && { retryAfterMs }) },
    });
  }
  if (status >= 300 && status < 400) return serviceFailed(service, url, `redirects (HTTP ${status}), which is refused: give its final address`);
  return serviceFailed(service, url, `refuses the request (HTTP ${status}${said})`);
}

/** What a JSON answer says of the failure. Long words are masked: a service may repeat the token it was given, or a piece of it. */
function messageOf(body: Buffer): string {
  try {
    const { message } = JSON.parse(body.toString('utf8')) as { message?: unknown };
    if (typeof message !== 'string') return '';
    return `: ${printable(message.replace(/[A-Za-z0-9+/=_.-]{24,}/g, '<redacted>'), 200)}`;
  } catch {
    return '';
  }
}
