// SPDX-License-Identifier: Apache-2.0
import { AppError, CATALOGUE, systemErrorCode } from '../base/errors.ts';
import type { FileOrigin } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { ModelEvidence } from '../report/evidence.ts';
import { openSource } from '../source/open.ts';
import type { Source } from '../source/source.ts';
import { openDestination, openExisting } from '../store/destination.ts';
import { type Dir, unreadable } from '../store/dir.ts';
import { alone } from '../store/lock.ts';
import { completeTree, publish } from '../store/publish.ts';
import { openStaging, type Staging } from '../store/staging.ts';
import { readTree } from '../store/tree.ts';
import { defaultBudget } from '../transfer/budget.ts';
import { type FileResult, type Job, transfer } from '../transfer/engine.ts';
import { isObjectMissing } from '../transfer/httpErrors.ts';
import { judgeContents, type VerifiedFile } from './contents.ts';
import { fileEvidence } from './files.ts';
import { type Accepted, accept, type Gate, type GateDeps, narrowed, openGate, recordModel, warn } from './gate.ts';
import type { Ruling } from './judge.ts';
import { openCandidate, openLocalFile } from './localFile.ts';
import { nestedDestinations, publishedBundleName, refuseUnsafeNames } from './names.ts';
import { checkObject, checkSignedObject } from './objectDigest.ts';
import { createSpace } from './space.ts';
import { hashCandidates, inspectDestination, isUnchanged, type Run, type Standing, transferDeps } from './standing.ts';

/** How often a destination may change between inspection and publishing before that looks like a fight. */
const MAX_ROUNDS = 8;
/** What KServe's storage initializer would unpack. */
const ARCHIVE = /\.(tar|tar\.gz|tgz|zip)$/i;

/** Downloads, verifies and publishes each model in turn; the first that fails ends it. @throws the codes of every stage */
export async function pull(plan: PullPlan, deps: GateDeps): Promise<void> {
  const gate = await openGate(plan, deps);
  for (const { source: address, destination } of plan.models) {
    await using source = await openSource(address.spec, plan.source, deps.env);
    await recordModel(deps, { source: source.displayUri, destination }, async (model) => {
      const ruling = gate.kind === 'layers' ? await (await import('./judge.ts')).ruleOn(gate.layers, address, plan, deps) : undefined;
      await pullOne(source, destination, plan, gate, ruling, deps, model);
    });
  }
}

async function pullOne(
  source: Source,
  path: string,
  given: PullPlan,
  gate: Gate,
  ruling: Ruling | undefined,
  deps: GateDeps,
  model: ModelEvidence,
): Promise<void> {
  const start = performance.now();
  const accepted = await accept(source, given, gate, ruling, deps, model);
  const plan = narrowed(given, accepted.judgement);
  const { manifest, selection } = accepted;
  refuseUnsafeNames(selection.wanted);
  checkSignedObject(source, plan, accepted);
  if (accepted.shape === 'object' && ARCHIVE.test(source.basename))
    warn(deps, model, `${printable(source.basename)} is left as it is: archives are not unpacked`);
  const bundleName = plan.keepBundle ? nameForBundle(accepted) : undefined;
  const neighbours = nestedDestinations(plan, path, selection.wanted);
  await using destination = await openDestination(path);
  await using staging = await openStaging(destination);
  try {
    const results = await place({ source, destination, staging, plan, accepted, deps, budget: defaultBudget(plan.connections), model, neighbours }, bundleName);
    model.files = fileEvidence(results);
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

/** Inspects, completes and publishes; once more when another process has published meanwhile, whose files are then kept or refused. */
async function place(run: Run, bundleName: string | undefined): Promise<readonly FileResult[]> {
  const { accepted, destination, staging, deps } = run;
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const standing = await inspectDestination(run);
    const results = await complete(run, standing);
    await checkObject(run, results);
    accepted.judgement?.checkSizes(results.map((result) => ({ path: result.file.path, sizeBytes: result.sizeBytes })));
    await judgeContents(accepted.judgement?.formats ?? [], verifiedFiles(run, results));
    if (bundleName !== undefined) await staging.write(bundleName, accepted.bundle.bytes);
    deps.signal.throwIfAborted();
    const filesOf = (wanted: (origin: FileOrigin) => boolean): ManifestFile[] => results.filter((result) => wanted(result.origin)).map((result) => result.file);
    const tree = completeTree(accepted.manifest, accepted.selection.wanted, {
      staged: filesOf((origin) => origin !== 'kept'),
      kept: filesOf((origin) => origin === 'kept'),
    });
    const published = await alone(destination, deps.signal, async () => {
      if (!(await isUnchanged(run, standing))) return false;
      await publish(tree, destination, staging, { ...standing, ...(bundleName !== undefined && { bundleName }) });
      return true;
    });
    if (published) return results;
  }
  throw new AppError('DESTINATION_DIFFERS', `${printable(destination.path)} keeps changing while the model is being put there`, {
    hint: 'Something else writes to it: use a volume or subdirectory of its own.',
  });
}

/** Where the verified bytes of each file are: staged, or as they stood in the destination. */
function verifiedFiles({ destination, staging }: Run, results: readonly FileResult[]): readonly VerifiedFile[] {
  return results.map(({ file, origin }) => ({
    path: file.path,
    async open() {
      if (origin !== 'kept') return openCandidate(staging.tree, file.path);
      await using existing = await openExisting(destination);
      if (existing === undefined) throw new AppError('SOURCE_CHANGED', `${printable(destination.path)} has gone`);
      return openCandidate(existing, file.path);
    },
  }));
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
  const fetched = await transfer(jobs, { ...transferDeps(run), emit: space.watch(run.deps.emit), admit: space.admit, http: run.source.http });
  return [...kept, ...resumed, ...fetched];
}

/** Files of an earlier start: hashed like everything else, dropped when wrong or not wanted. */
async function resume(run: Run, missing: readonly ManifestFile[]): Promise<readonly FileResult[]> {
  const { staging } = run;
  const tree = await readTree(staging.tree, { ignored: [], symlinks: 'reject', maxEntries: run.plan.limits.entries });
  // Nobody of ours makes such names; what else was done to the directory is then of no interest.
  if (tree.odd.some((entry) => entry.path === undefined)) {
    await staging.clear();
    return [];
  }
  const candidates = missing.filter((file) => tree.files.has(file.path));
  const results = await hashCandidates(run, staging.tree, tree, candidates, 'resumed');
  const right = new Set<string>(results.map((result) => result.file.path));
  for (const name of [...tree.files.keys(), ...tree.odd.flatMap((entry) => entry.path ?? [])]) {
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
  return { file, origin: 'fetched', input: { kind: 'file', open: () => openCandidate(from, file.path) }, output: () => staging.create(file.path) };
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
  if (!gone) return error instanceof AppError ? error : sourceUnreadable(file, error);
  const name = printable(file.path);
  return new AppError('FILE_MISSING', `Missing files in model: '${name}' is signed but not at the source`, {
    context: { path: name, names: [name], count: 1 },
    cause: error,
  });
}

function sourceUnreadable(file: ManifestFile, error: unknown): AppError {
  const name = printable(file.path);
  if (!['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '')) return unreadable(error, file.path);
  return new AppError('SOURCE_DENIED', `'${name}' cannot be read at the source: permission denied`, {
    hint: 'Check the user and fsGroup of this container against the owner of the files.',
    context: { path: name, retry: 'no' },
    cause: error,
  });
}

function nameForBundle(accepted: Accepted): string {
  const name = publishedBundleName(accepted);
  if (name !== undefined) return name;
  throw new AppError(
    'PLAN_CONTRADICTION',
    `the model has files of its own called '${printable(accepted.bundle.name)}' and model.sig; the bundle cannot stand beside them`,
    { hint: 'Pass --no-keep-bundle.' },
  );
}

function mayResume(error: unknown): boolean {
  if (!(error instanceof AppError)) return false;
  const { category } = CATALOGUE[error.code];
  return category === 'source' || category === 'volume' || category === 'cancelled';
}
