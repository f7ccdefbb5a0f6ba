// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { notOneObject } from '../plan/make.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { Source } from '../source/source.ts';
import { openExisting } from '../store/destination.ts';
import type { FileResult } from '../transfer/engine.ts';
import type { Accepted, GateDeps } from './gate.ts';
import { openCandidate } from './localFile.ts';
import type { Run } from './standing.ts';

/** As far as the manifest tells, before anything is downloaded: VERIFICATION_DIGEST is for one object. @throws PLAN_CONTRADICTION, DIGEST_NOT_PINNED */
export function checkSignedObject(source: Source, plan: PullPlan, accepted: Accepted): void {
  if (plan.objectDigest === undefined) return;
  if (accepted.shape === 'directory') throw notOneObject(source.displayUri);
  const found = signedDigest(accepted);
  if (found !== undefined) refuseOther(plan, found, source.basename);
}

/** The same by the verified bytes, where the manifest knows them by another hash or in shards. @throws DIGEST_NOT_PINNED, SOURCE_CHANGED, IO */
export async function checkObject(run: Run, [result]: readonly FileResult[]): Promise<void> {
  if (run.accepted.shape !== 'object' || !isOpen(run.plan, run.accepted) || result === undefined) return;
  await using existing = result.origin === 'kept' ? await openExisting(run.destination) : undefined;
  await using file = await openCandidate(existing ?? run.staging.tree, result.file.path);
  await checkBytes(run.plan, file, result.file.path, run.deps);
}

/** The same for a verified archive, before it is unpacked. @throws DIGEST_NOT_PINNED, IO */
export async function checkArchive(run: Run, file: FileHandle): Promise<void> {
  if (isOpen(run.plan, run.accepted)) await checkBytes(run.plan, file, run.source.basename, run.deps);
}

/** @throws DIGEST_NOT_PINNED when the digest is not the one of VERIFICATION_DIGEST, if that is given */
export function refuseOther({ objectDigest }: PullPlan, found: string, name: string): void {
  if (objectDigest === undefined || found === objectDigest) return;
  const display = printable(name);
  throw new AppError('DIGEST_NOT_PINNED', `'${display}' has the digest sha256:${found}, not the sha256:${objectDigest} of VERIFICATION_DIGEST`, {
    hint: 'Update the digest of the service if this version is the one you mean; otherwise somebody swapped the model.',
    context: { path: display, expected: `sha256:${objectDigest}`, found: `sha256:${found}` },
  });
}

/** Whether the digest is still to be compared: the manifest did not tell. */
function isOpen(plan: PullPlan, accepted: Accepted): boolean {
  return plan.objectDigest !== undefined && signedDigest(accepted) === undefined;
}

function signedDigest({ shape, selection: { wanted } }: Accepted): string | undefined {
  if (shape !== 'object') return undefined;
  const [{ algorithm, parts }] = wanted;
  const [part] = parts;
  return algorithm === 'sha256' && part.range === 'whole' ? part.digest : undefined;
}

async function checkBytes(plan: PullPlan, file: FileHandle, name: string, { signal }: GateDeps): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of file.createReadStream({ autoClose: false, start: 0, signal })) hash.update(chunk);
  refuseOther(plan, hash.digest('hex'), name);
}
