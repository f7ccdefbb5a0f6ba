// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { loadAnchors } from '../anchors/anchors.ts';
import { type MaterialDeps, readMaterial } from '../anchors/material.ts';
import { type HexDigest, isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError, asAppError } from '../base/errors.ts';
import { MAX_YAML_BYTES } from '../base/limits.ts';
import { materialRef, refuseSelfVouching } from '../plan/make.ts';
import type { Plan } from '../plan/plan.ts';
import type { MaterialRef, TrustPlan } from '../plan/trust.ts';
import { timeOf } from '../policy/fields.ts';
import { checkIdentity, requirePatterns } from '../policy/identity.ts';
import { type Checks, type Material, NO_CHECKS, type Policy, type SignerSpec } from '../policy/policy.ts';
import type { Layer as FileLayer } from '../policy/read.ts';
import { signersOf } from '../policy/requirement.ts';
import { differs } from '../policy/signer.ts';
import type { Signer, TrustAnchors } from '../trust/trust.ts';
import { materialDeps } from './anchors.ts';
import type { GateDeps } from './gate.ts';

/** A signer with its keys or roots at hand. `differs`: what keeps the maker of a genuine signature from being it. */
export type LoadedSigner = { readonly anchors: TrustAnchors; readonly differs: (signer: Signer) => string | undefined };

/**
 * One opinion on what is acceptable: the platform's floor, the operator's policy, or the flags. A model has to please every layer;
 * layers are never merged, so none can widen another.
 */
export type Layer = {
  readonly kind: FileLayer | 'flags';
  readonly policy: Policy;
  readonly signers: ReadonlyMap<string, LoadedSigner>;
};

/** @throws POLICY_INVALID, ANCHORS_INVALID, ANCHORS_UNPINNED, ANCHORS_UNREACHABLE, TUF_UNAVAILABLE */
export async function openLayers(plan: Plan, deps: GateDeps): Promise<NonEmpty<Layer>> {
  const material = materialDeps(plan.source, deps);
  const documents = [
    ...(deps.floor.kind === 'present' ? [{ kind: 'floor', bytes: deps.floor.bytes, name: deps.floor.name } as const] : []),
    ...(plan.policy === undefined ? [] : [{ kind: 'policy', ...(await readOwn(plan.policy, material)) } as const]),
  ];
  deps.evidence.policies = documents.map(({ kind, bytes, name }) => ({ layer: kind, name, sha256: createHash('sha256').update(bytes).digest('hex') }));
  const layers: Layer[] = [];
  for (const { kind, bytes, name } of documents) {
    // Brings the YAML reader with it, which the short flags can do without.
    const { readPolicy } = await import('../policy/read.ts');
    const policy = readPolicy(bytes, name, kind);
    layers.push({ kind, policy, signers: await loadSigners(policy, kind, plan, material) });
  }
  const flags = await flagsLayer(plan, material);
  if (flags !== undefined) layers.push(flags);
  if (isNonEmpty(layers)) return layers;
  throw new AppError('TRUST_METHOD_MISSING', 'nothing says whom to trust');
}

async function readOwn(ref: MaterialRef, deps: MaterialDeps): Promise<{ bytes: Buffer; name: string }> {
  try {
    const [only, ...others] = await readMaterial(ref, deps, MAX_YAML_BYTES);
    if (others.length === 0) return { ...only, name: ref.kind === 'text' ? 'text of --policy' : only.name };
  } catch (error) {
    const failure = asAppError(error);
    if (failure.code !== 'ANCHORS_INVALID') throw failure;
    throw new AppError('POLICY_INVALID', `--policy: ${failure.message}`, { cause: failure });
  }
  throw new AppError('POLICY_INVALID', '--policy is a directory with several files; name one');
}

async function loadSigners(policy: Policy, layer: FileLayer, plan: Plan, deps: MaterialDeps): Promise<ReadonlyMap<string, LoadedSigner>> {
  const sources = plan.command === 'pull' ? plan.models.map((model) => model.source) : [plan.model];
  const refs = (materials: readonly Material[]): readonly MaterialRef[] => {
    const list = materials.map((one) => at(one.where, () => materialRef(one.value)));
    refuseSelfVouching(list, sources, plan.source.hf.endpoint);
    return list;
  };
  const authorities = refs(policy.timestampAuthorities);
  const loaded = new Map<string, LoadedSigner>();
  const wanted = new Set(policy.rules.flatMap((rule) => (rule.require === undefined ? [] : signersOf(rule.require))));
  for (const [name, spec] of policy.signers) {
    if (!wanted.has(name)) continue;
    try {
      const anchors = await loadAnchors(trustPlanOf(spec, refs, authorities), deps);
      // The key method has no trust flags for authorities of its own.
      const dated =
        anchors.kind === 'key' && isNonEmpty(authorities) ? { ...anchors, timestampAuthorities: await readAuthorities(authorities, deps) } : anchors;
      loaded.set(name, { anchors: dated, differs: (signer) => differs(spec, signer) });
    } catch (error) {
      const failure = asAppError(error);
      throw new AppError(failure.code, `signer '${name}' of the ${layer}: ${failure.message}`, {
        hint: failure.hint,
        context: failure.context,
        cause: failure,
      });
    }
  }
  return loaded;
}

async function readAuthorities(refs: readonly MaterialRef[], deps: MaterialDeps): Promise<readonly Buffer[]> {
  const { parseCertificates } = await import('../anchors/pem.ts');
  const all = [];
  for (const ref of refs) all.push(...(await readMaterial(ref, deps)));
  return parseCertificates(all);
}

function trustPlanOf(spec: SignerSpec, refs: (materials: readonly Material[]) => readonly MaterialRef[], authorities: readonly MaterialRef[]): TrustPlan {
  switch (spec.kind) {
    case 'key':
      return { kind: 'key', keys: nonEmpty(refs(spec.keys)) };
    case 'certificate':
      return { kind: 'certificate', certificates: nonEmpty(refs(spec.roots)), timestampAuthorities: authorities, expired: 'refuse', identities: [] };
    case 'sigstore': {
      const { root } = spec;
      // Identities are compared by the policy, with its own patterns.
      const signers = [{ identity: { kind: 'exact', text: '' }, issuer: spec.issuer }] as const;
      if (!('material' in root)) return { kind: 'sigstore', root: { kind: root.kind }, signers };
      const [ref] = nonEmpty(refs([root.material]));
      return { kind: 'sigstore', root: { kind: root.kind, ref }, signers };
    }
  }
}

/** Whom the flags trust, and the short flags, as a layer of one rule. Undefined when they say nothing. */
async function flagsLayer(plan: Plan, deps: MaterialDeps): Promise<Layer | undefined> {
  const { trust, narrowing } = plan;
  const checks = checksOf(plan);
  if (trust !== undefined) requirePatterns(trust);
  const anchors = trust === undefined ? undefined : await loadAnchors(trust, deps);
  if (anchors === undefined && JSON.stringify(checks) === JSON.stringify(NO_CHECKS)) return undefined;
  const signer: LoadedSigner | undefined =
    anchors === undefined || trust === undefined
      ? undefined
      : {
          anchors,
          differs(found) {
            try {
              checkIdentity(trust, found);
              return undefined;
            } catch (error) {
              return asAppError(error).message;
            }
          },
        };
  return {
    kind: 'flags',
    signers: signer === undefined ? new Map() : new Map([['flags', signer]]),
    policy: {
      mode: narrowing.mode,
      signers: new Map(),
      timestampAuthorities: [],
      endpoints: undefined,
      relaxations: [],
      checks: NO_CHECKS,
      rules: [
        {
          name: 'flags',
          sources: [],
          modelNames: undefined,
          mode: undefined,
          require: signer === undefined ? undefined : { kind: 'signer', signer: 'flags' },
          bundles: [],
          checks,
        },
      ],
    },
  };
}

/** @throws CONFIG_INVALID */
function checksOf({ narrowing, expectDigests }: Plan): Checks {
  const { signedAfter, requireTimestamp, formats } = narrowing;
  return asConfig(() => ({
    ...NO_CHECKS,
    signedAfter: signedAfter === undefined ? undefined : timeOf({ value: signedAfter, where: '--signed-after' }),
    timestamp: requireTimestamp,
    formats,
    allowDigests: expectDigests.length > 0 ? (expectDigests as readonly HexDigest[]) : undefined,
  }));
}

function asConfig<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const failure = asAppError(error);
    throw failure.code === 'POLICY_INVALID' ? new AppError('CONFIG_INVALID', failure.message, { cause: failure }) : failure;
  }
}

/** Says where in the policy a bad material stands. */
function at<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const failure = asAppError(error);
    throw new AppError(failure.code, `${where}: ${failure.message}`, { cause: failure });
  }
}

function nonEmpty<T>(list: readonly T[]): NonEmpty<T> {
  if (isNonEmpty(list)) return list;
  throw new AppError('INTERNAL', 'a signer without material');
}
