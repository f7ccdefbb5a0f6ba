// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';

/** One request of a chain of redirects. */
export type Hop = { readonly url: URL; readonly headers: Readonly<Record<string, string>> };

export const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/**
 * Where a redirect leads. What the user configured for one origin (authorization, tokens in any header) is never sent to another one, and
 * encryption is never given up.
 * @throws SOURCE_UNAVAILABLE
 */
export function nextHop(from: Hop, location: string): Hop {
  const url = URL.parse(location, from.url.href);
  if (url === null) throw refused(from, location, 'to something that is not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused(from, location, `to the scheme ${url.protocol}`);
  if (from.url.protocol === 'https:' && url.protocol === 'http:') throw refused(from, url.href, 'from https to http');
  if (url.username !== '' || url.password !== '') throw refused(from, url.href, 'to a URL with credentials');
  url.hash = '';
  return { url, headers: url.origin === from.url.origin ? from.headers : {} };
}

export function tooManyRedirects(from: Hop): AppError {
  return new AppError('SOURCE_UNAVAILABLE', `${redactUri(from.url.href)} redirects again after ${MAX_REDIRECTS} redirects`, {
    hint: 'Check the URL: the server, or a login in front of it, sends us round in circles.',
    context: { uri: redactUri(from.url.href), retry: 'no' },
  });
}

function refused(from: Hop, location: string, problem: string): AppError {
  return new AppError('SOURCE_UNAVAILABLE', `${redactUri(from.url.href)} redirects ${problem}, which is refused`, {
    hint: 'Name the final address of the model in the source URI.',
    context: { uri: redactUri(from.url.href), found: redactUri(location), retry: 'no' },
  });
}
