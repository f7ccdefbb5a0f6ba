// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { firstSet } from './environment.ts';
import type { Environment } from './source.ts';

type Headers = Readonly<Record<string, string>>;

const MAX_TOKEN_BYTES = 64 * 1024;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Framing, connection and range control belong to the HTTP client: a configured value could smuggle or corrupt requests. */
const RESERVED = new Set([
  ...['host', 'connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ...['content-length', 'accept-encoding', 'range', 'if-match', 'if-none-match', 'if-range', 'if-modified-since', 'if-unmodified-since'],
]);

/**
 * Headers for a host: `<host:port>-headers` or `<host>-headers` of the environment (KServe's convention, a JSON object), overridden by
 * the configured ones. Names come back in lower case. Values never reach a message.
 * @throws CONFIG_INVALID
 */
export function requestHeaders(url: URL, configured: Headers, env: Environment): Headers {
  const merged: Record<string, string> = Object.create(null);
  // HTTP does not know whether `https://h` or `https://h:443` was meant; KServe asks for the bare host name.
  for (const variable of new Set([`${url.hostname}-headers`, `${url.host}-headers`])) {
    const text = firstSet(env, variable);
    if (text !== undefined) collect(merged, parseHeaders(text, variable), `the variable ${variable}`);
  }
  collect(merged, configured, 'the configured headers');
  return merged;
}

/** The bearer token of a file, read anew each time because projected tokens rotate; `origin` names the setting. @throws CREDENTIALS_MISSING */
export async function readBearerToken(path: string, origin: string): Promise<string> {
  let token: string;
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_TOKEN_BYTES) throw unusable(path, origin, `is not a regular file of at most ${MAX_TOKEN_BYTES} bytes`);
    token = (await file.readFile('latin1')).trim();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw unusable(path, origin, `cannot be read: ${systemErrorCode(cause) ?? 'unknown error'}`, cause);
  }
  if (!/^[\x21-\x7e]+$/.test(token)) throw unusable(path, origin, 'does not hold one token');
  return token;
}

function parseHeaders(text: string, variable: string): Headers {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // No cause: the syntax error quotes the secret text.
    throw new AppError('CONFIG_INVALID', `the variable ${printable(variable)} is not valid JSON`, { hint: 'Write a JSON object of strings.' });
  }
  const entries = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? Object.entries(parsed) : undefined;
  if (entries === undefined || !entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) {
    throw new AppError('CONFIG_INVALID', `the variable ${printable(variable)} is not a JSON object of strings`);
  }
  return Object.fromEntries(entries);
}

function collect(into: Record<string, string>, headers: Headers, origin: string): void {
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase();
    if (!NAME.test(name)) throw new AppError('CONFIG_INVALID', `${printable(origin)} name a header that is not a valid header name`);
    if (RESERVED.has(key)) throw new AppError('CONFIG_INVALID', `${printable(origin)} set '${key}', which the HTTP client itself controls`);
    if (!VALUE.test(value)) throw new AppError('CONFIG_INVALID', `${printable(origin)} give '${key}' a value with control or non-Latin characters`);
    into[key] = value;
  }
}

function unusable(path: string, origin: string, problem: string, cause?: unknown): AppError {
  return new AppError('CREDENTIALS_MISSING', `the token file '${printable(path)}' (${origin}) ${problem}`, {
    hint: 'Check the path and the mount of the secret.',
    context: { path: printable(path), retry: 'no' },
    cause,
  });
}
