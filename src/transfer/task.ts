// SPDX-License-Identifier: Apache-2.0
import { type BigIntStats, fstat as fstatCallback } from 'node:fs';
import { promisify } from 'node:util';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Part } from '../oms/manifest.ts';
import type { Locator } from '../source/source.ts';
import type { Connections } from './connections.ts';
import { readThrough } from './fileReader.ts';
import type { HttpTransport } from './http.ts';
import { type ObjectFacts, readObject } from './ranged.ts';
import { createSink, type Subject } from './sink.ts';

const fstat = promisify(fstatCallback) as (fd: number, options: { bigint: true }) => Promise<BigIntStats>;

/**
 * One file to be hashed, on the main thread or in a worker: plain data. Descriptors belong to the engine, which opened
 * them under the directory discipline of store/dir.ts; a task never sees a path. Without `outputFd` it only hashes.
 */
export type Task = {
  readonly id: number;
  readonly file: Subject;
  readonly input: { readonly kind: 'fd'; readonly fd: number } | { readonly kind: 'http'; readonly locator: Extract<Locator, { kind: 'http' }> };
  readonly outputFd?: number;
  readonly maxFileBytes: number;
  /** Hash it in a thread of its own. */
  readonly hashApart?: boolean;
};

export type Outcome =
  | { readonly kind: 'ok'; readonly sizeBytes: number; readonly parts: readonly Part[]; readonly facts: ObjectFacts }
  | { readonly kind: 'handOff'; readonly sizeBytes: number };

export type TaskDeps = {
  readonly http: HttpTransport | undefined;
  readonly connections: Connections;
  readonly signal: AbortSignal;
  /** See `FileReading`. */
  readonly buffers: Buffer[];
  readonly mayBlock: boolean;
  /** A fresh address, when the old one expired or failed. */
  relocate(): Promise<Extract<Locator, { kind: 'http' }>>;
  /** Called once when the length is known, before the first byte is written. @throws NO_SPACE, LIMIT_EXCEEDED */
  admit(sizeBytes: number): Promise<void>;
  /** Whether an object of this length is read here; where not, it is given back unread, to be run elsewhere. Absent: all are. */
  keeps?(sizeBytes: number): boolean;
  /** Bytes that went through. */
  progress(bytes: number): void;
  /** Holds back the next bytes of a descriptor. */
  pace?(bytes: number): Promise<void>;
};

/**
 * Reads the input once, hashing while writing. Returns only when every signed byte has been seen and matched.
 * @throws DIGEST_MISMATCH, SIZE_MISMATCH, LIMIT_EXCEEDED, NO_SPACE, IO, and the SOURCE_… codes
 */
export function runTask(task: Task, deps: TaskDeps): Promise<Outcome> {
  switch (task.input.kind) {
    case 'fd':
      return fromDescriptor(task, task.input.fd, deps);
    case 'http':
      return fromHttp(task, task.input.locator, deps);
  }
}

async function fromHttp(task: Task, locator: Extract<Locator, { kind: 'http' }>, deps: TaskDeps): Promise<Outcome> {
  if (deps.http === undefined) throw new AppError('INTERNAL', 'no HTTP transport for an HTTP task');
  const object = await readObject(deps.http, locator, deps);
  const { totalBytes } = object;
  try {
    if (totalBytes !== undefined && deps.keeps?.(totalBytes) === false) return { kind: 'handOff', sizeBytes: totalBytes };
    if (totalBytes !== undefined) await admit(task, totalBytes, deps);
    await using sink = await createSink(task, deps.progress);
    await object.copyTo(sink);
    return { kind: 'ok', ...(await sink.finish()), facts: object.facts };
  } finally {
    await object.close();
  }
}

async function fromDescriptor(task: Task, fd: number, deps: TaskDeps): Promise<Outcome> {
  const before = await fstat(fd, { bigint: true });
  await admit(task, Number(before.size), deps);
  await using sink = await createSink(task, deps.progress);
  await readThrough(fd, {
    name: printable(task.file.path),
    buffers: deps.buffers,
    mayBlock: deps.mayBlock,
    async take(bytes, position) {
      deps.signal.throwIfAborted();
      sink.put(bytes, position);
      await deps.pace?.(bytes.length);
    },
  });
  const hashed = await sink.finish();
  await unchanged(task.file, fd, before);
  return { kind: 'ok', ...hashed, facts: {} };
}

async function admit(task: Task, sizeBytes: number, deps: TaskDeps): Promise<void> {
  if (sizeBytes > task.maxFileBytes) throw tooLarge(task.file, sizeBytes, task.maxFileBytes);
  const expected = 'parts' in task.file ? task.file.sizeBytes : undefined;
  if (expected !== undefined && expected !== sizeBytes) {
    const name = printable(task.file.path);
    throw new AppError('SIZE_MISMATCH', `Wrong length of '${name}': expected ${expected} bytes, found ${sizeBytes}`, {
      context: { path: name, expected: `${expected}`, found: `${sizeBytes}` },
    });
  }
  await deps.admit(sizeBytes);
}

/** A file that somebody writes to while it is being checked has no one content. */
async function unchanged(file: Subject, fd: number, before: BigIntStats): Promise<void> {
  const after = await fstat(fd, { bigint: true });
  if (after.size === before.size && after.mtimeNs === before.mtimeNs && after.ctimeNs === before.ctimeNs) return;
  throw new AppError('SOURCE_CHANGED', `'${printable(file.path)}' was changed while it was being read`, {
    context: { path: printable(file.path), retry: 'no' },
  });
}

function tooLarge(file: Subject, found: number, max: number): AppError {
  const name = printable(file.path);
  return new AppError('LIMIT_EXCEEDED', `'${name}' has at least ${found} bytes, more than --max-file-size ${max}`, {
    context: { path: name, expected: `${max}`, found: `${found}` },
  });
}
