// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, asAppError, type ErrorCode, systemErrorCode } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import type { HttpSettings, Locator } from '../source/source.ts';
import { backoffMs, isRetryable } from './backoff.ts';
import type { HttpLocator, HttpTransport } from './http.ts';

const ATTEMPTS = 4;

/**
 * A bundle or trust material as a whole: at most `maxBytes`, with up to three retries over HTTP.
 * @throws LIMIT_EXCEEDED, FILE_TYPE, IO and the SOURCE_… codes (SOURCE_NOT_FOUND also for a file; see isObjectMissing)
 */
export async function readSmall(http: HttpSettings, locator: Locator, maxBytes: number, signal: AbortSignal, pause = pauseFor): Promise<Buffer> {
  switch (locator.kind) {
    case 'file':
      return readSmallFile(join(locator.root, locator.path), maxBytes, 'refuse');
    case 'http': {
      const { createHttpTransport } = await import('./http.ts');
      await using transport = await createHttpTransport(http, 1);
      return await downloadWithRetries(transport, locator, maxBytes, signal, pause);
    }
  }
}

/**
 * A regular file of at most `maxBytes`. A link can at worst make us read other bytes, which then have to pass as a bundle or as pinned
 * material; `refuse` keeps the rule of the model directory, where no link is followed.
 * @throws SOURCE_NOT_FOUND, SOURCE_DENIED, FILE_TYPE, LIMIT_EXCEEDED, IO
 */
export async function readSmallFile(path: string, maxBytes: number, links: 'refuse' | 'follow'): Promise<Buffer> {
  const name = printable(path);
  try {
    // O_NONBLOCK: opening a FIFO that nobody writes to must not hang.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | (links === 'refuse' ? constants.O_NOFOLLOW : 0));
    const stat = await file.stat();
    if (!stat.isFile()) throw new AppError('FILE_TYPE', `'${name}' is not a regular file`, { context: { path: name } });
    if (stat.size > maxBytes) throw tooLarge(name, stat.size, maxBytes);
    return await readCapped(file, name, stat.size, maxBytes);
  } catch (cause) {
    throw cause instanceof AppError ? cause : fileError(cause, name);
  }
}

/** `expected` is only where to begin: the file may grow meanwhile, or be one of those that say 0. */
async function readCapped(file: FileHandle, name: string, expected: number, maxBytes: number): Promise<Buffer> {
  // One byte more than expected, or the end would not be seen without making room for more.
  let bytes = Buffer.allocUnsafe(Math.max(expected + 1, 4096));
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(bytes, length);
    if (bytesRead === 0) return bytes.subarray(0, length);
    length += bytesRead;
    if (length > maxBytes) throw tooLarge(name, length, maxBytes);
    if (length === bytes.length) bytes = Buffer.concat([bytes], 2 * length);
  }
}

async function downloadWithRetries(
  transport: HttpTransport,
  locator: HttpLocator,
  maxBytes: number,
  signal: AbortSignal,
  pause: typeof pauseFor,
): Promise<Buffer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await download(transport, locator, maxBytes, signal);
    } catch (error) {
      signal.throwIfAborted();
      // The address is given: one that expired stays so.
      if (attempt === ATTEMPTS || !isRetryable(error) || asAppError(error).code === 'SOURCE_DENIED') throw error;
      await pause(backoffMs(attempt, asAppError(error).context.retryAfterMs), signal);
    }
  }
}

async function download(transport: HttpTransport, locator: HttpLocator, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const object = await transport.open(locator, { signal });
  const name = redactUri(locator.url);
  if (object.totalBytes !== undefined && object.totalBytes > maxBytes) {
    await object.discard();
    throw tooLarge(name, object.totalBytes, maxBytes);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  await object.read({
    take(bytes) {
      length += bytes.length;
      if (length > maxBytes) throw tooLarge(name, length, maxBytes);
      chunks.push(Buffer.from(bytes));
    },
  });
  return Buffer.concat(chunks);
}

async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  // The timer rejects with an error of its own; callers are promised the signal's reason.
  await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function fileError(cause: unknown, name: string): AppError {
  const errno = systemErrorCode(cause);
  const make = (code: ErrorCode, problem: string): AppError => new AppError(code, `'${name}' ${problem}`, { context: { path: name, retry: 'no' }, cause });
  switch (errno) {
    case 'ENOENT':
    case 'ENOTDIR':
      return make('SOURCE_NOT_FOUND', 'does not exist');
    case 'ELOOP':
      return make('FILE_TYPE', 'is a symbolic link');
    case 'ENXIO':
      return make('FILE_TYPE', 'is not a regular file');
    case 'EACCES':
    case 'EPERM':
      return make('SOURCE_DENIED', 'cannot be read: permission denied');
    default:
      return make('IO', `cannot be read: ${errno ?? 'unknown error'}`);
  }
}

function tooLarge(name: string, found: number, maxBytes: number): AppError {
  return new AppError('LIMIT_EXCEEDED', `'${name}' has ${found} bytes or more; at most ${maxBytes} are read`, {
    context: { uri: name, expected: `at most ${maxBytes} bytes`, found: `${found} bytes` },
  });
}
