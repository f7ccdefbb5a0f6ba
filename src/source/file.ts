// SPDX-License-Identifier: Apache-2.0
import type { Stats } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { blobOf } from '../base/hubCache.ts';
import { printable } from '../base/redact.ts';
import type { SourceSpec } from '../plan/uri.ts';
import { cannotLocate, nameComponents } from './objectName.ts';
import type { Locator, ObjectRef, Source, SourceSettings } from './source.ts';

type FileSpec = Extract<SourceSpec, { kind: 'file' }>;

/**
 * A directory or file of this machine: a plain path, file:// or a mounted claim.
 * @throws MODEL_NOT_FOUND, FILE_TYPE, SOURCE_DENIED, IO
 */
export async function openFile(spec: FileSpec, settings: SourceSettings): Promise<Source> {
  // Resolving drops the trailing slash, with which lstat would follow a link.
  const path = resolve(spec.path);
  const displayUri = printable(path);
  if (spec.claim !== undefined) await requireClaim(spec.claim, path);
  const shape = shapeOf(await statOf(path, () => missing(`there is no model at '${displayUri}'`, displayUri)), displayUri);
  return {
    kind: 'file',
    displayUri,
    basename: basename(path),
    shape,
    http: { connectTimeoutMs: settings.http.connectTimeoutMs, stallTimeoutMs: settings.http.stallTimeoutMs, verifyTls: true },
    async locate(ref: ObjectRef, signal: AbortSignal): Promise<Locator> {
      signal.throwIfAborted();
      return (spec.hubCache === true && ref.kind === 'inside' ? await locateBlob(path, ref.path) : undefined) ?? locatorOf(path, ref, displayUri);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function locatorOf(path: string, ref: ObjectRef, displayUri: string): Locator {
  if (ref.kind === 'inside') return { kind: 'file', root: path, path: nameComponents(ref.path).join('/') };
  if (path === '/') throw cannotLocate(ref, displayUri, 'is the root directory');
  const suffix = ref.kind === 'beside' ? ref.suffix : '';
  return { kind: 'file', root: dirname(path), path: basename(path) + suffix };
}

/** What a link of a hub cache stands for; undefined for anything else, which is then opened without following links. */
async function locateBlob(snapshot: string, name: string): Promise<Locator | undefined> {
  try {
    const blob = blobOf(name, await readlink(join(snapshot, ...nameComponents(name))));
    return blob === undefined ? undefined : { kind: 'file', root: join(dirname(dirname(await realpath(snapshot))), 'blobs'), path: blob };
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

async function requireClaim(claim: string, path: string): Promise<void> {
  const mount = claimMount(claim, path);
  const message = `claim '${claim}' is not mounted (expected at ${printable(mount)})`;
  await statOf(mount, () => missing(message, printable(mount), 'Mount the claim there, or say where with --pvc-root.'));
}

/** plan/uri.ts wrote the path as <pvcRoot>/CLAIM/…; directories of the model may bear the claim's name again, so the outermost counts. */
function claimMount(claim: string, path: string): string {
  const components = path.split('/');
  return components.slice(0, components.indexOf(claim) + 1).join('/');
}

function shapeOf(stats: Stats, displayUri: string): 'directory' | 'object' {
  if (stats.isDirectory()) return 'directory';
  if (stats.isFile()) return 'object';
  const found = stats.isSymbolicLink() ? 'a symbolic link' : 'a special file';
  throw new AppError('FILE_TYPE', `'${displayUri}' is ${found}, not a directory or regular file`, {
    hint: 'Name the real path: what a link points to can be changed after the check.',
    context: { path: displayUri, expected: 'directory or regular file', found },
  });
}

async function statOf(path: string, onMissing: () => AppError): Promise<Stats> {
  try {
    return await lstat(path);
  } catch (cause) {
    const errno = systemErrorCode(cause);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') throw onMissing();
    const code = errno === 'EACCES' || errno === 'EPERM' ? 'SOURCE_DENIED' : 'IO';
    throw new AppError(code, `'${printable(path)}' cannot be read: ${errno ?? 'unknown error'}`, {
      ...(code === 'SOURCE_DENIED' && { hint: 'Check the user and fsGroup of this container against the owner of the files.' }),
      context: { path: printable(path) },
      cause,
    });
  }
}

function missing(message: string, path: string, hint?: string): AppError {
  return new AppError('MODEL_NOT_FOUND', message, { ...(hint !== undefined && { hint }), context: { path } });
}
