// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { GIT_PATHS } from '../oms/manifest.ts';
import { type ModelPath, parseModelPath, SINGLE_FILE } from '../oms/path.ts';
import { type Statement, writeStatement } from '../oms/write.ts';
import type { MeasurePlan } from '../plan/plan.ts';
import { openSource } from '../source/open.ts';
import { Dir, unreadable } from '../store/dir.ts';
import { type OddEntry, readTree, type TreeFile } from '../store/tree.ts';
import { defaultBudget } from '../transfer/budget.ts';
import type { UnsignedFile } from '../transfer/digester.ts';
import { type Job, transfer } from '../transfer/engine.ts';
import type { GateDeps } from './gate.ts';
import { openBelow } from './localFile.ts';

export type ToolDeps = Omit<GateDeps, 'evidence' | 'floor'>;

/** What a model consists of, as a statement and as facts for people. */
export type Measured = {
  readonly displayUri: string;
  readonly subjectName: string;
  readonly statement: Statement;
  readonly files: number;
  readonly totalBytes: number;
};

/** Where the model is, absolute and without trailing slashes, and what it is. `bundlePath` is where its bundle is or will be. */
export type LocatedModel = {
  readonly path: string;
  readonly displayUri: string;
  readonly shape: 'directory' | 'object';
  readonly bundlePath: string | undefined;
};

/** @throws MODEL_NOT_FOUND, FILE_TYPE, SOURCE_DENIED, IO */
export async function locateModel(plan: MeasurePlan, deps: ToolDeps): Promise<LocatedModel> {
  const path = resolve(plan.model.spec.path);
  await using source = await openSource({ ...plan.model.spec, path }, plan.source, deps.env);
  // A file source knows its shape; the type allows for those that do not.
  const shape = source.shape === 'object' ? 'object' : 'directory';
  return { path, displayUri: source.displayUri, shape, bundlePath: bundlePathOf(plan, path, shape) };
}

/**
 * Lists a model as the specification says (OMS §6.1) and hashes its files, in parallel.
 * @throws MODEL_EMPTY, FILE_TYPE (links, special files), NAME_INVALID, LIMIT_EXCEEDED, SOURCE_CHANGED, IO
 */
export async function measure(model: LocatedModel, plan: MeasurePlan, deps: ToolDeps): Promise<Measured> {
  await using root = await openRoot(model);
  const { files, ignored } = model.shape === 'object' ? await listFile(root, model, plan) : await listDirectory(root, model, plan, deps);
  if (files.length === 0) {
    const why = ignored.length > 0 ? ', or all its files are ignored' : '';
    throw new AppError('MODEL_EMPTY', `the model ${model.displayUri} holds no files${why}: there is nothing to sign`, { context: { path: model.displayUri } });
  }
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  deps.emit({ kind: 'treeRead', source: model.displayUri, files: files.length, totalBytes });
  const jobs = files.map(
    ({ path, onDisk, sizeBytes, via }): Job<UnsignedFile> => ({
      file: { path, algorithm: plan.algorithm, ...(plan.shardSizeBytes !== undefined && { shardSizeBytes: plan.shardSizeBytes }) },
      origin: 'inPlace',
      sizeBytes,
      input: { kind: 'file', open: () => openModelFile(root, onDisk, via) },
    }),
  );
  const results = await transfer(jobs, {
    // Connections are for remote sources.
    budget: defaultBudget(1),
    maxFileBytes: plan.limits.fileBytes,
    emit: deps.emit,
    signal: deps.signal,
  });
  // OMS §6.5: information only. The root directory has no name.
  const subjectName = basename(model.path) || 'model';
  const statement = writeStatement({
    subjectName,
    files: results.map(({ file, parts }) => ({ path: file.path, parts })),
    algorithm: plan.algorithm,
    ...(plan.shardSizeBytes !== undefined && { shardSizeBytes: plan.shardSizeBytes }),
    symlinks: plan.symlinks,
    ignored,
  });
  return { displayUri: model.displayUri, subjectName, statement, files: results.length, totalBytes: results.reduce((sum, r) => sum + r.sizeBytes, 0) };
}

type Listed = { readonly path: ModelPath; readonly onDisk: string; readonly sizeBytes: number; readonly via: TreeFile['via'] };
type Listing = { readonly files: readonly Listed[]; readonly ignored: readonly ModelPath[] };

function bundlePathOf(plan: MeasurePlan, path: string, shape: LocatedModel['shape']): string | undefined {
  switch (plan.bundle.kind) {
    case 'customary':
      return shape === 'object' ? `${path}.sig` : join(path, 'model.sig');
    case 'path':
      return plan.bundle.path;
    case 'none':
      return undefined;
  }
}

async function openRoot({ path, shape }: LocatedModel): Promise<Dir> {
  try {
    return await Dir.open(shape === 'directory' ? path : dirname(path));
  } catch (error) {
    throw unreadable(error, path);
  }
}

/** A single-file model: nothing is listed, so nothing can be ignored. */
async function listFile(root: Dir, model: LocatedModel, plan: MeasurePlan): Promise<Listing> {
  const name = basename(model.path);
  const stats = await root.lstat(name).catch((error: unknown) => Promise.reject(unreadable(error, model.path)));
  const path = plan.singleFile === 'dot' ? SINGLE_FILE : modelPath(name);
  return { files: [{ path, onDisk: name, sizeBytes: stats.size, via: 'name' }], ignored: [] };
}

async function listDirectory(root: Dir, model: LocatedModel, plan: MeasurePlan, deps: ToolDeps): Promise<Listing> {
  const ignored = [
    ...plan.ignorePaths,
    ...(plan.ignoreGitPaths ? GIT_PATHS : []),
    // Known by where it lies, not by its name (OMS §6.2).
    ...(model.bundlePath === undefined ? [] : await locateBundle(root, model.bundlePath)),
  ].map(modelPath);
  const tree = await readTree(root, { ignored, symlinks: plan.symlinks, maxEntries: plan.limits.entries });
  refuseOdd(tree.odd, model.displayUri);
  for (const message of tree.warnings) deps.emit({ kind: 'warning', message });
  const files = [...tree.files.values()].map(({ path, sizeBytes, via }): Listed => ({ path: modelPath(path), onDisk: path, sizeBytes, via }));
  return { files, ignored };
}

async function locateBundle(root: Dir, path: string): Promise<readonly string[]> {
  try {
    return await root.locateInside(path);
  } catch {
    // Its directory is not there, so neither is it.
    return [];
  }
}

/** What cannot be signed stops the signing: left out, it would be unsigned content beside signed content. */
function refuseOdd(odd: readonly OddEntry[], where: string): void {
  const [first] = odd;
  if (first === undefined) return;
  const same = odd.filter((entry) => entry.problem === first.problem);
  const names = same.slice(0, 10).map((entry) => entry.display);
  const list = `${names.join(', ')}${same.length > names.length ? ` and ${same.length - names.length} more` : ''}`;
  const context = { path: first.display, names, count: odd.length };
  switch (first.problem) {
    case 'symlink':
      throw new AppError('FILE_TYPE', `Symlink not allowed in model '${where}': ${list}`, {
        hint: 'Replace links by regular files, leave them out with --ignore-paths, or follow them with --allow-symlinks.',
        context,
      });
    case 'dangling':
      throw new AppError('FILE_TYPE', `Symlink to nowhere in model '${where}': ${list}`, { hint: 'Remove it, or restore what it points to.', context });
    case 'special':
      throw new AppError('FILE_TYPE', `Not a regular file in model '${where}': ${list}`, { hint: 'Remove it, or leave it out with --ignore-paths.', context });
    case 'name':
      throw new AppError('NAME_INVALID', `Names that cannot stand in a manifest in model '${where}': ${list}`, { context });
  }
}

function modelPath(name: string): ModelPath {
  const parsed = parseModelPath(name);
  if ('path' in parsed) return parsed.path;
  throw new AppError('NAME_INVALID', `the name '${printable(name, 300)}' ${parsed.problem}`, { context: { path: printable(name, 300) } });
}

async function openModelFile(root: Dir, path: string, via: TreeFile['via']): Promise<FileHandle> {
  try {
    return await openBelow(root, path, via === 'link' ? 'follow' : 'refuse');
  } catch (error) {
    throw unreadable(error, path);
  }
}
