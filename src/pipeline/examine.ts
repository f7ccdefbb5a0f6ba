// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { type AppError, asAppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type ParsedBundle, parseBundle } from '../oms/bundle.ts';
import type { Manifest } from '../oms/manifest.ts';
import { readManifest } from '../oms/statement.ts';
import type { Plan } from '../plan/plan.ts';
import { signersOf } from '../policy/requirement.ts';
import type { SignatureEvidence } from '../report/evidence.ts';
import type { Source } from '../source/source.ts';
import type { Signer } from '../trust/trust.ts';
import { verifySignature } from '../trust/verify.ts';
import { type FoundBundle, findBundle, readNamedBundle } from './bundle.ts';
import { describeSigner } from './describeSigner.ts';
import type { GateDeps } from './gate.ts';
import type { Layer } from './layers.ts';
import type { Ruling } from './ruling.ts';

/** A bundle and what its one signature turned out to be. `manifest` is there only when somebody's anchors vouch for the payload. */
export type Examined = {
  readonly bundle: FoundBundle;
  readonly parsed?: ParsedBundle;
  readonly manifest?: Manifest;
  readonly signer?: Signer;
  /** Layer and name of each signer that this signature is. */
  readonly satisfies: readonly { readonly layer: Layer['kind']; readonly name: string; readonly signer: Signer }[];
  readonly errors: readonly AppError[];
  readonly problems: readonly string[];
};

/** The one that is found anyway, and those the rules name. @throws UNSIGNED when there is none at all */
export async function readBundles(source: Source, expected: Source['shape'], ruling: Ruling, plan: Plan, deps: GateDeps): Promise<readonly FoundBundle[]> {
  const names = new Set(ruling.layers.flatMap(({ rule, mode }) => (mode === 'off' ? [] : (rule?.bundles ?? []))));
  const found: FoundBundle[] = [];
  let missing: unknown;
  try {
    found.push(await findBundle(source, expected, plan, deps));
  } catch (error) {
    if (names.size === 0 || asAppError(error).code !== 'UNSIGNED') throw error;
    missing = error;
  }
  for (const name of names) {
    const bundle = await readNamedBundle(source, expected, name, plan, deps);
    if (bundle !== undefined && !found.some((other) => other.uri === bundle.uri)) found.push(bundle);
  }
  if (found.length > 0) return found;
  throw missing;
}

/** Checks one signature against every signer that a rule names. Nothing is thrown for a bad one: other bundles may be enough. */
export async function examine(bundle: FoundBundle, ruling: Ruling, plan: Plan, deps: GateDeps): Promise<Examined> {
  deps.emit({ kind: 'bundleFound', uri: bundle.uri, sizeBytes: bundle.bytes.length });
  const errors: AppError[] = [];
  const problems: string[] = [];
  const satisfies: Examined['satisfies'][number][] = [];
  let manifest: Manifest | undefined;
  let signer: Signer | undefined;
  let parsed: ParsedBundle;
  try {
    parsed = parseBundle(bundle.bytes, plan.limits.bundleBytes);
  } catch (error) {
    return { bundle, satisfies, errors: [asAppError(error)], problems: [asAppError(error).message] };
  }
  for (const { layer, rule } of ruling.layers) {
    for (const name of rule?.require === undefined ? [] : signersOf(rule.require)) {
      const known = layer.signers.get(name);
      if (known === undefined) continue;
      try {
        const payload = await verifySignature(parsed, known.anchors, deps.now());
        signer ??= payload.signer;
        manifest ??= readManifest(payload, plan.limits.entries);
        const different = known.differs(payload.signer);
        if (different === undefined) {
          satisfies.push({ layer: layer.kind, name, signer: payload.signer });
          signer = payload.signer;
        } else problems.push(`${layer.kind} ${name}: ${different}`);
      } catch (error) {
        const failure = asAppError(error);
        if (failure.code === 'INTERNAL' || failure.code === 'CANCELLED') throw error;
        errors.push(failure);
        problems.push(`${layer.kind} ${name}: ${failure.code}: ${failure.message}`);
      }
    }
  }
  if (signer !== undefined) deps.emit({ kind: 'signatureVerified', signer: describeSigner(signer), method: signer.kind });
  return { bundle, parsed, ...(manifest !== undefined && { manifest }), ...(signer !== undefined && { signer }), satisfies, errors, problems };
}

/** `counted`: the bundles over the manifest that was judged. */
export function signatureEvidence(one: Examined, counted: readonly Examined[]): SignatureEvidence {
  const verdict = one.satisfies.length === 0 ? 'rejected' : counted.includes(one) ? 'counted' : 'otherManifest';
  return {
    bundle: one.bundle.uri,
    sha256: createHash('sha256').update(one.bundle.bytes).digest('hex'),
    ...(one.signer !== undefined && { signer: one.signer }),
    verdict,
    satisfies: one.satisfies.map(({ layer, name }) => `${layer} ${name}`),
    problems: one.problems.map((problem) => printable(problem, 500)),
  };
}
