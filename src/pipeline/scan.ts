// SPDX-License-Identifier: Apache-2.0
import { basename, dirname, resolve } from 'node:path';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { judgeFormats } from '../formats/judge.ts';
import { GIT_PATHS } from '../oms/manifest.ts';
import type { ScanPlan } from '../plan/plan.ts';
import { openSource } from '../source/open.ts';
import { Dir, unreadable } from '../store/dir.ts';
import { type OddEntry, readTree } from '../store/tree.ts';
import { openBelow } from './localFile.ts';
import { inLanes, lookAt } from './look.ts';
import type { ToolDeps } from './measure.ts';

/** A file, or what should be one, and what is wrong with it. `path` is printable. */
export type ScannedFile = {
  readonly path: string;
  readonly sizeBytes: number;
  readonly formats: readonly string[];
  /** The first of them; `problemCount` counts all. */
  readonly problems: readonly ScanProblem[];
  readonly problemCount: number;
  readonly verdict: 'clean' | 'warning' | 'refused';
};

export type ScanProblem = { readonly severity: 'refused' | 'warning'; readonly code: ErrorCode; readonly detail: string };

/** `failure` stands for everything that is refused, with the worst reason. */
export type Scan = {
  readonly path: string;
  readonly ignored: readonly string[];
  readonly files: readonly ScannedFile[];
  readonly failure: AppError | undefined;
};

type Listing = { readonly names: readonly string[]; readonly odd: readonly OddEntry[]; readonly totalBytes: number };

const MAX_PROBLEMS = 20;
/** Worst first. */
const SEVERITY: readonly ErrorCode[] = ['PICKLE_IMPORT', 'FORMAT_MALFORMED', 'FORMAT_DENIED', 'FILE_TYPE', 'NAME_INVALID'];

/**
 * Judges every file of a directory, or one file, by its content. Follows no link, executes nothing, writes nothing.
 * @throws MODEL_NOT_FOUND, MODEL_EMPTY, FILE_TYPE (the path itself), LIMIT_EXCEEDED, SOURCE_CHANGED, SOURCE_DENIED, IO
 */
export async function scan(plan: ScanPlan, deps: ToolDeps): Promise<Scan> {
  const path = resolve(plan.model.spec.path);
  await using source = await openSource({ ...plan.model.spec, path }, plan.source, deps.env);
  const directory = source.shape !== 'object';
  await using root = await openRoot(directory ? path : dirname(path));
  const ignored = directory ? [...plan.ignorePaths, ...(plan.ignoreGitPaths ? GIT_PATHS : [])] : [];
  const { names, odd, totalBytes } = directory ? await list(root, ignored, plan) : await single(root, basename(path));
  if (names.length + odd.length === 0) {
    throw new AppError('MODEL_EMPTY', `${source.displayUri} holds no files: there is nothing to scan`, { context: { path: source.displayUri } });
  }
  deps.emit({ kind: 'treeRead', source: source.displayUri, files: names.length, totalBytes });
  const files = [...(await scanAll(root, names, plan, deps)), ...odd.map(oddFile)].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { path: source.displayUri, ignored: ignored.map((name) => printable(name)), files, failure: failureOf(files) };
}

async function openRoot(path: string): Promise<Dir> {
  try {
    return await Dir.open(path);
  } catch (error) {
    throw unreadable(error, path);
  }
}

async function list(root: Dir, ignored: readonly string[], plan: ScanPlan): Promise<Listing> {
  const tree = await readTree(root, { ignored, symlinks: 'reject', maxEntries: plan.limits.entries });
  return { names: [...tree.files.keys()], odd: tree.odd, totalBytes: [...tree.files.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

async function single(root: Dir, name: string): Promise<Listing> {
  return { names: [name], odd: [], totalBytes: (await root.lstat(name)).size };
}

async function scanAll(root: Dir, names: readonly string[], plan: ScanPlan, deps: ToolDeps): Promise<readonly ScannedFile[]> {
  const modelFiles = new Set(names);
  const scanned: ScannedFile[] = [];
  await inLanes(names, deps.signal, async (name, signal) => {
    const file = await scanFile(root, name, plan, modelFiles, signal);
    scanned.push(file);
    deps.emit({ kind: 'bytes', bytes: file.sizeBytes });
    deps.emit({ kind: 'fileDone', path: file.path, sizeBytes: file.sizeBytes, origin: 'inPlace' });
  });
  return scanned;
}

async function scanFile(root: Dir, name: string, plan: ScanPlan, modelFiles: ReadonlySet<string>, signal: AbortSignal): Promise<ScannedFile> {
  await using file = await openBelow(root, name).catch((error: unknown) => {
    throw unreadable(error, name);
  });
  const { sizeBytes, findings, formats } = await lookAt(file, name, signal);
  return judged(printable(name), sizeBytes, formats, judgeFormats(plan.formats, name, findings, modelFiles));
}

/** What cannot be looked into is not clean. */
function oddFile({ display, problem }: OddEntry): ScannedFile {
  const refused = (code: ErrorCode, detail: string): ScannedFile => judged(display, 0, [], [{ severity: 'refused', code, detail }]);
  switch (problem) {
    case 'symlink':
    case 'dangling':
      return refused('FILE_TYPE', 'is a symbolic link: not followed');
    case 'special':
      return refused('FILE_TYPE', 'is no regular file');
    case 'name':
      return refused('NAME_INVALID', 'has a name that cannot stand in a manifest: not opened');
  }
}

function judged(path: string, sizeBytes: number, formats: readonly string[], problems: readonly ScanProblem[]): ScannedFile {
  const worstFirst = [...problems].sort((a, b) => rank(a) - rank(b));
  const verdict = worstFirst[0]?.severity ?? 'clean';
  return { path, sizeBytes, formats, problems: worstFirst.slice(0, MAX_PROBLEMS), problemCount: problems.length, verdict };
}

function rank({ severity, code }: ScanProblem): number {
  return severity === 'warning' ? SEVERITY.length : SEVERITY.indexOf(code);
}

function failureOf(files: readonly ScannedFile[]): AppError | undefined {
  const refused = files.filter(({ verdict }) => verdict === 'refused');
  const [worst] = refused
    .flatMap(({ path, problems: [problem] }) => (problem === undefined ? [] : [{ path, problem }]))
    .sort((a, b) => rank(a.problem) - rank(b.problem));
  if (worst === undefined) return undefined;
  const others = refused.length === 1 ? '' : `, and ${refused.length - 1} more of ${files.length} refused`;
  return new AppError(worst.problem.code, `${worst.path}: ${worst.problem.detail}${others}`, {
    context: { path: worst.path, names: refused.slice(0, 10).map(({ path }) => path), count: refused.length },
  });
}
