// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { AppError, CATALOGUE, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { GIT_PATHS, type ManifestFile } from '../oms/manifest.ts';
import { isWithin, parseModelPath } from '../oms/path.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { ModelEvidence } from '../report/evidence.ts';
import { openSource } from '../source/open.ts';
import type { Source } from '../source/source.ts';
import { type Destination, openDestination, openExisting } from '../store/destination.ts';
import type { Dir } from '../store/dir.ts';
import { completeTree, publish } from '../store/publish.ts';
import { openStaging, STAGING_PREFIX, type Staging } from '../store/staging.ts';
import { readTree, type Tree } from '../store/tree.ts';
import { type Budget, defaultBudget } from '../transfer/budget.ts';
import { type FileResult, type Job, transfer } from '../transfer/engine.ts';
import { isObjectMissing } from '../transfer/httpErrors.ts';
import type { TrustAnchors } from '../trust/trust.ts';
import { openAnchors } from './anchors.ts';
import { fileEvidence } from './files.ts';
import { type Accepted, accept, type GateDeps, recordModel, warn } from './gate.ts';
import { openBelow, openLocalFile } from './localFile.ts';
import { createSpace } from './space.ts';

/** Downloads, verifies and publishes each model in turn; the first that fails ends it. @throws the codes of every stage */
export async function pull(plan: PullPlan, deps: GateDeps): Promise<void> {
  const anchors = await openAnchors(plan, deps);
  for (const { source: address, destination } of plan.models) {
    await using source = await openSource(address.spec, plan.source, deps.env);
    await recordModel(deps, { source: source.displayUri, destination }, (model) => pullOne(source, destination, plan, anchors, deps, model));
  }
}

async function pullOne(source: Source, path: string, plan: PullPlan, anchors: TrustAnchors, deps: GateDeps, model: ModelEvidence): Promise<void> {
  const start = performance.now();
  const accepted = await accept(source, plan, anchors, deps, model);
  const { manifest, selection } = accepted;
  refuseCollisions(selection.wanted);
  await using destination = await openDestination(path);
  const neighbours = nestedDestinations(plan, path, selection.wanted);
  await using staging = await openStaging(destination);
  try {
    const run: Run = { source, destination, staging, plan, accepted, deps, budget: defaultBudget(plan.connections), model };
    const standing = await inspectDestination(run, neighbours);
    const results = await complete(run, standing);
    model.files = fileEvidence(results);
    const staged = results.filter((result) => result.origin !== 'kept').map((result) => result.file);
    const kept = results.filter((result) => result.origin === 'kept').map((result) => result.file);
    deps.signal.throwIfAborted();
    const bundleName = plan.keepBundle ? publishedBundleName(accepted) : undefined;
    if (bundleName !== undefined) await staging.write(bundleName, accepted.bundle.bytes);
    const tree = completeTree(manifest, selection.wanted, { staged, kept });
    await publish(tree, destination, staging, { prune: standing.prune, way: standing.way, ...(bundleName !== undefined && { bundleName }) });
    deps.emit({ kind: 'published', destination: printable(destination.path), files: results.length });
    const totalBytes = results.reduce((sum, result) => sum + result.sizeBytes, 0);
    deps.emit({
      kind: 'modelDone',
      source: source.displayUri,
      files: results.length,
      totalBytes,
      ms: Math.round(performance.now() - start),
      rootDigest: manifest.rootDigest,
    });
  } catch (error) {
    // Rejected models leave nothing; what a broken network or a signal interrupted is taken up again.
    staging.keepOnDispose(mayResume(error));
    throw error;
  }
}

type Run = {
  readonly source: Source;
  readonly destination: Destination;
  readonly staging: Staging;
  readonly plan: PullPlan;
  readonly accepted: Accepted;
  readonly deps: GateDeps;
  readonly budget: Budget;
  readonly model: ModelEvidence;
};

/** What stands in the destination, judged by names, then by hash. */
type Standing = {
  /** Right as they stand. */
  readonly kept: readonly FileResult[];
  /** Names to be removed after publishing. */
  readonly prune: readonly string[];
  readonly way: 'swap' | 'fill';
};

async function inspectDestination(run: Run, neighbours: readonly string[]): Promise<Standing> {
  await using existing = await openExisting(run.destination);
  if (existing === undefined) return { kept: [], prune: [], way: 'fill' };
  const tree = await listDestination(run, existing, neighbours);
  const prune = await refuseStrangers(run, tree, existing);
  const { wanted } = run.accepted.selection;
  const present = wanted.filter((file) => tree.files.has(file.path));
  const kept = await transfer(
    present.map(
      (file): Job => ({
        file,
        origin: 'kept',
        sizeBytes: tree.files.get(file.path)?.sizeBytes ?? 0,
        input: { kind: 'file', open: () => openBelow(existing, file.path) },
      }),
    ),
    { ...common(run), mismatch: 'skip' },
  );
  const odd = new Set(tree.odd.map((entry) => entry.display));
  const wrong = present.length > kept.length || wanted.some((file) => odd.has(printable(file.path)));
  if (!wrong) return { kept, prune, way: 'fill' };
  if (run.destination.strategy === 'rename') return { kept, prune, way: 'swap' };
  // A mount point cannot change in one step. Repairing the same model file by file is safe, changing to another one is the caller's decision.
  if (!run.plan.replace && !(await isSameModel(run, existing))) {
    const names = present.filter((file) => !kept.some((result) => result.file === file)).map((file) => printable(file.path));
    throw new AppError(
      'DESTINATION_DIFFERS',
      `${printable(run.destination.path)} holds other versions of ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' …' : ''}`,
      {
        context: { path: printable(run.destination.path), names: names.slice(0, 10), count: names.length },
      },
    );
  }
  return { kept, prune, way: 'fill' };
}

async function listDestination(run: Run, existing: Dir, neighbours: readonly string[]): Promise<Tree> {
  const { plan, destination } = run;
  const ours = (await existing.list()).map((name) => name.toString()).filter((name) => name.startsWith(STAGING_PREFIX));
  const volume = destination.strategy === 'entries' && (await isLostAndFound(existing)) ? ['lost+found'] : [];
  const ignored = [...ours, ...volume, ...neighbours, ...plan.ignorePaths, ...(plan.ignoreGitPaths ? GIT_PATHS : [])];
  for (const name of [...volume, ...ours.filter((other) => other !== run.staging.name)])
    warn(run.deps, run.model, `${printable(name)} in the destination is not part of the model; left alone`);
  return readTree(existing, { ignored, symlinks: 'reject', maxEntries: plan.limits.entries });
}

/** What the manifest does not name must not stand beside the model: a loader might take it. */
async function refuseStrangers(run: Run, tree: Tree, existing: Dir): Promise<readonly string[]> {
  const { accepted, plan, destination } = run;
  const wanted = new Set<string>(accepted.selection.wanted.map((file) => file.path));
  const strangers = [...tree.files.keys()].filter((name) => !wanted.has(name));
  const odd = tree.odd.filter((entry) => entry.problem === 'name' || !wanted.has(entry.display));
  const ourBundle = strangers.includes(publishedBundleName(accepted)) && (plan.keepBundle || (await isSameModel(run, existing)));
  const names = strangers.filter((name) => !(ourBundle && name === publishedBundleName(accepted)));
  const unnameable = odd.filter((entry) => entry.problem === 'name');
  if (plan.prune && unnameable.length === 0) return [...names, ...odd.map((entry) => entry.display)];
  if (plan.unsignedFiles === 'ignore') return [];
  const all = [...names, ...odd.map((entry) => entry.display)].map((name) => printable(name));
  if (all.length === 0) return [];
  throw new AppError(
    'FILE_UNSIGNED',
    `Extra files found in the destination ${printable(destination.path)}: ${all.slice(0, 10).join(', ')}${all.length > 10 ? ` and ${all.length - 10} more` : ''}`,
    {
      hint: 'Nobody signed them. Use an empty volume, remove them, or pass --prune to have them removed.',
      context: { path: printable(all[0] ?? ''), names: all.slice(0, 10), count: all.length },
    },
  );
}

/** Verified files from everywhere: kept, left by an earlier start, and the rest from the source. */
async function complete(run: Run, standing: Standing): Promise<readonly FileResult[]> {
  const { wanted } = run.accepted.selection;
  const { staging } = run;
  // A swap builds the whole tree anew, so right files are copied (and hashed again) rather than kept.
  const kept = standing.way === 'swap' ? [] : standing.kept;
  const done = new Set(kept.map((result) => result.file));
  const resumed = await resume(
    run,
    wanted.filter((file) => !done.has(file)),
  );
  for (const { file } of resumed) done.add(file);

  const missing = wanted.filter((file) => !done.has(file));
  const space = await createSpace(run.destination.base, printable(run.destination.path), missing);
  await using existing = standing.way === 'swap' ? await openExisting(run.destination) : undefined;
  const copies = new Set(standing.way === 'swap' ? standing.kept.map((result) => result.file) : []);
  const jobs = missing.map((file): Job => (existing !== undefined && copies.has(file) ? copyJob(existing, file, staging) : fetchJob(run, file)));
  const fetched = await transfer(jobs, { ...common(run), emit: space.watch(run.deps.emit), admit: space.admit, http: run.source.http });
  return [...kept, ...resumed, ...fetched];
}

/** Files of an earlier start: hashed like everything else, dropped when wrong or not wanted. */
async function resume(run: Run, missing: readonly ManifestFile[]): Promise<readonly FileResult[]> {
  const { staging } = run;
  const tree = await readTree(staging.tree, { ignored: [], symlinks: 'reject', maxEntries: run.plan.limits.entries });
  const candidates = missing.filter((file) => tree.files.has(file.path));
  const results = await transfer(
    candidates.map(
      (file): Job => ({
        file,
        origin: 'resumed',
        sizeBytes: tree.files.get(file.path)?.sizeBytes ?? 0,
        input: { kind: 'file', open: () => openBelow(staging.tree, file.path) },
      }),
    ),
    { ...common(run), mismatch: 'skip' },
  );
  const right = new Set<string>(results.map((result) => result.file.path));
  for (const name of [...tree.files.keys(), ...tree.odd.map((entry) => entry.display)]) {
    if (!right.has(name)) await staging.drop(name);
  }
  return results;
}

function fetchJob(run: Run, file: ManifestFile): Job {
  const { source, staging, accepted } = run;
  const ref = accepted.shape === 'object' ? ({ kind: 'self' } as const) : ({ kind: 'inside', path: file.path } as const);
  const output = (): ReturnType<Staging['create']> => staging.create(file.path);
  if (source.kind === 'file') return { file, origin: 'fetched', input: { kind: 'file', open: () => openSourceFile(run, file, ref) }, output };
  return {
    file,
    origin: 'fetched',
    output,
    ...(file.sizeBytes !== undefined && { sizeBytes: file.sizeBytes }),
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

function copyJob(from: Dir, file: ManifestFile, staging: Staging): Job {
  return { file, origin: 'fetched', input: { kind: 'file', open: () => openBelow(from, file.path) }, output: () => staging.create(file.path) };
}

async function openSourceFile(run: Run, file: ManifestFile, ref: Parameters<Source['locate']>[0]): ReturnType<Dir['openFile']> {
  const locator = await run.source.locate(ref, run.deps.signal);
  if (locator.kind !== 'file') throw new AppError('INTERNAL', 'a local source named a remote object');
  try {
    return await openLocalFile(locator, run.accepted.manifest.symlinks === 'follow' || run.plan.symlinks === 'allow' ? 'follow' : 'refuse');
  } catch (error) {
    throw missingAtSource(file, error);
  }
}

/** The manifest names it, so it has to be there: 404 for a signed file is a broken model, not a broken source. */
function missingAtSource(file: ManifestFile, error: unknown): unknown {
  const gone = isObjectMissing(error) || ['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '');
  if (!gone) return error;
  const name = printable(file.path);
  return new AppError('FILE_MISSING', `Missing files in model: '${name}' is signed but not at the source`, {
    context: { path: name, names: [name], count: 1 },
    cause: error,
  });
}

function common(run: Run): { budget: Budget; maxFileBytes: number; emit: GateDeps['emit']; signal: AbortSignal } {
  return { budget: run.budget, maxFileBytes: run.plan.limits.fileBytes, emit: run.deps.emit, signal: run.deps.signal };
}

/** The name the bundle had, unless that is no file name here or a signed file has it already. */
function publishedBundleName({ bundle, manifest }: Accepted): string {
  const taken = new Set(manifest.files.map((file) => file.path.split('/')[0]));
  const usable = (name: string): boolean => 'path' in parseModelPath(name) && !name.includes('/') && !name.startsWith(STAGING_PREFIX) && !taken.has(name);
  const name = [bundle.name, 'model.sig', 'model.sigstore.json'].find(usable);
  if (name !== undefined) return name;
  throw new AppError(
    'PLAN_CONTRADICTION',
    `the model has files of its own called '${printable(bundle.name)}' and model.sig; the bundle cannot stand beside them`,
    {
      hint: 'Pass --no-keep-bundle.',
    },
  );
}

/** Two names that a case-insensitive volume would make one. */
function refuseCollisions(files: readonly ManifestFile[]): void {
  const seen = new Map<string, string>();
  for (const { path } of files) {
    const components = path.split('/');
    for (let depth = 1; depth <= components.length; depth++) {
      const prefix = components.slice(0, depth).join('/');
      const folded = prefix.normalize('NFC').toLowerCase();
      const other = seen.get(folded) ?? prefix;
      if (other !== prefix) {
        throw new AppError('PATH_UNSAFE', `the manifest names '${printable(other)}' and '${printable(prefix)}', which differ by case or Unicode form only`, {
          hint: 'Rename one of them and sign again, or verify the model in place instead of pulling it.',
          context: { path: printable(path) },
        });
      }
      seen.set(folded, prefix);
    }
  }
}

/** One call may pull several models into nested directories (/mnt/models and /mnt/models/lora): the inner one is no stranger to the outer. */
function nestedDestinations(plan: PullPlan, destination: string, wanted: readonly ManifestFile[]): readonly string[] {
  const here = resolve(destination);
  const nested = plan.models
    .map((model) => resolve(model.destination))
    .filter((path) => path !== here && path.startsWith(`${here}/`))
    .map((path) => path.slice(here.length + 1));
  const clash = wanted.find((file) => nested.some((name) => isWithin(file.path, name)));
  if (clash !== undefined) throw new AppError('PLAN_CONTRADICTION', `'${printable(clash.path)}' of one model lies in the destination of another`);
  return nested;
}

/** The bundle published earlier says which model stands there. It decides nothing about trust, only about repairing in place. */
async function isSameModel(run: Run, existing: Dir): Promise<boolean> {
  const { bytes } = run.accepted.bundle;
  const name = publishedBundleName(run.accepted);
  try {
    await using file = await existing.openFile(name);
    if ((await file.stat()).size !== bytes.length) return false;
    return createHash('sha256')
      .update(await file.readFile())
      .digest()
      .equals(createHash('sha256').update(bytes).digest());
  } catch {
    return false;
  }
}

/** mkfs makes it, root owns it; a model never needs it. Only when nobody could load anything from it. */
async function isLostAndFound(existing: Dir): Promise<boolean> {
  try {
    await using dir = await existing.openDir('lost+found');
    return (await dir.list()).length === 0;
  } catch (error) {
    return ['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '');
  }
}

function mayResume(error: unknown): boolean {
  if (!(error instanceof AppError)) return false;
  const { category } = CATALOGUE[error.code];
  return category === 'source' || category === 'volume' || category === 'cancelled';
}
