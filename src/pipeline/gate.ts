// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { AppError, CATALOGUE, serialiseError } from '../base/errors.ts';
import type { Emit } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import { parseBundle } from '../oms/bundle.ts';
import { type Manifest, nameSingleFile } from '../oms/manifest.ts';
import { type ModelPath, parseModelPath, SINGLE_FILE } from '../oms/path.ts';
import { readManifest } from '../oms/statement.ts';
import type { GatePlan } from '../plan/plan.ts';
import { checkDigestPin } from '../policy/digestPin.ts';
import { checkIdentity } from '../policy/identity.ts';
import { type Selection, select } from '../policy/selection.ts';
import type { Evidence, ModelEvidence } from '../report/evidence.ts';
import type { Environment, Source } from '../source/source.ts';
import type { Signer, TrustAnchors } from '../trust/trust.ts';
import { verifySignature } from '../trust/verify.ts';
import { type FoundBundle, findBundle } from './bundle.ts';

/** What a command runs with. The clock is an argument so that tests can choose the time. */
export type GateDeps = {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly env: Environment;
  readonly evidence: Evidence;
};

/** A manifest by a trusted signer, that the policy accepts, fitted to its source. */
export type Accepted = {
  readonly manifest: Manifest;
  readonly selection: Selection;
  readonly bundle: FoundBundle;
  /** `object`: the model is the one file its URI names. */
  readonly shape: 'directory' | 'object';
};

/**
 * Bundle → signature → signer → manifest → pins, in this order and before any model file is touched.
 * @throws the codes of every stage
 */
export async function accept(source: Source, plan: GatePlan, anchors: TrustAnchors, deps: GateDeps, model: ModelEvidence): Promise<Accepted> {
  const bundle = await findBundle(source, plan, deps);
  model.bundle = { uri: bundle.uri, sha256: createHash('sha256').update(bundle.bytes).digest('hex'), sizeBytes: bundle.bytes.length };
  deps.emit({ kind: 'bundleFound', uri: bundle.uri, sizeBytes: bundle.bytes.length });

  const payload = await verifySignature(parseBundle(bundle.bytes, plan.limits.bundleBytes), anchors, deps.now());
  model.signer = payload.signer;
  checkIdentity(plan.trust, payload.signer);
  deps.emit({ kind: 'signatureVerified', signer: describeSigner(payload.signer), method: payload.signer.kind });
  if (plan.trust.kind === 'certificate' && plan.trust.identities.length === 0) {
    warn(deps, model, 'no --certificate-identity: every signer whose certificate chains to the given CA is accepted');
  }

  const read = readManifest(payload, plan.limits.entries);
  const { rootDigest, predicateType, method, algorithm, subjectName, files } = read;
  model.manifest = { rootDigest, predicateType, method, algorithm, subjectName, files: files.length };
  checkDigestPin(plan.expectDigests, read);
  const { manifest, shape } = fitToSource(read, source, bundle);
  const selection = select(manifest, plan);
  model.notRequested = selection.notRequested;
  const totalBytes = selection.wanted.reduce<number | undefined>(
    (sum, f) => (sum === undefined || f.sizeBytes === undefined ? undefined : sum + f.sizeBytes),
    0,
  );
  deps.emit({ kind: 'manifestRead', files: selection.wanted.length, rootDigest, predicateType, ...(totalBytes !== undefined && { totalBytes }) });
  return { manifest, selection, bundle, shape };
}

/** OMS §6.1.2(5): a single-file model lists the file's basename, or '.' when the reference signed it. */
function fitToSource(manifest: Manifest, source: Source, bundle: FoundBundle): { manifest: Manifest; shape: 'directory' | 'object' } {
  const [{ path }] = manifest.files;
  const single = manifest.files.length === 1 && (path === SINGLE_FILE || path === source.basename);
  if (source.shape === 'object' || (source.shape === 'unknown' && single && bundle.place !== 'inside')) {
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
    model.verdict = 'verified';
    return result;
  } catch (error) {
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

/** One line for people: who signed. */
export function describeSigner(signer: Signer): string {
  switch (signer.kind) {
    case 'key':
      return `key ${signer.fingerprint.slice(0, 16)}… (${signer.curve})`;
    case 'certificate':
      return printable(`certificate '${signer.subject}' issued by '${signer.issuer}'`, 300);
    case 'sigstore':
      return printable(`${signer.identity} (issuer ${signer.issuer})`, 300);
    case 'nobody':
      return 'nobody who is trusted';
  }
}
