// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteRange } from '../base/brands.ts';
import { AppError, asAppError } from '../base/errors.ts';
import type { Locator } from '../source/source.ts';
import type { Taker } from './answer.ts';
import { backoffMs, isRetryable } from './backoff.ts';
import type { Connections } from './connections.ts';
import type { HttpObject, HttpTransport } from './http.ts';
import { isRangeIgnored } from './httpErrors.ts';

type HttpLocator = Extract<Locator, { kind: 'http' }>;

/** What the source said of an object besides its bytes. */
export type ObjectFacts = { readonly etag?: string; readonly versionId?: string; readonly lastModified?: string };

/** Gets the bytes of one object, each with its place in it. */
export type Sink = {
  /** Whether bytes may arrive out of order; each stretch that was begun goes on where it stopped. */
  readonly anyOrder: boolean;
  /** Memory for bytes that are to arrive at `position`, at least 32 KiB. */
  lend?(position: number): Buffer | undefined;
  /** Bytes are the sink's only during the call. What it throws ends the transfer, as it is no failure that another attempt could mend. */
  put(bytes: Buffer, position: number): void;
};

/** An object whose length is known as far as the server tells it. `close` gives up what is not read. */
export type ObjectReader = {
  readonly totalBytes: number | undefined;
  readonly facts: ObjectFacts;
  /** Fetches it, in ranges where the server allows it; once. When this has ended, well or not, nothing is put any more. */
  copyTo(sink: Sink): Promise<void>;
  close(): Promise<void>;
};

export type ReaderDeps = { readonly connections: Connections; readonly signal: AbortSignal; relocate(): Promise<HttpLocator> };

/** Length of the first range, whose answer tells how long the object is, in bytes. */
export const FIRST_BYTES = 8 * 1024 * 1024;
/** Length of the others, at least: at 80 MB/s a connection waits 50 ms between two of them in every 840... */
export const RANGE_BYTES = 64 * 1024 * 1024;
/** ...and at most, for a connection that has the object to itself. What is far from its turn is read back to be hashed, perhaps from the disk. */
const LONG_RANGE_BYTES = 256 * 1024 * 1024;
const MAX_ATTEMPTS = 5;
/** How often it is asked whether another connection is worth it, in milliseconds. */
const GROW_MS = 50;

/**
 * Opens an object with a request for its first range, whose answer tells length and ETag. The rest follows in ranges pinned to that ETag,
 * several at once where one connection is not enough, each resumed where it broke. Without ranges or a strong ETag: one plain stream.
 * @throws the SOURCE_… codes after the last attempt
 */
export async function readObject(transport: HttpTransport, locator: HttpLocator, deps: ReaderDeps): Promise<ObjectReader> {
  const state: State = { transport, locator, deps, signal: deps.signal, etag: undefined };
  const first = await withRetries(state, () => transport.open(state.locator, { range: { start: 0, end: FIRST_BYTES }, signal: state.signal }));
  const { totalBytes } = first;
  const facts: ObjectFacts = {
    ...(first.etag !== undefined && { etag: first.etag }),
    ...(first.versionId !== undefined && { versionId: first.versionId }),
    ...(first.lastModified !== undefined && { lastModified: first.lastModified }),
  };
  state.etag = first.etag;
  const reader = (totalBytes: number | undefined, copyTo: ObjectReader['copyTo']): ObjectReader => ({
    totalBytes,
    facts,
    copyTo,
    close: () => first.discard(),
  });
  if (totalBytes === undefined) return reader(undefined, (sink) => inOneStream(first, sink));
  if (first.status === 200 || totalBytes <= FIRST_BYTES) {
    if (first.etag === undefined) return reader(totalBytes, (sink) => inOneStream(first, sink));
    return reader(totalBytes, (sink) => segment(state, { start: 0, end: totalBytes }, sink, first));
  }
  if (first.etag === undefined) {
    // Nothing would tell whether later ranges belong to the same content: take it all in one answer.
    await first.discard();
    const whole = await withRetries(state, () => transport.open(state.locator, { signal: state.signal }));
    return { ...reader(whole.totalBytes, (sink) => inOneStream(whole, sink)), close: () => whole.discard() };
  }
  return reader(totalBytes, (sink) => inRanges(state, totalBytes, first, sink));
}

type State = {
  readonly transport: HttpTransport;
  locator: HttpLocator;
  readonly deps: ReaderDeps;
  readonly signal: AbortSignal;
  etag: string | undefined;
};

function inOneStream(object: HttpObject, sink: Sink): Promise<void> {
  let position = 0;
  return object.read({
    take(bytes) {
      position += bytes.length;
      sink.put(bytes, position - bytes.length);
    },
  });
}

/** One connection takes range after range; others join it while this thread waits for bytes more than it works. */
async function inRanges(opened: State, totalBytes: number, first: HttpObject, sink: Sink): Promise<void> {
  const { connections } = opened.deps;
  const stop = new AbortController();
  const state: State = { ...opened, signal: AbortSignal.any([opened.signal, stop.signal]) };
  let next = 0;
  let running = 1;
  const take = (): ByteRange | undefined => {
    const left = totalBytes - next;
    if (left === 0) return undefined;
    const start = next;
    // Half of what is left, so that there is something for those who may join.
    const alone = Math.max(RANGE_BYTES, Math.min(Math.ceil(left / 2), LONG_RANGE_BYTES));
    next += Math.min(start === 0 ? FIRST_BYTES : running === 1 ? alone : RANGE_BYTES, left);
    return { start, end: next };
  };
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    try {
      for (let range = take(); range !== undefined; range = take()) await segment(state, range, sink, range.start === 0 ? first : undefined);
    } catch (error) {
      // Later ones fail because of this one.
      failure ??= { error };
      stop.abort();
      // It was asked for before there was anything to stop.
      await first.discard();
    }
  };
  const lanes = [lane()];
  const helper = async (): Promise<void> => {
    running++;
    await lane();
    running--;
    connections.release();
  };
  const grow = (): void => {
    for (let n = running; n > 0 && next < totalBytes && connections.tryUse(); n--) lanes.push(helper());
  };
  const timer = sink.anyOrder ? setInterval(grow, GROW_MS) : undefined;
  // Lanes are added while others run: all of them are over when the first is and no other is left.
  for (let i = 0; i < lanes.length; i++) await lanes[i];
  clearInterval(timer);
  if (failure !== undefined) throw failure.error;
}

/** One range, pinned to the ETag, going on from the last byte that arrived after each interruption. */
async function segment(state: State, range: ByteRange, sink: Sink, opened?: HttpObject): Promise<void> {
  let position = range.start;
  let object = opened;
  const taker: Taker = {
    lend: () => sink.lend?.(position),
    take(bytes) {
      if (position + bytes.length > range.end)
        throw new AppError('SOURCE_UNAVAILABLE', 'the server sent more bytes than asked for', { context: { retry: 'no' } });
      sink.put(bytes, position);
      position += bytes.length;
    },
  };
  for (let attempt = 1; ; attempt++) {
    try {
      object ??= await openPinned(state, { start: position, end: range.end });
      await object.read(taker);
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
