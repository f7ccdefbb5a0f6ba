// SPDX-License-Identifier: Apache-2.0
import { archiveFormatOf } from '../archive/archive.ts';
import { AppError, asVolumeError, CATALOGUE } from '../base/errors.ts';
import type { FileOrigin } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { ModelEvidence } from '../report/evidence.ts';
import { openSource } from '../source/open.ts';
import type { Source } from '../source/source.ts';
import { openDestination, openExisting } from '../store/destination.ts';
import type { Dir } from '../store/dir.ts';
import { alone } from '../store/lock.ts';
import { completeTree, publish } from '../store/publish.ts';
import { openStaging, type Staging } from '../store/staging.ts';
import { readTree } from '../store/tree.ts';
import { defaultBudget } from '../transfer/budget.ts';
import { type FileResult, type Job, transfer } from '../transfer/engine.ts';
import type { LookedFile, Looks } from './contents.ts';
import { fetchJob } from './fetch.ts';
import { fileEvidence } from './files.ts';
import { type Accepted, accept, type Gate, type GateDeps, narrowed, openGate, recordModel, warn } from './gate.ts';
import { openCandidate } from './localFile.ts';
import { nestedDestinations, publishedBundleName, refuseUnsafeNames } from './names.ts';
import { checkObject, checkSignedObject } from './objectDigest.ts';
import type { Ruling } from './ruling.ts';
import { createSpace } from './space.ts';
import { hashCandidates, inspectDestination, isUnchanged, type Run, type Standing, transferDeps } from './standing.ts';
import { isSignedArchive, unpackMembers, unpackSigned } from './unpack.ts';

/** How often a destination may change between inspection and publishing before that looks like a fight. */
const MAX_ROUNDS = 8;
/** What a name calls an archive. */
const ARCHIVE = /\.(tar(\.(gz|bz2|xz|zst))?|t[gbx]z2?|zip)$/i;

/** Downloads, verifies and publishes each model in turn; the first that fails ends it. @throws the codes of every stage */
export async function pull(plan: PullPlan, deps: GateDeps): Promise<void> {
  const gate = await openGate(plan, deps);
  for (const { source: address, destination } of plan.models) {
    await using source = await openSource(address.spec, plan.source, deps.env);
    await recordModel(deps, { source: source.displayUri, destination }, async (model) => {
      const ruling = gate.kind === 'layers' ? await (await import('./ruling.ts')).ruleOn(gate.layers, address, plan, deps) : undefined;
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
  refuseUnsafeNames(accepted.selection.wanted);
  checkSignedObject(source, plan, accepted);
  warnOfArchive(accepted, plan, deps, model);
  const names = namesFor(accepted, plan, path);
  await using destination = await openDestination(path);
  await using staging = await openStaging(destination);
  try {
    const run: Run = { source, destination, staging, plan, accepted, deps, budget: defaultBudget(plan.connections), model, neighbours: names.neighbours };
    const results = isSignedArchive(plan, accepted) ? await placeUnpacked(run, path) : await place(run, names.bundleName);
    model.files = fileEvidence(results);
    deps.emit({ kind: 'published', destination: printable(destination.path), files: results.length });
    const totalBytes = results.reduce((sum, result) => sum + result.sizeBytes, 0);
    deps.emit({
      kind: 'modelDone',
      source: source.displayUri,
      files: results.length,
      totalBytes,
      ms: Math.round(performance.now() - start),
      rootDigest: accepted.manifest.rootDigest,
    });
  } catch (thrown) {
    const error = asVolumeError(thrown);
    // Rejected models leave nothing; what a broken network or a signal interrupted is taken up again.
    staging.keepOnDispose(mayResume(error));
    throw error;
  }
}

/** The members of a signed archive are the model from here on: like the files of a manifest that names them. */
async function placeUnpacked(run: Run, path: string): Promise<readonly FileResult[]> {
  const { accepted, unpacked } = await unpackSigned(run);
  accepted.judgement?.checkNames(accepted.manifest.files.map((file) => file.path));
  const { neighbours, bundleName } = namesFor(accepted, run.plan, path);
  return place({ ...run, accepted, unpacked, neighbours }, bundleName);
}

/** Inspects, completes and publishes; once more when another process has published meanwhile, whose files are then kept or refused. */
async function place(run: Run, bundleName: string | undefined): Promise<readonly FileResult[]> {
  const { accepted, destination, staging, deps } = run;
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const standing = await inspectDestination(run);
    await using existing = await openExisting(run.destination);
    await using looks = await openLooks(run);
    const results = await complete(run, standing, existing, looks);
    await checkObject(run, results);
    accepted.judgement?.checkSizes(results.map((result) => ({ path: result.file.path, sizeBytes: result.sizeBytes })));
    if (looks !== undefined) await lookInto(looks, run, results, standing, existing);
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

/** Only where a rule is about formats: the code that reads them is loaded then. */
async function openLooks({ accepted, deps }: Run): Promise<Looks | undefined> {
  return (accepted.judgement?.formats ?? []).length === 0 ? undefined : new (await import('./contents.ts')).Looks(deps.signal);
}

async function lookInto(looks: Looks, run: Run, results: readonly FileResult[], { tolerated }: Standing, existing: Dir | undefined): Promise<void> {
  const rules = run.accepted.judgement?.formats ?? [];
  const standing = (path: string): LookedFile => ({ path, open: () => openStanding(run, existing, path) });
  const verified = results.map(({ file: { path }, origin }) => (origin === 'kept' ? standing(path) : { path, open: () => openStaged(run, path) }));
  const files = [...verified, ...tolerated.files.map(standing)];
  await (await import('./contents.ts')).judgeContents(looks, rules, { files, odd: tolerated.odd }, run.deps, run.model);
}

function openStaged({ staging }: Run, path: string): ReturnType<typeof openCandidate> {
  return openCandidate(staging.tree, path);
}

async function openStanding({ destination }: Run, existing: Dir | undefined, path: string): ReturnType<typeof openCandidate> {
  if (existing === undefined) throw new AppError('SOURCE_CHANGED', `${printable(destination.path)} has gone`);
  return openCandidate(existing, path);
}

/** Verified files from everywhere, by name: kept, left by an earlier start, and the rest from the source. */
async function complete(run: Run, standing: Standing, existing: Dir | undefined, looks: Looks | undefined): Promise<readonly FileResult[]> {
  const { wanted } = run.accepted.selection;
  const { staging } = run;
  // A swap builds the whole tree anew, so right files are copied (and hashed again) rather than kept.
  const kept = standing.way === 'swap' ? [] : standing.kept;
  const done = new Set(kept.map((result) => result.file));
  const absent = wanted.filter((file) => !done.has(file));
  const resumed = run.unpacked === undefined ? await resume(run, absent) : run.unpacked.filter((result) => !done.has(result.file));
  for (const { file } of resumed) done.add(file);

  const missing = wanted.filter((file) => !done.has(file));
  const space = await createSpace(run.destination.base, printable(run.destination.path), missing);
  const old = standing.way === 'swap' ? existing : undefined;
  const copies = new Set(old !== undefined ? standing.kept.map((result) => result.file) : []);
  const rest = missing.filter((file) => !copies.has(file));
  const fromArchive = run.accepted.shape === 'archive';
  const jobs = [
    ...(old === undefined ? [] : missing.filter((file) => copies.has(file)).map((file) => copyJob(old, file, staging))),
    ...(fromArchive ? [] : rest.map((file) => modelFileJob(run, file))),
  ];
  const fetched = await transfer(jobs, {
    ...transferDeps(run),
    emit: space.watch(run.deps.emit),
    admit: space.admit,
    http: run.source.http,
    verified: (path) => void looks?.at({ path, open: () => openStaged(run, path) }),
  });
  const carried = fromArchive && run.unpacked === undefined ? await unpackMembers(run, rest) : [];
  // What is said of several files names the same one first on every start.
  return [...kept, ...resumed, ...fetched, ...carried].sort((a, b) => (a.file.path < b.file.path ? -1 : 1));
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

function modelFileJob(run: Run, file: ManifestFile): Job {
  const ref = run.accepted.shape === 'object' ? ({ kind: 'self' } as const) : ({ kind: 'inside', path: file.path } as const);
  return fetchJob(run, file, ref, () => run.staging.create(file.path));
}

function copyJob(from: Dir, file: ManifestFile, staging: Staging): Job {
  return { file, origin: 'fetched', input: { kind: 'file', open: () => openCandidate(from, file.path) }, output: () => staging.create(file.path) };
}

/** KServe unpacks more kinds than we do, and people expect it of all. */
function warnOfArchive({ shape, selection: { wanted } }: Accepted, plan: PullPlan, deps: GateDeps, model: ModelEvidence): void {
  const [{ path }] = wanted;
  if (shape === 'archive' || wanted.length > 1 || !ARCHIVE.test(path)) return;
  const known = archiveFormatOf(path) !== undefined;
  if (known && plan.archives === 'unpack') return;
  warn(deps, model, `${printable(path)} is left as it is: ${known ? '--unpack unpacks it' : 'only .tar, .tar.gz, .tgz and .zip can be unpacked'}`);
}

function namesFor(accepted: Accepted, plan: PullPlan, path: string): { readonly bundleName: string | undefined; readonly neighbours: readonly string[] } {
  return { bundleName: plan.keepBundle ? nameForBundle(accepted) : undefined, neighbours: nestedDestinations(plan, path, accepted.selection.wanted) };
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
