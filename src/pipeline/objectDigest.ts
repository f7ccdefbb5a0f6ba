// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { notOneObject } from '../plan/make.ts';
import type { PullPlan } from '../plan/plan.ts';
import type { Source } from '../source/source.ts';
import { openExisting } from '../store/destination.ts';
import type { FileResult } from '../transfer/engine.ts';
import type { Accepted } from './gate.ts';
import { openCandidate } from './localFile.ts';
import type { Run } from './standing.ts';

/** As far as the manifest tells, before anything is downloaded: VERIFICATION_DIGEST is for one object. @throws PLAN_CONTRADICTION, DIGEST_NOT_PINNED */
export function checkSignedObject(source: Source, { objectDigest }: PullPlan, accepted: Accepted): void {
  if (objectDigest === undefined) return;
  if (accepted.shape !== 'object') throw notOneObject(source.displayUri);
  const found = signedDigest(accepted);
  if (found !== undefined) compare(objectDigest, found, accepted);
}

/** The same by the verified bytes, where the manifest knows them by another hash or in shards. @throws DIGEST_NOT_PINNED, SOURCE_CHANGED, IO */
export async function checkObject(run: Run, [result]: readonly FileResult[]): Promise<void> {
  const { objectDigest } = run.plan;
  if (objectDigest === undefined || signedDigest(run.accepted) !== undefined || result === undefined) return;
  await using existing = result.origin === 'kept' ? await openExisting(run.destination) : undefined;
  await using file = await openCandidate(existing ?? run.staging.tree, result.file.path);
  const hash = createHash('sha256');
  for await (const chunk of file.createReadStream({ autoClose: false, signal: run.deps.signal })) hash.update(chunk);
  compare(objectDigest, hash.digest('hex'), run.accepted);
}

function signedDigest({ selection: { wanted } }: Accepted): string | undefined {
  const [{ algorithm, parts }] = wanted;
  const [part] = parts;
  return algorithm === 'sha256' && part.range === 'whole' ? part.digest : undefined;
}

function compare(expected: string, found: string, { selection: { wanted } }: Accepted): void {
  if (found === expected) return;
  const name = printable(wanted[0].path);
  throw new AppError('DIGEST_NOT_PINNED', `'${name}' is signed, but its digest sha256:${found} is not the sha256:${expected} of VERIFICATION_DIGEST`, {
    hint: 'Update the digest of the service if this version is the one you mean; otherwise somebody swapped the model.',
    context: { path: name, expected: `sha256:${expected}`, found: `sha256:${found}` },
  });
}
