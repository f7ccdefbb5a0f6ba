// SPDX-License-Identifier: Apache-2.0
import { basename } from 'node:path';
import { AppError, CATALOGUE } from '../base/errors.ts';
import { printable, redactUri } from '../base/redact.ts';
import type { Address, GatePlan } from '../plan/plan.ts';
import { openSource } from '../source/open.ts';
import type { ObjectRef, Source } from '../source/source.ts';
import { readSmall, readSmallFile } from '../transfer/fetchSmall.ts';
import { isObjectMissing } from '../transfer/httpErrors.ts';
import type { GateDeps } from './gate.ts';

/** `inside`: below the model's URI; `beside`: next to it; `given`: where --bundle says. `name` is its file name. */
export type FoundBundle = { readonly bytes: Buffer; readonly uri: string; readonly name: string; readonly place: 'inside' | 'beside' | 'given' };

/** What reading a bundle needs of a plan, whatever else the plan is about. */
type ReadPlan = { readonly source: GatePlan['source']; readonly limits: Pick<GatePlan['limits'], 'bundleBytes'> };
type ReadDeps = Pick<GateDeps, 'env' | 'signal'>;

const DENIED_OR_MISSING =
  'Either there is no bundle (then sign the model), or the credentials may not read it: without ListBucket permission S3 answers 403 in both cases.';

type Candidate = { readonly ref: ObjectRef; readonly name: string; readonly place: 'inside' | 'beside' };

/**
 * The bundle the caller named, or the first of the customary names (OMS §9) for what the source is expected to be. What is found proves nothing
 * by its name. @throws UNSIGNED when there is none, SOURCE_DENIED when the source does not say
 */
export async function findBundle(source: Source, expected: Source['shape'], plan: GatePlan, deps: GateDeps): Promise<FoundBundle> {
  if (plan.bundle !== undefined) return readBundleAt(plan.bundle, plan, deps);
  const candidates = candidatesFor(source.basename, expected);
  let denied: AppError | undefined;
  for (const { ref, name, place } of candidates) {
    const read = await tryRead(source, ref, plan, deps);
    if (Buffer.isBuffer(read)) return { bytes: read, uri: displayOf(source, ref), name, place };
    if (read.code === 'SOURCE_DENIED') denied ??= read;
  }
  const tried = candidates.map((candidate) => displayOf(source, candidate.ref));
  if (denied === undefined) throw unsigned(source, tried);
  throw new AppError('SOURCE_DENIED', `${denied.message}; no bundle could be read: tried ${shortened(source, tried)}`, {
    // A hint of its own says what is wrong with the credentials; a bare refusal can also mean that there is no bundle.
    hint: denied.hint === CATALOGUE.SOURCE_DENIED.hint ? DENIED_OR_MISSING : denied.hint,
    context: denied.context,
    cause: denied,
  });
}

/** A bundle that a rule names: in a directory, or beside a file with its name before it (FILE.NAME). Undefined when it is not there. @throws the codes of the source */
export async function readNamedBundle(
  source: Source,
  expected: Source['shape'],
  name: string,
  plan: ReadPlan,
  deps: ReadDeps,
): Promise<FoundBundle | undefined> {
  const place = expected === 'object' ? 'beside' : 'inside';
  const ref: ObjectRef = place === 'beside' ? { kind: 'beside', suffix: `.${name}` } : { kind: 'inside', path: name };
  const read = await tryRead(source, ref, plan, deps);
  // Where the source refuses instead of saying that there is none, the requirement decides without it.
  if (!Buffer.isBuffer(read)) return undefined;
  return { bytes: read, uri: displayOf(source, ref), name: place === 'beside' ? `${source.basename}.${name}` : name, place };
}

/** @throws UNSIGNED when it is not there, and the codes of the source */
export async function readBundleAt(address: Address, plan: ReadPlan, deps: ReadDeps): Promise<FoundBundle> {
  const uri = redactUri(address.uri);
  try {
    if (address.spec.kind === 'file') {
      // Mounted from a ConfigMap or Secret it is a link; its name says nothing, its signature everything.
      const bytes = await readSmallFile(address.spec.path, plan.limits.bundleBytes, 'follow');
      return { bytes: await withoutGrowth(bytes), uri, name: basename(address.spec.path), place: 'given' };
    }
    await using source = await openSource(address.spec, plan.source, deps.env);
    const read = await tryRead(source, { kind: 'self' }, plan, deps);
    if (!Buffer.isBuffer(read)) throw read;
    return { bytes: read, uri, name: source.basename, place: 'given' };
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new AppError('UNSIGNED', `No such file: the bundle ${uri} does not exist`, {
      hint: 'Check --bundle (a path counts from the working directory). Without it, model.sig is looked for in the model and beside it.',
      context: { uri },
      cause: error,
    });
  }
}

const LARGE_BYTES = 1024 * 1024;

/** What is made of a large bundle stays, so V8 would let the space for new objects grow, by 60 MiB for 100,000 entries. At the start that would cost time. */
async function withoutGrowth(bytes: Buffer): Promise<Buffer> {
  if (bytes.length > LARGE_BYTES) (await import('node:v8')).setFlagsFromString('--semi-space-growth-factor=1');
  return bytes;
}

/** The bytes, or the error that says that this candidate is not there or not ours to see. */
async function tryRead(source: Source, ref: ObjectRef, plan: ReadPlan, deps: ReadDeps): Promise<Buffer | AppError> {
  try {
    return await withoutGrowth(await readSmall(source.http, await source.locate(ref, deps.signal), plan.limits.bundleBytes, deps.signal));
  } catch (error) {
    if (error instanceof AppError && (isMissing(error) || error.code === 'SOURCE_DENIED')) return error;
    // A whole bucket, repository or server has nothing beside it.
    if (error instanceof AppError && error.code === 'PLAN_CONTRADICTION' && source.shape === 'directory' && ref.kind === 'beside') return error;
    throw error;
  }
}

/** Only an object that is missing: a bucket or host that is missing is the source's trouble, not an unsigned model. */
function isMissing(error: unknown): boolean {
  return isObjectMissing(error) || (error instanceof AppError && error.code === 'MODEL_NOT_FOUND');
}

function candidatesFor(basename: string, shape: Source['shape']): readonly Candidate[] {
  const inside = (name: string): Candidate => ({ ref: { kind: 'inside', path: name }, name, place: 'inside' });
  const beside = (suffix: string): Candidate => ({ ref: { kind: 'beside', suffix }, name: `${basename}${suffix}`, place: 'beside' });
  const directory = [inside('model.sig'), inside(`${basename}.sig`), inside('model.sigstore.json'), inside(`${basename}.sigstore.json`)];
  const object = [beside('.sig'), beside('.sigstore.json')];
  switch (shape) {
    case 'directory':
      // The parent directory is customary too (OMS §9).
      return basename === '' ? directory.filter((c) => c.name.startsWith('model.')) : [...directory, ...object];
    case 'object':
      return object;
    case 'unknown':
      return [...directory.slice(0, 2), ...object.slice(0, 1), ...directory.slice(2), ...object.slice(1)];
  }
}

function unsigned(source: Source, tried: readonly string[]): AppError {
  return new AppError('UNSIGNED', `No such file: ${tried[0]}; the model ${source.displayUri} has no bundle (also tried ${shortened(source, tried.slice(1))})`, {
    hint: 'Sign the model first, or point --bundle at its bundle. If the volume or prefix is empty, the path is wrong.',
    context: { uri: source.displayUri },
  });
}

/** Names below the model alone, and those beside it with `../`: six times the same address hides what differs. */
function shortened(source: Source, uris: readonly string[]): string {
  const [, base = ''] = /^(.*?)\/*(?:\?<redacted>)?$/s.exec(source.displayUri) ?? [];
  const parent = base.slice(0, base.lastIndexOf('/'));
  return uris
    .map((uri) => {
      if (uri.startsWith(`${base}/`)) return uri.slice(base.length + 1);
      return uri.startsWith(`${parent}/`) ? `../${uri.slice(parent.length + 1)}` : uri;
    })
    .join(', ');
}

function displayOf(source: Source, ref: ObjectRef): string {
  // A masked query (a SAS token) belongs behind the name.
  const [, base = '', query = ''] = /^(.*?)(\?<redacted>)?$/s.exec(source.displayUri) ?? [];
  switch (ref.kind) {
    case 'self':
      return source.displayUri;
    case 'beside':
      return `${base.replace(/\/+$/, '')}${ref.suffix}${query}`;
    case 'inside':
      return `${base.replace(/\/+$/, '')}/${printable(ref.path)}${query}`;
  }
}
