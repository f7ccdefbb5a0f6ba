// SPDX-License-Identifier: Apache-2.0
import type { NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import type { MaterialRef, RootPlan, TrustPlan } from '../plan/trust.ts';
import type { SigstoreRoot, TrustAnchors } from '../trust/trust.ts';
import { type LoadedMaterial, type MaterialDeps, readMaterial } from './material.ts';
import { parseAnchors, parseCertificates, parsePublicKeys } from './pem.ts';
import { embeddedRoot } from './trustedRoot.ts';

/**
 * Reads the trust material a plan names, whatever form it comes in.
 * @throws ANCHORS_INVALID, CERT_CHAIN_INVALID (no root among the certificates), TUF_UNAVAILABLE, and what `fetchUri` throws
 */
export async function loadAnchors(plan: TrustPlan, deps: MaterialDeps): Promise<TrustAnchors> {
  switch (plan.kind) {
    case 'key':
      return { kind: 'key', keys: parsePublicKeys(await readAll(plan.keys, deps)) };
    case 'certificate': {
      const { anchors, helpers } = parseAnchors(await readAll(plan.certificates, deps));
      const authorities: LoadedMaterial[] = [];
      for (const ref of plan.timestampAuthorities) authorities.push(...(await readMaterial(ref, deps)));
      return { kind: 'certificate', anchors, helpers, timestampAuthorities: parseCertificates(authorities), expired: plan.expired };
    }
    case 'sigstore':
      return { kind: 'sigstore', root: await loadRoot(plan.root, deps) };
  }
}

/** @throws as loadAnchors */
export async function loadRoot(plan: RootPlan, deps: MaterialDeps): Promise<SigstoreRoot> {
  switch (plan.kind) {
    case 'embedded':
      return embeddedRoot();
    case 'trusted-root':
    case 'trust-config': {
      const { MAX_TRUSTED_ROOT_BYTES, parseTrustConfig, parseTrustedRoot } = await import('./rootFile.ts');
      const material = only(await readMaterial(plan.ref, deps, MAX_TRUSTED_ROOT_BYTES));
      return plan.kind === 'trusted-root' ? parseTrustedRoot(material) : parseTrustConfig(material);
    }
    case 'tuf':
      return (await import('./tuf.ts')).refreshRoot(plan, deps.signal);
  }
}

/** The SigningConfig of a keyless signer, still unread: a file of its own, or inside a ClientTrustConfig. @throws ANCHORS_INVALID */
export async function loadSigningConfig(
  { kind, ref }: { readonly kind: 'signing-config' | 'trust-config'; readonly ref: MaterialRef },
  deps: MaterialDeps,
): Promise<{ readonly json: unknown; readonly name: string }> {
  const { MAX_TRUSTED_ROOT_BYTES, parseSigningConfig } = await import('./rootFile.ts');
  return parseSigningConfig(only(await readMaterial(ref, deps, MAX_TRUSTED_ROOT_BYTES)), kind);
}

async function readAll(refs: NonEmpty<MaterialRef>, deps: MaterialDeps): Promise<NonEmpty<LoadedMaterial>> {
  const [first, ...rest] = refs;
  const [head, ...tail] = await readMaterial(first, deps);
  for (const ref of rest) tail.push(...(await readMaterial(ref, deps)));
  return [head, ...tail];
}

/** Several roots would be several worlds: nobody could say which one vouched. */
function only([material, ...others]: NonEmpty<LoadedMaterial>): LoadedMaterial {
  if (others.length === 0) return material;
  throw new AppError('ANCHORS_INVALID', `there are ${others.length + 1} files where one trusted root is expected`, {
    hint: 'Name the file itself instead of its directory.',
  });
}
