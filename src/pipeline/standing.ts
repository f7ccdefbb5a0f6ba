// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { GIT_PATHS, type ManifestFile } from '../oms/manifest.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { ModelEvidence } from '../report/evidence.ts';
import type { Source } from '../source/source.ts';
import { type Destination, openExisting } from '../store/destination.ts';
import { type Dir, ignoreMissing } from '../store/dir.ts';
import { STAGING_PREFIX, type Staging } from '../store/staging.ts';
import { readTree, type Tree } from '../store/tree.ts';
import type { Budget } from '../transfer/budget.ts';
import { type FileResult, type Job, type TransferDeps, transfer } from '../transfer/engine.ts';
import { type Accepted, type GateDeps, warn } from './gate.ts';
import { openCandidate } from './localFile.ts';
import { publishedBundleName } from './names.ts';

/** One model on its way to one destination. */
export type Run = {
  readonly source: Source;
  readonly destination: Destination;
  readonly staging: Staging;
  readonly plan: PullPlan;
  readonly accepted: Accepted;
  readonly deps: GateDeps;
  readonly budget: Budget;
  readonly model: ModelEvidence;
  /** Destinations of other models of this call, relative to this one's. */
  readonly neighbours: readonly string[];
  /** Verified members of a signed archive, which stand in staging. */
  readonly unpacked?: readonly FileResult[];
};

/** What stands in the destination, judged by names, then by hash. */
export type Standing = {
  /** Right as they stand. */
  readonly kept: readonly FileResult[];
  /** Names to be removed before publishing. */
  readonly prune: readonly string[];
  /** Left where they are although nobody signed them: the server would load them, too. */
  readonly tolerated: Tolerated;
  readonly way: 'swap' | 'fill';
  /** Tells whether it is still the same when it comes to publishing. */
  readonly fingerprint: string;
};

/** `odd`: links and other things that are no files, as they are shown. */
export type Tolerated = { readonly files: readonly string[]; readonly odd: readonly string[] };

const NOTHING: Tolerated = { files: [], odd: [] };

/** @throws FILE_UNSIGNED, DESTINATION_DIFFERS, LIMIT_EXCEEDED, IO */
export async function inspectDestination(run: Run): Promise<Standing> {
  await using existing = await openExisting(run.destination);
  if (existing === undefined) return { kept: [], prune: [], tolerated: NOTHING, way: 'fill', fingerprint: ABSENT };
  const { volume, ours, ignored } = await setAside(run, existing);
  for (const name of [...volume, ...ours.filter((other) => other !== run.staging.name)])
    warn(run.deps, run.model, `${printable(name)} in the destination is not part of the model; left alone`);
  const tree = await list(run, existing, ignored);
  const fingerprint = fingerprintOf(tree);
  // Unsigned files that may stay are judged by name all the same.
  if (run.plan.unsignedFiles === 'ignore')
    run.accepted.judgement?.checkNames([...tree.files.keys()].filter((name) => name !== publishedBundleName(run.accepted)));
  const prune = await refuseStrangers(run, tree, existing);
  const { wanted } = run.accepted.selection;
  const present = wanted.filter((file) => tree.files.has(file.path));
  const kept = await hashCandidates(run, existing, tree, present, 'kept');
  const odd = new Set(tree.odd.map((entry) => entry.path));
  const wrong = wanted.filter((file) => odd.has(file.path) || (tree.files.has(file.path) && !kept.some((result) => result.file === file)));
  const tolerated = run.plan.unsignedFiles === 'ignore' && !run.plan.prune ? strangersIn(run, tree) : NOTHING;
  if (wrong.length === 0) return { kept, prune, tolerated, way: 'fill', fingerprint };
  if (run.destination.strategy === 'rename' && !(await holdsOthers(run, existing, ignored))) return { kept, prune, tolerated, way: 'swap', fingerprint };
  // A mount point cannot change in one step, nor a directory that holds what is not ours to move. Repairing the same model file by file
  // is safe; changing to another one is the caller's decision.
  if (run.plan.replace || (await isSameModel(run, existing))) return { kept, prune, tolerated, way: 'fill', fingerprint };
  const names = wrong.map((file) => printable(file.path));
  throw new AppError(
    'DESTINATION_DIFFERS',
    `${printable(run.destination.path)} holds other versions of ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' …' : ''}`,
    { context: { path: printable(run.destination.path), names: names.slice(0, 10), count: names.length } },
  );
}

/** The bundle that is about to be written over is none. */
function strangersIn({ accepted, plan }: Run, tree: Tree): Tolerated {
  const ours = new Set<string>(accepted.selection.wanted.map((file) => file.path));
  const bundleName = plan.keepBundle ? publishedBundleName(accepted) : undefined;
  if (bundleName !== undefined) ours.add(bundleName);
  return {
    files: [...tree.files.keys()].filter((name) => !ours.has(name)),
    odd: tree.odd.filter(({ path }) => path === undefined || !ours.has(path)).map(({ display }) => display),
  };
}

/** Whether the destination is as it was inspected: another process may have published meanwhile. */
export async function isUnchanged(run: Run, standing: Standing): Promise<boolean> {
  await using existing = await openExisting(run.destination);
  if (existing === undefined) return standing.fingerprint === ABSENT;
  const { ignored } = await setAside(run, existing);
  return fingerprintOf(await list(run, existing, ignored)) === standing.fingerprint;
}

/** Those of the candidates that are right. Wrong ones, and those that change or vanish under our hands, are left out. */
export function hashCandidates(run: Run, dir: Dir, tree: Tree, files: readonly ManifestFile[], origin: 'kept' | 'resumed'): Promise<readonly FileResult[]> {
  const jobs = files.map(
    (file): Job => ({
      file,
      origin,
      sizeBytes: tree.files.get(file.path)?.sizeBytes ?? 0,
      input: { kind: 'file', open: () => openCandidate(dir, file.path) },
    }),
  );
  return transfer(jobs, { ...transferDeps(run), mismatch: 'skip' });
}

export function transferDeps(run: Run): Pick<TransferDeps, 'budget' | 'maxFileBytes' | 'emit' | 'signal'> {
  return { budget: run.budget, maxFileBytes: run.plan.limits.fileBytes, emit: run.deps.emit, signal: run.deps.signal };
}

const ABSENT = '';

type Aside = { readonly ours: readonly string[]; readonly volume: readonly string[]; readonly ignored: readonly string[] };

/** What stands in the destination and is neither the model's nor a stranger. */
async function setAside({ plan, destination, neighbours }: Run, existing: Dir): Promise<Aside> {
  const ours = (await existing.list()).map((name) => name.toString()).filter((name) => name.startsWith(STAGING_PREFIX));
  const volume = destination.strategy === 'entries' && (await isLostAndFound(existing)) ? ['lost+found'] : [];
  return { ours, volume, ignored: [...ours, ...volume, ...neighbours, ...plan.ignorePaths, ...(plan.ignoreGitPaths ? GIT_PATHS : [])] };
}

function list({ accepted, plan }: Run, existing: Dir, ignored: readonly string[]): Promise<Tree> {
  const listed = accepted.selection.wanted.map((file) => file.path);
  return readTree(existing, { ignored, symlinks: 'reject', maxEntries: plan.limits.entries, listed });
}

/** Differs when a file was added, taken away, replaced or written to. */
export function fingerprintOf(tree: Tree): string {
  const entries = [...[...tree.files.values()].map((file) => `${file.path}\0${file.identity}`), ...tree.odd.map((entry) => entry.display)];
  const hash = createHash('sha256');
  for (const entry of entries.sort()) hash.update(`${entry}\0\0`);
  return hash.digest('hex');
}

/** What the manifest does not name must not stand beside the model: a loader might take it. Returns what is to be pruned. */
async function refuseStrangers(run: Run, tree: Tree, existing: Dir): Promise<readonly string[]> {
  const { accepted, plan, destination } = run;
  const wanted = new Set<string>(accepted.selection.wanted.map((file) => file.path));
  const bundleName = publishedBundleName(accepted);
  const strangers = [...tree.files.keys()].filter((name) => !wanted.has(name));
  const odd = tree.odd.filter((entry) => entry.path === undefined || !wanted.has(entry.path));
  const ourBundle = bundleName !== undefined && strangers.includes(bundleName) && (plan.keepBundle || (await isSameModel(run, existing)));
  const names = strangers.filter((name) => !(ourBundle && name === bundleName));
  const prunable = odd.flatMap((entry) => entry.path ?? []);
  if (plan.prune && prunable.length === odd.length) return [...names, ...prunable];
  if (plan.unsignedFiles === 'ignore') return [];
  const all = [...names.map((name) => printable(name)), ...odd.map((entry) => entry.display)];
  if (all.length === 0) return [];
  throw new AppError(
    'FILE_UNSIGNED',
    `Extra files found in the destination ${printable(destination.path)}: ${all.slice(0, 10).join(', ')}${all.length > 10 ? ` and ${all.length - 10} more` : ''}`,
    {
      hint: 'Nobody signed them. Use an empty volume, remove them, or pass --prune to have them removed.',
      context: { path: all[0] ?? '', names: all.slice(0, 10), count: all.length },
    },
  );
}

/** Files of others, which a swap of the whole directory would take away: ignored paths, other models, unsigned files that may stay. */
async function holdsOthers(run: Run, existing: Dir, ignored: readonly string[]): Promise<boolean> {
  if (run.plan.unsignedFiles === 'ignore') return true;
  const wanted = new Set<string>(run.accepted.selection.wanted.map((file) => file.path));
  for (const path of ignored.filter((name) => !wanted.has(name))) {
    const parent = await existing.parentOf(path).catch(ignoreMissing);
    await using dir = parent?.dir;
    if (parent !== undefined && (await dir?.lstat(parent.name).catch(ignoreMissing)) !== undefined) return true;
  }
  return false;
}

/** The bundle published earlier says which model stands there. It decides nothing about trust, only about repairing in place. */
async function isSameModel({ accepted }: Run, existing: Dir): Promise<boolean> {
  const { bytes } = accepted.bundle;
  const name = publishedBundleName(accepted);
  if (name === undefined) return false;
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
