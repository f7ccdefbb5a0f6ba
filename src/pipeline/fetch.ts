// SPDX-License-Identifier: Apache-2.0
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import type { ObjectRef } from '../source/source.ts';
import { type Dir, unreadable } from '../store/dir.ts';
import type { Job, Output } from '../transfer/engine.ts';
import { isObjectMissing } from '../transfer/httpErrors.ts';
import type { Subject } from '../transfer/sink.ts';
import { openLocalFile } from './localFile.ts';
import type { Run } from './standing.ts';

/** Fetches one object of the run's source. Errors are told in terms of the model: its job @throws FILE_MISSING, FILE_TYPE, IO, and the SOURCE_… codes */
export function fetchJob<F extends Subject = ManifestFile>(run: Run, file: F, ref: ObjectRef, output: () => Promise<Output>): Job<F> {
  const { source } = run;
  if (source.kind === 'file') return { file, origin: 'fetched', input: { kind: 'file', open: () => openSourceFile(run, file, ref) }, output };
  return {
    file,
    origin: 'fetched',
    output,
    ...('parts' in file && file.sizeBytes !== undefined && { sizeBytes: file.sizeBytes }),
    missing: (error) => missingAtSource(file, error),
    input: {
      kind: 'http',
      async locate(signal) {
        const locator = await source.locate(ref, signal);
        if (locator.kind === 'http') return locator;
        throw new AppError('INTERNAL', 'a remote source named a local file');
      },
    },
  };
}

async function openSourceFile(run: Run, file: Subject, ref: ObjectRef): ReturnType<Dir['openFile']> {
  const locator = await run.source.locate(ref, run.deps.signal);
  if (locator.kind !== 'file') throw new AppError('INTERNAL', 'a local source named a remote object');
  try {
    return await openLocalFile(locator, run.accepted.manifest.symlinks === 'follow' || run.plan.symlinks === 'allow' ? 'follow' : 'refuse');
  } catch (error) {
    throw missingAtSource(file, error);
  }
}

/** The manifest names it, so it has to be there: 404 for a signed file is a broken model, not a broken source. */
function missingAtSource(file: Subject, error: unknown): unknown {
  const gone = isObjectMissing(error) || ['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '');
  if (!gone) return error instanceof AppError ? error : sourceUnreadable(file, error);
  const name = printable(file.path);
  const problem = 'parts' in file ? 'is signed but not at the source' : 'is not at the source';
  return new AppError('FILE_MISSING', `Missing files in model: '${name}' ${problem}`, {
    context: { path: name, names: [name], count: 1 },
    cause: error,
  });
}

function sourceUnreadable(file: Subject, error: unknown): AppError {
  const name = printable(file.path);
  if (!['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '')) return unreadable(error, file.path);
  return new AppError('SOURCE_DENIED', `'${name}' cannot be read at the source: permission denied`, {
    hint: 'Check the user and fsGroup of this container against the owner of the files.',
    context: { path: name, retry: 'no' },
    cause: error,
  });
}
