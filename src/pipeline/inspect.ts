// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { type Method, type ParsedBundle, parseBundle } from '../oms/bundle.ts';
import { type Claims, readClaims, readManifest } from '../oms/statement.ts';
import type { InspectPlan } from '../plan/plan.ts';
import { checkIdentity } from '../policy/identity.ts';
import { startEvidence } from '../report/evidence.ts';
import type { ClaimedSigner } from '../trust/claims.ts';
import type { Signer } from '../trust/trust.ts';
import { verifySignature } from '../trust/verify.ts';
import { openAnchors } from './anchors.ts';
import { readBundleAt } from './bundle.ts';
import type { ToolDeps } from './measure.ts';

/** What a bundle says. Only with `signer` has anybody checked that; the model's files were not looked at in either case. */
export type Inspection = {
  readonly uri: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly method: Method;
  /** Present: the signature holds with the trust that was given. */
  readonly signer?: Signer;
  readonly claimed: ClaimedSigner;
  readonly manifest: Claims;
};

/** Reads a bundle, and checks its signature when the plan says whom to trust. @throws UNSIGNED, BUNDLE_MALFORMED and, with trust, the codes of the method */
export async function inspect(plan: InspectPlan, deps: ToolDeps): Promise<Inspection> {
  const { bytes, uri } = await readBundleAt(plan.bundle, plan, deps);
  const bundle = parseBundle(bytes, plan.limits.bundleBytes);
  const { readClaimedSigner } = await import('../trust/claims.ts');
  return {
    uri,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: bytes.length,
    method: bundle.material.kind,
    claimed: readClaimedSigner(bundle.material),
    ...(await readContent(bundle, plan, deps)),
  };
}

async function readContent(bundle: ParsedBundle, plan: InspectPlan, deps: ToolDeps): Promise<Pick<Inspection, 'signer' | 'manifest'>> {
  const { trust } = plan;
  if (trust === undefined) return { manifest: readClaims({ bytes: bundle.envelope.payload }, plan.limits.entries) };
  const anchors = await openAnchors({ trust, source: plan.source }, { ...deps, evidence: startEvidence([], deps.now()) });
  const payload = await verifySignature(bundle, anchors, deps.now());
  checkIdentity(trust, payload.signer);
  return { signer: payload.signer, manifest: readManifest(payload, plan.limits.entries) };
}
