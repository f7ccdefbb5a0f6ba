// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { readNetrc } from './netrc.ts';
import { readBearerToken, requestHeaders } from './secrets.ts';
import type { Environment, SourceSettings } from './source.ts';

type Headers = Readonly<Record<string, string>>;

/**
 * The headers for requests to one origin. The function that is returned reads token and netrc files anew, because mounted secrets rotate.
 * @throws CONFIG_INVALID, PLAN_CONTRADICTION; the function also CREDENTIALS_MISSING
 */
export function headersFor(url: URL, settings: SourceSettings['http'], env: Environment): () => Promise<Headers> {
  refuseSeveral(settings);
  const headers = requestHeaders(url, settings.headers, env);
  const { bearerTokenFile, basicAuth, netrcFile } = settings;
  return async () => {
    if (bearerTokenFile !== undefined) return { ...headers, authorization: `Bearer ${await readBearerToken(bearerTokenFile, '--bearer-token-file')}` };
    if (basicAuth !== undefined) return { ...headers, authorization: basic(basicAuth) };
    // Whoever set a header for this very host meant it more than a file for many.
    if (netrcFile === undefined || headers['authorization'] !== undefined) return headers;
    const login = await readNetrc(netrcFile, url.hostname);
    return login === undefined ? headers : { ...headers, authorization: basic(login) };
  };
}

function refuseSeveral({ headers, bearerTokenFile, basicAuth, netrcFile }: SourceSettings['http']): void {
  const ways = [
    Object.keys(headers).some((name) => name.toLowerCase() === 'authorization') && 'an authorization header',
    bearerTokenFile !== undefined && '--bearer-token-file',
    basicAuth !== undefined && '--basic-auth',
    netrcFile !== undefined && '--netrc-file',
  ].filter((way) => way !== false);
  if (ways.length > 1) throw new AppError('PLAN_CONTRADICTION', `credentials are given by ${ways.join(' and ')}; give one`);
}

/** RFC 7617, in UTF-8. */
function basic(userAndPassword: string): string {
  return `Basic ${Buffer.from(userAndPassword).toString('base64')}`;
}
