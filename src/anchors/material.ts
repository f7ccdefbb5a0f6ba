// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type HexDigest, isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { inWords } from '../base/inWords.ts';
import { printable, redactUri } from '../base/redact.ts';
import type { MaterialRef } from '../plan/trust.ts';

/** Bytes of trust material, and what to call them in messages. */
export type LoadedMaterial = { readonly bytes: Buffer; readonly name: string };

export type MaterialDeps = {
  /** Downloads at most `maxBytes`, over verified TLS unless the caller pinned the content. */
  readonly fetchUri: (uri: string, maxBytes: number) => Promise<Buffer>;
  readonly signal: AbortSignal;
  /** Told of each file or directory before it is read. */
  readonly noted?: (path: string) => void;
};

/** Key and certificate files; trusted roots are larger. */
export const MAX_MATERIAL_BYTES = 1024 * 1024;
const MAX_DIRECTORY_FILES = 256;

/**
 * Reads a file, all files of a directory, text, or a URI. Links are followed: Kubernetes mounts ConfigMaps and Secrets as links.
 * @throws ANCHORS_INVALID, and whatever `fetchUri` throws
 */
export async function readMaterial(ref: MaterialRef, deps: MaterialDeps, maxBytes = MAX_MATERIAL_BYTES): Promise<NonEmpty<LoadedMaterial>> {
  deps.signal.throwIfAborted();
  switch (ref.kind) {
    case 'text':
      return [limited({ bytes: Buffer.from(ref.text), name: 'the given text' }, maxBytes)];
    case 'uri': {
      const material = limited({ bytes: await deps.fetchUri(ref.uri, maxBytes), name: redactUri(ref.uri) }, maxBytes);
      return [pinned(material, ref.sha256)];
    }
    case 'file':
      deps.noted?.(ref.path);
      return readPath(ref.path, ref.sha256, maxBytes, deps.signal);
  }
}

/** One file, or all files of a directory. @throws ANCHORS_INVALID */
export async function readPath(path: string, sha256: HexDigest | undefined, maxBytes: number, signal: AbortSignal): Promise<NonEmpty<LoadedMaterial>> {
  const found = await readFileOrDirectory(path, maxBytes);
  if (found !== 'directory') return [pinned(found, sha256)];
  if (sha256 !== undefined) throw invalid(`${show(path)} is a directory and cannot be pinned by digest`, 'Pin the files one by one, or leave the pin out.');
  const files: LoadedMaterial[] = [];
  for (const name of await listDirectory(path)) {
    signal.throwIfAborted();
    const file = await readFileOrDirectory(join(path, name), maxBytes);
    // Deeper directories are somebody else's business.
    if (file !== 'directory') files.push(file);
  }
  if (isNonEmpty(files)) return files;
  throw invalid(`the directory ${show(path)} holds no files`, 'Is the ConfigMap, Secret or volume mounted there, and not empty?');
}

async function readFileOrDirectory(path: string, maxBytes: number): Promise<LoadedMaterial | 'directory'> {
  try {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (stats.isDirectory()) return 'directory';
    if (!stats.isFile()) throw invalid(`${show(path)} is neither a file nor a directory`);
    return limited({ bytes: await readAtMost(file, maxBytes + 1), name: show(path) }, maxBytes);
  } catch (error) {
    throw unreadable(error, path);
  }
}

async function readAtMost(file: FileHandle, maxBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(maxBytes);
  let length = 0;
  while (length < maxBytes) {
    const { bytesRead } = await file.read(buffer, length, maxBytes - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return Buffer.from(buffer.subarray(0, length));
}

/** Sorted; names with a leading dot are editors' and Kubernetes' own (`..data`, `..2026_11_05_…`). */
async function listDirectory(path: string): Promise<readonly string[]> {
  let names: string[];
  try {
    names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    throw unreadable(error, path);
  }
  if (names.length > MAX_DIRECTORY_FILES) throw invalid(`the directory ${show(path)} holds ${names.length} files, at most ${MAX_DIRECTORY_FILES} are read`);
  return names;
}

function limited(material: LoadedMaterial, maxBytes: number): LoadedMaterial {
  if (material.bytes.length <= maxBytes) return material;
  throw invalid(`${material.name} is larger than ${maxBytes} bytes`, 'Is this really a key, a certificate or a trusted root?');
}

function pinned(material: LoadedMaterial, expected: HexDigest | undefined): LoadedMaterial {
  if (expected === undefined) return material;
  const found = createHash('sha256').update(material.bytes).digest('hex');
  if (found === expected) return material;
  throw new AppError('ANCHORS_INVALID', `${material.name} is not what was pinned: expected sha256 ${expected}, found ${found}`, {
    hint: 'If the material was replaced on purpose, update the #sha256= pin; otherwise somebody swapped it.',
    context: { expected, found },
  });
}

function unreadable(error: unknown, path: string): AppError {
  if (error instanceof AppError) return error;
  return new AppError('ANCHORS_INVALID', `cannot read ${show(path)}: ${inWords(systemErrorCode(error) ?? 'unknown failure')}`, {
    cause: error,
    context: { path: show(path) },
    hint: 'Is the file mounted at that path in this container, and readable for its user?',
  });
}

function invalid(message: string, hint?: string): AppError {
  return new AppError('ANCHORS_INVALID', message, hint === undefined ? {} : { hint });
}

function show(path: string): string {
  return printable(path, 300);
}
