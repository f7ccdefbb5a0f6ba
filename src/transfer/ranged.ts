// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteRange } from '../base/brands.ts';
import { AppError, asAppError } from '../base/errors.ts';
import type { Locator } from '../source/source.ts';
import { backoffMs, isRetryable } from './backoff.ts';
import type { HttpObject, HttpTransport } from './http.ts';
import { isRangeIgnored } from './httpErrors.ts';

type HttpLocator = Extract<Locator, { kind: 'http' }>;

/** What the source said of an object besides its bytes. */
export type ObjectFacts = { readonly etag?: string; readonly versionId?: string; readonly lastModified?: string };

/** The body of one object in order, fetched in ranges where the server allows it. `close` gives up what is not read. */
export type ObjectReader = {
  readonly totalBytes: number | undefined;
  readonly facts: ObjectFacts;
  readonly body: AsyncIterable<Buffer>;
  close(): Promise<void>;
};

export type ReaderDeps = { readonly window: Window; readonly signal: AbortSignal; relocate(): Promise<HttpLocator> };

/** Length of one range request, in bytes. */
export const SEGMENT_BYTES = 8 * 1024 * 1024;
const MAX_ATTEMPTS = 5;

/** How many segments of all running tasks of a thread may be held in memory ahead of their turn. */
export type Window = { take(): boolean; give(): void };

export function createWindow(segments: number): Window {
  let free = segments;
  return {
    take() {
      if (free === 0) return false;
      free--;
      return true;
    },
    give() {
      free++;
    },
  };
}

/**
 * Opens an object with a request for its first segment, whose answer tells length and ETag. The rest follows in ranges
 * pinned to that ETag, several at once, each resumed where it broke. Without ranges or a strong ETag: one plain stream.
 * @throws the SOURCE_… codes after the last attempt
 */
export async function readObject(transport: HttpTransport, locator: HttpLocator, deps: ReaderDeps): Promise<ObjectReader> {
  const stop = new AbortController();
  const state: State = { transport, locator, deps, stop, signal: AbortSignal.any([deps.signal, stop.signal]), etag: undefined };
  const first = await withRetries(state, () => transport.open(state.locator, { range: { start: 0, end: SEGMENT_BYTES }, signal: state.signal }));
  const { totalBytes } = first;
  const facts: ObjectFacts = {
    ...(first.etag !== undefined && { etag: first.etag }),
    ...(first.versionId !== undefined && { versionId: first.versionId }),
    ...(first.lastModified !== undefined && { lastModified: first.lastModified }),
  };
  state.etag = first.etag;
  const close = async (): Promise<void> => {
    state.stop.abort();
    await first.discard();
  };
  if (first.status === 200 || totalBytes === undefined || totalBytes <= SEGMENT_BYTES) {
    return {
      totalBytes,
      facts,
      close,
      body: first.etag === undefined || totalBytes === undefined ? first.body : segment(state, { start: 0, end: totalBytes }, first),
    };
  }
  if (first.etag === undefined) {
    // Nothing would tell whether later ranges belong to the same content: take it all in one answer.
    await first.discard();
    const whole = await withRetries(state, () => transport.open(state.locator, { signal: state.signal }));
    return { totalBytes: whole.totalBytes, facts, body: whole.body, close: () => whole.discard() };
  }
  return { totalBytes, facts, close, body: inOrder(state, totalBytes, first) };
}

type State = {
  readonly transport: HttpTransport;
  locator: HttpLocator;
  readonly deps: ReaderDeps;
  readonly stop: AbortController;
  /** The caller's signal, or ours once the reader is closed. */
  readonly signal: AbortSignal;
  etag: string | undefined;
};

/** Streams the segment whose turn it is; later ones are fetched into memory meanwhile, as far as the window allows. */
async function* inOrder(state: State, totalBytes: number, first: HttpObject): AsyncIterable<Buffer> {
  const ranges: ByteRange[] = [];
  for (let start = 0; start < totalBytes; start += SEGMENT_BYTES) ranges.push({ start, end: Math.min(start + SEGMENT_BYTES, totalBytes) });
  const ahead = new Map<number, Prefetch>();
  let next = 1;
  const fill = (): void => {
    while (next < ranges.length && state.deps.window.take()) {
      const range = ranges[next];
      if (range !== undefined) ahead.set(next, prefetch(segment(state, range)));
      next++;
    }
  };
  try {
    for (const [i, range] of ranges.entries()) {
      if (next <= i) next = i + 1;
      fill();
      const fetched = ahead.get(i);
      if (fetched === undefined) yield* segment(state, range, i === 0 ? first : undefined);
      else {
        yield* fetched.drain();
        ahead.delete(i);
        state.deps.window.give();
      }
    }
  } finally {
    state.stop.abort();
    for (const fetched of ahead.values()) {
      await fetched.settled;
      state.deps.window.give();
    }
  }
}

/** One range, pinned to the ETag, going on from the last byte that arrived after each interruption. */
async function* segment(state: State, range: ByteRange, opened?: HttpObject): AsyncIterable<Buffer> {
  let position = range.start;
  let object = opened;
  for (let attempt = 1; ; attempt++) {
    try {
      object ??= await openPinned(state, { start: position, end: range.end });
      for await (const chunk of object.body) {
        position += chunk.length;
        if (position > range.end) throw new AppError('SOURCE_UNAVAILABLE', 'the server sent more bytes than asked for', { context: { retry: 'no' } });
        yield chunk;
      }
      if (position === range.end) return;
      throw new AppError('SOURCE_UNAVAILABLE', `the connection ended at byte ${position} of ${range.end}`, { context: { retry: 'again' } });
    } catch (error) {
      await object?.discard();
      object = undefined;
      if (state.etag === undefined && position > range.start) throw error;
      if (isRangeIgnored(error)) throw startOver(error);
      await pauseOrThrow(state, error, attempt);
    }
  }
}

function openPinned(state: State, range: ByteRange): Promise<HttpObject> {
  return state.transport.open(state.locator, { range, signal: state.signal, ...(state.etag !== undefined && { ifMatch: state.etag }) });
}

async function withRetries(state: State, open: () => Promise<HttpObject>): Promise<HttpObject> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      await pauseOrThrow(state, error, attempt);
    }
  }
}

/** The server sends whole objects only: the file has to come again from its first byte, which is the engine's decision. */
function startOver(cause: unknown): AppError {
  return new AppError('SOURCE_UNAVAILABLE', 'the transfer was interrupted, and the server cannot resume it', { context: { retry: 'again' }, cause });
}

async function pauseOrThrow(state: State, error: unknown, attempt: number): Promise<void> {
  const { signal } = state;
  if (signal.aborted || !isRetryable(error)) throw error;
  if (attempt >= MAX_ATTEMPTS) throw exhausted(error, attempt);
  await sleep(backoffMs(attempt, asAppError(error).context.retryAfterMs), undefined, { signal });
  state.locator = await state.deps.relocate();
}

/** Enough was tried here: the engine must not multiply it. */
function exhausted(error: unknown, attempts: number): AppError {
  const { code, message, hint, context } = asAppError(error);
  return new AppError(code, `${message} (after ${attempts} attempts)`, { hint, context: { ...context, retry: 'no' }, cause: error });
}

type Prefetch = { drain(): AsyncIterable<Buffer>; readonly settled: Promise<void> };

/** Pulls a segment into memory in the background. An error waits there until the segment's turn. */
function prefetch(source: AsyncIterable<Buffer>): Prefetch {
  const chunks: Buffer[] = [];
  let failure: { readonly error: unknown } | undefined;
  let done = false;
  let wake: () => void = () => {};
  const settled = (async () => {
    try {
      for await (const chunk of source) {
        chunks.push(chunk);
        wake();
      }
    } catch (error) {
      failure = { error };
    }
    done = true;
    wake();
  })();
  return {
    settled,
    async *drain() {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk !== undefined) yield chunk;
        else if (failure !== undefined) throw failure.error;
        else if (done) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
