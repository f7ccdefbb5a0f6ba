// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { Floor } from '../anchors/floor.ts';
import { archiveFormatOf } from '../archive/archive.ts';
import type { NonEmpty } from '../base/brands.ts';
import { AppError, asVolumeError, CATALOGUE, serialiseError } from '../base/errors.ts';
import type { Emit } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import { parseBundle } from '../oms/bundle.ts';
import { type Manifest, nameSingleFile } from '../oms/manifest.ts';
import { type ModelPath, parseModelPath, SINGLE_FILE } from '../oms/path.ts';
import { readManifest } from '../oms/statement.ts';
import type { Plan } from '../plan/plan.ts';
import type { TrustPlan } from '../plan/trust.ts';
import { checkDigestPin } from '../policy/digestPin.ts';
import { checkIdentity } from '../policy/identity.ts';
import { type Selection, select } from '../policy/selection.ts';
import type { Evidence, ModelEvidence } from '../report/evidence.ts';
import type { Environment, Source } from '../source/source.ts';
import type { TrustAnchors } from '../trust/trust.ts';
import { verifySignature } from '../trust/verify.ts';
import { openAnchors } from './anchors.ts';
import { type FoundBundle, findBundle } from './bundle.ts';
import { describeSigner } from './describeSigner.ts';
import type { Judgement } from './judgement.ts';
import type { Layer } from './layers.ts';
import type { Ruling } from './ruling.ts';

/** What a command runs with. The clock is an argument so that tests can choose the time. */
export type GateDeps = {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly env: Environment;
  readonly evidence: Evidence;
  /** The platform's policy: every run has to say whether there is one. */
  readonly floor: Floor;
  /** Told of each file that says whom to trust. */
  readonly noted?: (path: string) => void;
};

/** Who decides: the trust flags alone, or policies (of which the flags are one). */
export type Gate =
  | { readonly kind: 'flags'; readonly trust: TrustPlan; readonly anchors: TrustAnchors }
  | { readonly kind: 'layers'; readonly layers: NonEmpty<Layer> };

/** Loads whom to trust and what to ask for, before anything else is fetched. @throws as openAnchors and openLayers */
export async function openGate(plan: Plan, deps: GateDeps): Promise<Gate> {
  const { trust, narrowing } = plan;
  const short = narrowing.signedAfter !== undefined || narrowing.requireTimestamp || narrowing.formats !== undefined;
  if (trust !== undefined && plan.policy === undefined && deps.floor.kind === 'absent' && !short && narrowing.mode === 'enforce')
    return { kind: 'flags', trust, anchors: await openAnchors({ trust, source: plan.source }, deps) };
  return { kind: 'layers', layers: await (await import('./layers.ts')).openLayers(plan, deps) };
}

/** A manifest by a trusted signer, that the policy accepts, fitted to its source. */
export type Accepted = {
  readonly manifest: Manifest;
  readonly selection: Selection;
  readonly bundle: FoundBundle;
  /** `object`: the model is the one file its URI names. `archive`: it is what the archive that its URI names holds. */
  readonly shape: 'directory' | 'object' | 'archive';
  /** Present when policies decided: what they still want checked. */
  readonly judgement?: Judgement;
};

/**
 * Bundle → signature → signer → manifest → pins, in this order and before any model file is touched.
 * @throws the codes of every stage
 */
export async function accept(source: Source, plan: Plan, gate: Gate, ruling: Ruling | undefined, deps: GateDeps, model: ModelEvidence): Promise<Accepted> {
  const archive = plan.archives === 'unpack' && source.shape !== 'directory' && archiveFormatOf(source.basename) !== undefined;
  // Nothing lies below an archive, least of all its bundle.
  const expected = archive ? 'object' : source.shape;
  const fit = { source, expected: archive ? ('archive' as const) : expected };
  if (ruling !== undefined) {
    const judgement = await (await import('./judge.ts')).judge(source, expected, ruling, plan, deps, model);
    recordBundle(judgement.bundle, model);
    return { ...fitAndSelect(fit, plan, judgement.manifest, judgement.bundle, deps, model), judgement };
  }
  if (gate.kind === 'layers') throw new AppError('INTERNAL', 'policies without a ruling');
  const bundle = await findBundle(source, expected, plan, deps);
  recordBundle(bundle, model);
  deps.emit({ kind: 'bundleFound', uri: bundle.uri, sizeBytes: bundle.bytes.length });

  const payload = await verifySignature(parseBundle(bundle.bytes, plan.limits.bundleBytes), gate.anchors, deps.now());
  model.signer = payload.signer;
  checkIdentity(gate.trust, payload.signer);
  deps.emit({ kind: 'signatureVerified', signer: describeSigner(payload.signer), method: payload.signer.kind });
  if (gate.trust.kind === 'certificate' && gate.trust.identities.length === 0) {
    warn(deps, model, 'no --certificate-identity: every signer whose certificate chains to the given CA is accepted');
  }

  const read = readManifest(payload, plan.limits.entries);
  recordManifest(read, model);
  checkDigestPin(plan.expectDigests, read);
  return fitAndSelect(fit, plan, read, bundle, deps, model);
}

/** The plan with what the policies narrowed. */
export function narrowed<P extends Plan>(plan: P, judgement: Judgement | undefined): P {
  if (judgement === undefined) return plan;
  return { ...plan, unsignedFiles: judgement.unsignedFiles, limits: { ...plan.limits, fileBytes: judgement.maxFileBytes } };
}

function recordBundle(bundle: FoundBundle, model: ModelEvidence): void {
  model.bundle = { uri: bundle.uri, sha256: createHash('sha256').update(bundle.bytes).digest('hex'), sizeBytes: bundle.bytes.length };
}

function recordManifest({ rootDigest, predicateType, method, algorithm, subjectName, files }: Manifest, model: ModelEvidence): void {
  model.manifest = { rootDigest, predicateType, method, algorithm, subjectName, files: files.length };
}

type Fit = { readonly source: Source; readonly expected: Source['shape'] | 'archive' };

function fitAndSelect({ source, expected }: Fit, plan: Plan, read: Manifest, bundle: FoundBundle, deps: GateDeps, model: ModelEvidence): Accepted {
  recordManifest(read, model);
  const { rootDigest, predicateType } = read;
  const { manifest, shape } = fitToSource(read, source, bundle, expected);
  const selection = select(manifest, plan);
  model.notRequested = selection.notRequested;
  const totalBytes = selection.wanted.reduce<number | undefined>(
    (sum, f) => (sum === undefined || f.sizeBytes === undefined ? undefined : sum + f.sizeBytes),
    0,
  );
  deps.emit({ kind: 'manifestRead', files: selection.wanted.length, rootDigest, predicateType, ...(totalBytes !== undefined && { totalBytes }) });
  // The tree that it covers is found by the customary name where it stands unpacked.
  const published = shape === 'archive' && bundle.place === 'beside' ? { ...bundle, name: 'model.sig' } : bundle;
  return { manifest, selection, bundle: published, shape };
}

/** OMS §6.1.2(5): a single-file model lists the file's basename, or '.' when the reference signed it. */
function fitToSource(manifest: Manifest, source: Source, bundle: FoundBundle, expected: Source['shape'] | 'archive'): Pick<Accepted, 'manifest' | 'shape'> {
  const [{ path }] = manifest.files;
  const single = manifest.files.length === 1 && (path === SINGLE_FILE || path === source.basename);
  // Either the archive was signed as a file, or the tree that it was made of.
  if (expected === 'archive' && !single) return { manifest, shape: 'archive' };
  if (expected !== 'directory' && (expected !== 'unknown' || (single && bundle.place !== 'inside'))) {
    if (!single)
      throw new AppError('FILE_MISSING', `Missing files in model: the bundle does not list '${printable(source.basename)}'`, {
        context: { path: source.basename },
      });
    return { manifest: nameSingleFile(manifest, parsedName(source.basename)), shape: 'object' };
  }
  if (path === SINGLE_FILE) throw new AppError('FILE_MISSING', 'the bundle was made for a single file, but the model is a directory');
  return { manifest, shape: 'directory' };
}

function parsedName(name: string): ModelPath {
  const parsed = parseModelPath(name);
  if ('path' in parsed) return parsed.path;
  throw new AppError('CONFIG_INVALID', `the model's file name '${printable(name)}' ${parsed.problem}`);
}

/** Runs one model and keeps its evidence, whatever happens. */
export async function recordModel<T>(deps: GateDeps, facts: { source: string; destination?: string }, work: (model: ModelEvidence) => Promise<T>): Promise<T> {
  const model: ModelEvidence = { ...facts, startedAt: deps.now(), files: [], notRequested: [], warnings: [], verdict: 'unfinished' };
  deps.evidence.models.push(model);
  deps.emit({ kind: 'modelStart', ...facts });
  const start = performance.now();
  try {
    const result = await work(model);
    model.verdict = model.waived !== undefined && model.waived.length > 0 ? 'warned' : model.verdict === 'skipped' ? 'skipped' : 'verified';
    return result;
  } catch (thrown) {
    const error = asVolumeError(thrown);
    model.error = serialiseError(error);
    model.verdict = CATALOGUE[model.error.code].category === 'rejected' ? 'refused' : 'failed';
    throw error;
  } finally {
    model.ms = Math.round(performance.now() - start);
  }
}

export function warn(deps: GateDeps, model: ModelEvidence, message: string): void {
  model.warnings.push(message);
  deps.emit({ kind: 'warning', message });
}
