// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { type ArchiveFormat, archiveFormatOf, type Member, readArchive } from '../archive/archive.ts';
import { isNonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { GIT_PATHS, isIgnored, type ManifestFile, replaceByMembers } from '../oms/manifest.ts';
import { type ModelPath, parseModelPath } from '../oms/path.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { ObjectRef } from '../source/source.ts';
import { refusal } from '../store/completeness.ts';
import { type FileResult, type Output, transfer } from '../transfer/engine.ts';
import { createSink, type Subject } from '../transfer/sink.ts';
import { fetchJob } from './fetch.ts';
import { fileEvidence } from './files.ts';
import type { Accepted } from './gate.ts';
import { createNameCheck } from './names.ts';
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
    requireFile(member, path);
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
  const [result] = await transfer([fetchJob(run, file, ref, output)], {
    ...transferDeps(run),
    emit: space.watch(deps.emit),
    admit: space.admit,
    http: source.http,
  });
  const [handle] = fetched;
  const format = archiveFormatOf(file.path);
  if (result === undefined || handle === undefined || format === undefined) throw new AppError('INTERNAL', 'an archive was not fetched');
  for (const evidence of fileEvidence([result])) model.archive = { signed, file: evidence };
  return { file: handle, sizeBytes: result.sizeBytes, format, result, [Symbol.asyncDispose]: () => handle.close() };
}

function membersOf({ plan, deps }: Run, { file, format }: Archive<Subject>): AsyncGenerator<Member> {
  const { entries, unpackedBytes, unpackRatio } = plan.limits;
  return readArchive(file, format, { entries, unpackedBytes, ratio: unpackRatio }, deps.signal);
}

function spaceOf({ destination }: Run): Promise<Space> {
  return createSpace(destination.base, printable(destination.path), []);
}

/** Names of files as they come: each once, none where another needs a directory. Undefined for directories, which only their files make. */
function createClaims(): (member: Member) => ModelPath | undefined {
  const check = createNameCheck('archive');
  const files = new Set<string>();
  const directories = new Set<string>();
  return (member) => {
    const path = pathOf(member);
    if (path === undefined) return undefined;
    check(path);
    if (files.has(path)) throw ambiguous(path, 'twice');
    const above = path
      .split('/')
      .map((_, i, all) => all.slice(0, i).join('/'))
      .slice(1);
    const blocked = above.find((name) => files.has(name));
    if (blocked !== undefined) throw ambiguous(blocked, 'both as a file and as a directory');
    for (const name of above) directories.add(name);
    if (member.kind === 'directory') return void directories.add(path);
    if (directories.has(path)) throw ambiguous(path, 'both as a file and as a directory');
    files.add(path);
    return path;
  };
}

/** Signed names, each once; undefined for what is passed over. The same rules as for a directory that is verified in place. */
function createSignedClaims({ accepted, plan, source }: Run): (member: Member) => ModelPath | undefined {
  const { manifest } = accepted;
  const signed = new Set<string>(manifest.files.map((file) => file.path));
  const ignored = [...manifest.ignored, ...plan.ignorePaths, ...(plan.ignoreGitPaths ? GIT_PATHS : [])];
  const seen = new Set<string>();
  return (member) => {
    const path = pathOf(member);
    if (path === undefined) return undefined;
    if (signed.has(path)) {
      requireFile(member, path);
      if (seen.has(path)) throw ambiguous(path, 'twice');
      seen.add(path);
      return path;
    }
    if (member.kind === 'directory' || isIgnored(path, ignored) || plan.unsignedFiles === 'ignore') return undefined;
    requireFile(member, path);
    // Zero-byte files give no shard, so a shard manifest cannot name them (OMS §6.3.2(1)).
    if (manifest.method === 'shards' && member.sizeBytes === 0) return undefined;
    const name = printable(path);
    throw new AppError('FILE_UNSIGNED', `Extra files found in model '${source.displayUri}': the archive holds ${name}`, {
      hint: 'Nobody signed it. Make the archive of the signed files only, or pass --ignore-paths / --ignore-unsigned-files: it is then not unpacked.',
      context: { path: name, names: [name], count: 1 },
    });
  };
}

/** A member's name as a manifest would have it; undefined for the root. './' in front, as of `tar -C model .`, means nothing. @throws PATH_UNSAFE */
function pathOf({ name, kind }: Member): ModelPath | undefined {
  const bare = name.replace(/^(?:\.\/+)+/, '');
  const trimmed = kind === 'directory' ? bare.replace(/\/+$/, '') : bare;
  if (kind === 'directory' && (trimmed === '' || trimmed === '.')) return undefined;
  const parsed = parseModelPath(trimmed);
  const problem = 'path' in parsed && trimmed.includes('\ufffd') ? 'is not valid UTF-8' : 'problem' in parsed ? parsed.problem : undefined;
  if ('path' in parsed && problem === undefined) return parsed.path;
  throw new AppError('PATH_UNSAFE', `the archive names '${printable(name, 300)}', which ${problem}`, { context: { path: printable(name, 300) } });
}

function requireFile({ kind }: Member, path: ModelPath): void {
  if (kind === 'file') return;
  const what = { directory: 'a directory', link: 'a link', special: 'a special file' }[kind];
  throw new AppError('FILE_TYPE', `the archive holds '${printable(path)}' as ${what}, not as a regular file`, {
    hint: 'Links are not unpacked, wherever they lead. Make the archive again with the files themselves (tar --dereference --hard-dereference, zip without -y).',
    context: { path: printable(path) },
  });
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
    await using sink = await createSink(file, output.fd);
    for await (const chunk of member.read()) {
      await sink.take(chunk);
      emit({ kind: 'bytes', bytes: chunk.length });
    }
    const parts = await sink.finish();
    result = 'verified';
    deps.emit({ kind: 'fileDone', path: display, sizeBytes, origin: 'unpacked' });
    return { origin: 'unpacked', sizeBytes, parts, facts: {} };
  } finally {
    await output.settle(result);
  }
}

function ambiguous(path: string, how: string): AppError {
  const name = printable(path);
  return new AppError('ARCHIVE_INVALID', `the archive holds '${name}' ${how}`, { context: { path: name } });
}

function archiveName(basename: string): ModelPath {
  const parsed = parseModelPath(basename);
  if ('path' in parsed) return parsed.path;
  throw new AppError('CONFIG_INVALID', `the archive's name '${printable(basename)}' ${parsed.problem}`);
}
