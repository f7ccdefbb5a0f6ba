// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError, asAppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Finding } from '../formats/finding.ts';
import { identify } from '../formats/identify.ts';
import { byteSourceOf } from './byteSource.ts';

/** What an open file is, by its content. `formats`: each once. */
export type Look = { readonly sizeBytes: number; readonly findings: readonly Finding[]; readonly formats: readonly string[] };

/** One file may need 64 MiB at once, and what it decompresses to besides; more at a time would hardly be faster. */
export const LANES = 2;

/** A few at a time. The first failure stops the others, and is what is thrown once they have stopped. */
export async function inLanes<T>(items: Iterable<T>, signal: AbortSignal, work: (item: T, signal: AbortSignal) => Promise<void>): Promise<void> {
  const giveUp = new AbortController();
  const either = AbortSignal.any([signal, giveUp.signal]);
  const queue = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    try {
      for (let next = queue.next(); next.done !== true && !either.aborted; next = queue.next()) await work(next.value, either);
    } catch (error) {
      giveUp.abort(error);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  if (either.aborted) throw asAppError(either.reason);
}

/** `name` is the file's in the model. @throws SOURCE_CHANGED, IO, and the signal's reason */
export async function lookAt(file: FileHandle, name: string, signal: AbortSignal): Promise<Look> {
  signal.throwIfAborted();
  const display = printable(name);
  const before = await stateOf(file);
  const findings = await identify(byteSourceOf(file, before.sizeBytes, display, signal), name);
  // A verdict on bytes that were written meanwhile is a verdict on neither state.
  if ((await stateOf(file)).identity !== before.identity) {
    throw new AppError('SOURCE_CHANGED', `'${display}' was written to while it was scanned`, { context: { path: display, retry: 'no' } });
  }
  const formats = [...new Set(findings.flatMap((finding) => (finding.kind === 'format' ? [finding.format] : [])))];
  return { sizeBytes: before.sizeBytes, findings, formats };
}

async function stateOf(file: FileHandle): Promise<{ readonly sizeBytes: number; readonly identity: string }> {
  const { size, mtimeNs, ctimeNs } = await file.stat({ bigint: true });
  return { sizeBytes: Number(size), identity: `${size}:${mtimeNs}:${ctimeNs}` };
}
