// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { type ArchiveFormat, archiveFormatOf, type Member, readArchive } from '../archive/archive.ts';
import { isNonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type ManifestFile, replaceByMembers } from '../oms/manifest.ts';
import { type ModelPath, parseModelPath } from '../oms/path.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { ObjectRef } from '../source/source.ts';
import { refusal } from '../store/completeness.ts';
import { type FileResult, type Output, transfer } from '../transfer/engine.ts';
import { createSink, type Subject } from '../transfer/sink.ts';
import { fetchJob } from './fetch.ts';
import { fileEvidence } from './files.ts';
import type { Accepted } from './gate.ts';
import { createClaims, createSignedClaims } from './members.ts';
import { checkArchive, refuseOther } from './objectDigest.ts';
import { createSpace, type Space } from './space.ts';
import { type Run, transferDeps } from './standing.ts';

/** Whether what was signed, and is wanted, is one archive file that is to be unpacked. */
export function isSignedArchive(plan: PullPlan, { shape, selection: { wanted } }: Accepted): boolean {
  return plan.archives === 'unpack' && shape !== 'archive' && wanted.length === 1 && archiveFormatOf(wanted[0].path) !== undefined;
}

/**
 * The archive file is signed: it is fetched and verified like any other file, and then its members, all of them, take its place in the model.
 * Until the last byte of it has been verified nothing is unpacked.
 * @throws PATH_UNSAFE, FILE_TYPE, ARCHIVE_INVALID, LIMIT_EXCEEDED, DIGEST_NOT_PINNED, NO_SPACE, IO, and the codes of fetching
 */
export async function unpackSigned(run: Run): Promise<{ readonly accepted: Accepted; readonly unpacked: readonly FileResult[] }> {
  const { accepted, staging } = run;
  const [file] = accepted.selection.wanted;
  // What an earlier start left here was verified by a list that nobody has any more.
  await staging.clear();
  await using archive = await fetchArchive(run, file, accepted.shape === 'object' ? { kind: 'self' } : { kind: 'inside', path: file.path }, 'whole');
  await checkArchive(run, archive.file);
  run.deps.emit({ kind: 'unpacking', archive: printable(file.path), sizeBytes: archive.sizeBytes });
  const space = await spaceOf(run);
  const claim = createClaims();
  const unpacked: FileResult[] = [];
  for await (const member of membersOf(run, archive)) {
    const path = claim(member);
    if (path === undefined) continue;
    const written = await writeMember(run, { path, algorithm: 'sha256' }, member, space);
    if (!isNonEmpty(written.parts)) throw new AppError('INTERNAL', 'a member without a digest');
    unpacked.push({ ...written, file: { path, algorithm: 'sha256', parts: written.parts, sizeBytes: written.sizeBytes } });
  }
  const files = unpacked.map((result) => result.file);
  if (!isNonEmpty(files)) throw new AppError('ARCHIVE_INVALID', `the archive '${printable(file.path)}' holds no files`);
  const manifest = replaceByMembers(accepted.manifest, files);
  return { accepted: { ...accepted, shape: 'archive', manifest, selection: { wanted: files, notRequested: accepted.selection.notRequested } }, unpacked };
}

/**
 * The tree is signed, the archive only carries it: every signed member is checked against the manifest as it is written, no other is written.
 * `wanted` may be a part of the manifest: what is not there already.
 * @throws FILE_UNSIGNED, FILE_MISSING, DIGEST_MISMATCH, SIZE_MISMATCH, and as unpackSigned
 */
export async function unpackMembers(run: Run, wanted: readonly ManifestFile[]): Promise<readonly FileResult[]> {
  const { plan, source } = run;
  // A right model needs no archive, but a pinned archive has to be the right one.
  if (wanted.length === 0 && plan.objectDigest === undefined) return [];
  await using archive = await fetchArchive(run, { path: archiveName(source.basename), algorithm: 'sha256' }, { kind: 'self' }, 'members');
  const [part] = archive.result.parts;
  if (part !== undefined) refuseOther(plan, part.digest, source.basename);
  if (wanted.length === 0) return [];
  run.deps.emit({ kind: 'unpacking', archive: printable(source.basename), sizeBytes: archive.sizeBytes, files: wanted.length });
  const space = await spaceOf(run);
  const claim = createSignedClaims(run);
  const open = new Map<string, ManifestFile>(wanted.map((file) => [file.path, file]));
  const results: FileResult[] = [];
  for await (const member of membersOf(run, archive)) {
    const path = claim(member);
    const file = path === undefined ? undefined : open.get(path);
    if (file === undefined) continue;
    results.push({ ...(await writeMember(run, file, member, space)), file });
    open.delete(file.path);
  }
  const missing = refusal(
    [...open.keys()].map((path) => ({ code: 'FILE_MISSING', name: printable(path) }) as const),
    source.displayUri,
  );
  if (missing !== undefined) throw missing;
  return results;
}

type Archive<F extends Subject> = AsyncDisposable & {
  readonly file: FileHandle;
  readonly sizeBytes: number;
  readonly format: ArchiveFormat;
  readonly result: FileResult<F>;
};

/** Into a file without a name: nobody can change it any more, and nothing remains of it. Local archives, too: they could be changed while they are read. */
async function fetchArchive<F extends Subject>(run: Run, file: F, ref: ObjectRef, signed: 'whole' | 'members'): Promise<Archive<F>> {
  const { deps, staging, source, model } = run;
  const fetched: FileHandle[] = [];
  async function output(): Promise<Output> {
    const scratch = await staging.scratch();
    return { fd: scratch.fd, settle: async (result) => void (result === 'verified' ? fetched.push(scratch) : await scratch.close()) };
  }
  const space = await spaceOf(run);
  try {
    const transferred = { ...transferDeps(run), emit: space.watch(deps.emit), admit: space.admit, http: source.http };
    const [result] = await transfer([fetchJob(run, file, ref, output)], transferred);
    const [handle] = fetched;
    const format = archiveFormatOf(file.path);
    if (result === undefined || handle === undefined || format === undefined) throw new AppError('INTERNAL', 'an archive was not fetched');
    for (const evidence of fileEvidence([result])) model.archive = { signed, file: evidence };
    return { file: handle, sizeBytes: result.sizeBytes, format, result, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    for (const handle of fetched) await handle.close();
    throw error;
  }
}

function membersOf({ plan, deps }: Run, { file, format }: Archive<Subject>): AsyncGenerator<Member> {
  const { entries, unpackedBytes, unpackRatio } = plan.limits;
  return readArchive(file, format, { entries, unpackedBytes, ratio: unpackRatio }, deps.signal);
}

function spaceOf({ destination }: Run): Promise<Space> {
  return createSpace(destination.base, printable(destination.path), []);
}

/** Counted, hashed and written at once; it gets its name in staging when it is whole and, where that is known, what was signed. */
async function writeMember(run: Run, file: Subject, member: Member, space: Space): Promise<Omit<FileResult<Subject>, 'file'>> {
  const { plan, deps, staging } = run;
  const { sizeBytes } = member;
  const display = printable(file.path);
  if (sizeBytes > plan.limits.fileBytes) {
    throw new AppError('LIMIT_EXCEEDED', `'${display}' in the archive has ${sizeBytes} bytes, more than --max-file-size ${plan.limits.fileBytes}`, {
      context: { path: display, expected: `${plan.limits.fileBytes}`, found: `${sizeBytes}` },
    });
  }
  await space.admit(sizeBytes);
  deps.emit({ kind: 'sizeKnown', path: display, sizeBytes });
  const emit = space.watch(deps.emit);
  const output = await staging.create(file.path);
  let result: 'verified' | 'failed' = 'failed';
  try {
    await using sink = await createSink({ file, outputFd: output.fd, maxFileBytes: plan.limits.fileBytes }, (bytes) => emit({ kind: 'bytes', bytes }));
    let position = 0;
    for await (const chunk of member.read()) {
      sink.put(chunk, position);
      position += chunk.length;
    }
    const { parts } = await sink.finish();
    result = 'verified';
    deps.emit({ kind: 'fileDone', path: display, sizeBytes, origin: 'unpacked' });
    return { origin: 'unpacked', sizeBytes, parts, facts: {} };
  } finally {
    await output.settle(result);
  }
}

function archiveName(basename: string): ModelPath {
  const parsed = parseModelPath(basename);
  if ('path' in parsed) return parsed.path;
  throw new AppError('CONFIG_INVALID', `the archive's name '${printable(basename)}' ${parsed.problem}`);
}
