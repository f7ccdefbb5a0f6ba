// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import { AppError, CATALOGUE } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { GIT_PATHS } from '../oms/manifest.ts';
import type { VerifyPlan } from '../plan/plan.ts';
import type { ModelEvidence } from '../report/evidence.ts';
import { openSource } from '../source/open.ts';
import type { Source } from '../source/source.ts';
import { compareTree, refusal } from '../store/completeness.ts';
import { Dir, unreadable } from '../store/dir.ts';
import { openBlob, openBlobs } from '../store/hubCache.ts';
import { identityOfFile, readTree, type Tree, type WalkOptions } from '../store/tree.ts';
import { defaultBudget } from '../transfer/budget.ts';
import { type Job, transfer } from '../transfer/engine.ts';
import { createPace } from '../transfer/pace.ts';
import type { FoundBundle } from './bundle.ts';
import { fileEvidence } from './files.ts';
import { type Accepted, accept, type Gate, type GateDeps, narrowed, openGate, recordModel, warn } from './gate.ts';
import { openBelow } from './localFile.ts';
import type { Candidate, Reading } from './reading.ts';
import type { Ruling } from './ruling.ts';
import { fingerprintOf } from './standing.ts';

/** Reads every file, with all that the machine has. */
const READ_ALL: Reading = { choose: (candidates) => ({ read: candidates, unchanged: [] }), threads: 'all' };

/** Verifies a model where it stands; writes nothing. `reading`: what of it is read. @throws the codes of every stage */
export async function verify(given: VerifyPlan, deps: GateDeps, reading: Reading = READ_ALL): Promise<void> {
  const gate = await openGate(given, deps);
  await using source = await openSource(given.model.spec, given.source, deps.env);
  await recordModel(deps, { source: source.displayUri }, async (model) => {
    if (gate.kind === 'flags') return verifyOne(source, given, gate, undefined, deps, model, reading);
    const ruling = await (await import('./ruling.ts')).ruleOn(gate.layers, given.model, given, deps);
    if (ruling.mode === 'off') {
      model.verdict = 'skipped';
      return warn(deps, model, 'NOT VERIFIED: the policy switches verification off for this model; nothing was checked');
    }
    try {
      await verifyOne(source, given, gate, ruling, deps, model, reading);
    } catch (error) {
      // The model is here already: in warn mode whatever speaks against it is told, and nothing more.
      if (ruling.mode !== 'warn' || !(error instanceof AppError) || CATALOGUE[error.code].category !== 'rejected') throw error;
      (await import('./settle.ts')).waive(deps, model, { code: error.code, message: error.message }, 'warn mode');
    }
  });
}

async function verifyOne(
  source: Source,
  given: VerifyPlan,
  gate: Gate,
  ruling: Ruling | undefined,
  deps: GateDeps,
  model: ModelEvidence,
  reading: Reading,
): Promise<void> {
  const start = performance.now();
  const accepted = await accept(source, given, gate, ruling, deps, model);
  const plan = narrowed(given, accepted.judgement);
  const { manifest, selection } = accepted;
  await using root = await openRoot(plan.model.spec.path, accepted.shape);
  await using blobs = plan.hubCache ? await openHubCache(root, accepted) : undefined;
  // A cache's links stand for the signer's plain files; also where he allowed links of his own, they lead no further.
  const symlinks = blobs !== undefined ? { blobs } : plan.symlinks === 'allow' || manifest.symlinks === 'follow' ? 'follow' : 'reject';
  const tree = await listModel(root, source, accepted, plan, symlinks);
  for (const message of tree.warnings) warn(deps, model, message);
  accepted.judgement?.checkNames([...tree.files.keys()]);
  const refused = refusal(compareTree(manifest, selection.wanted, tree, plan.unsignedFiles), source.displayUri);
  if (refused !== undefined) throw refused;

  const open = (path: string): ReturnType<Dir['openFile']> => openModelFile(root, path, tree.files.get(path)?.via === 'link' ? (blobs ?? 'follow') : 'refuse');
  const candidates = selection.wanted.map((file): Candidate => {
    const found = tree.files.get(file.path);
    return { file, sizeBytes: found?.sizeBytes ?? 0, identity: found?.identity ?? '' };
  });
  // Another policy may ask something else of the files that are known.
  const judges = [model.bundle?.sha256 ?? '', ...(deps.evidence.policies ?? []).map(({ sha256 }) => sha256)].join(' ');
  const { read, unchanged } = reading.choose(candidates, judges);
  const jobs = read.map(({ file, sizeBytes }): Job => ({ file, origin: 'inPlace', sizeBytes, input: { kind: 'file', open: () => open(file.path) } }));
  const results = await transfer(jobs, {
    // One thread where the rate is limited: the limit is one for all files.
    budget: reading.threads === 'all' && plan.maxRate === undefined ? defaultBudget(plan.connections) : { connections: plan.connections, workers: 0 },
    maxFileBytes: plan.limits.fileBytes,
    emit: deps.emit,
    signal: deps.signal,
    ...(plan.maxRate !== undefined && { pace: createPace(plan.maxRate, deps.signal) }),
  });
  // A file that was hashed early may have been changed while others were.
  if (fingerprintOf(await listModel(root, source, accepted, plan, symlinks)) !== fingerprintOf(tree)) throw changedMeanwhile(source);
  model.files = [...fileEvidence(results), ...unchanged].sort((a, b) => (a.path < b.path ? -1 : 1));
  accepted.judgement?.checkSizes(candidates.map(({ file, sizeBytes }) => ({ path: file.path, sizeBytes })));
  const rules = accepted.judgement?.formats ?? [];
  // Files that nobody signed and that may stay all the same are what the server would load, too.
  const signed = new Set<string>(manifest.files.map((file) => file.path));
  const tolerated = [...tree.files.keys()].filter((path) => !signed.has(path));
  const looked = [...results.map(({ file }) => file.path), ...tolerated].map((path) => ({ path, open: () => open(path) }));
  const odd = tree.odd.map(({ display }) => display);
  if (rules.length > 0) {
    const { judgeContents, Looks } = await import('./contents.ts');
    await using looks = new Looks(deps.signal);
    await judgeContents(looks, rules, { files: looked, odd }, deps, model, new Set(tree.files.keys()));
  }
  deps.emit({
    kind: 'modelDone',
    source: source.displayUri,
    files: model.files.length,
    totalBytes: model.files.reduce((sum, file) => sum + file.sizeBytes, 0),
    ms: Math.round(performance.now() - start),
    rootDigest: manifest.rootDigest,
  });
}

async function openRoot(path: string, shape: Accepted['shape']): Promise<Dir> {
  try {
    return await Dir.open(shape === 'directory' ? path.replace(/(?<=.)\/+$/, '') : dirname(path));
  } catch (error) {
    throw unreadable(error, path);
  }
}

async function openHubCache(root: Dir, accepted: Accepted): Promise<Dir> {
  if (accepted.shape === 'directory') return openBlobs(root);
  throw new AppError('CONFIG_INVALID', '--hub-cache is for a snapshot directory, but the model is a single file');
}

/** The model's files; for a single-file model, that file alone. */
async function listModel(root: Dir, source: Source, accepted: Accepted, plan: VerifyPlan, symlinks: WalkOptions['symlinks']): Promise<Tree> {
  if (accepted.shape === 'object') {
    const stats = await root.lstat(source.basename);
    if (!stats.isFile())
      return {
        files: new Map(),
        odd: [{ path: source.basename, display: printable(source.basename), problem: stats.isSymbolicLink() ? 'symlink' : 'special' }],
        warnings: [],
      };
    return {
      files: new Map([[source.basename, { path: source.basename, sizeBytes: stats.size, via: 'name' as const, identity: identityOfFile(stats) }]]),
      odd: [],
      warnings: [],
    };
  }
  const ignored = [
    ...accepted.manifest.ignored,
    ...plan.ignorePaths,
    ...(plan.ignoreGitPaths ? GIT_PATHS : []),
    ...(accepted.judgement?.bundleNames ?? []),
    ...(await bundleInside(root, plan, accepted.bundle)),
  ];
  return readTree(root, { ignored, symlinks, maxEntries: plan.limits.entries, listed: accepted.selection.wanted.map((file) => file.path) });
}

/** The bundle is no part of the model it signs, when it lies in it (OMS §6.2). Known by device and inode, not by its name. */
async function bundleInside(root: Dir, plan: VerifyPlan, bundle: FoundBundle): Promise<readonly string[]> {
  if (bundle.place === 'inside') return [bundle.name];
  if (plan.bundle?.spec.kind !== 'file') return [];
  return root.locateInside(plan.bundle.spec.path);
}

async function openModelFile(root: Dir, path: string, links: 'refuse' | 'follow' | Dir): ReturnType<Dir['openFile']> {
  try {
    if (links instanceof Dir) return await openBlob(links, root, path);
    return await openBelow(root, path, links);
  } catch (error) {
    throw unreadable(error, path);
  }
}

function changedMeanwhile(source: Source): AppError {
  return new AppError('SOURCE_CHANGED', `${source.displayUri} was changed while it was being verified`, {
    hint: 'Something else writes to it: mount it read-only everywhere, or pull it into a volume of this pod.',
    context: { uri: source.displayUri, retry: 'no' },
  });
}
