// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import type { Manifest } from '../oms/manifest.ts';
import type { Plan } from '../plan/plan.ts';
import type { Finding } from '../policy/evaluate.ts';
import { fileChecksOf, nameFinding, sizeFinding, tolerates } from '../policy/files.ts';
import type { FileChecks } from '../policy/policy.ts';
import type { ModelEvidence } from '../report/evidence.ts';
import type { Signer } from '../trust/trust.ts';
import type { FoundBundle } from './bundle.ts';
import type { FormatRule } from './contents.ts';
import type { Examined } from './examine.ts';
import type { GateDeps } from './gate.ts';
import type { Group } from './group.ts';
import { decisionOf, type Ruled, type Ruling } from './ruling.ts';
import { settle } from './settle.ts';

/** A manifest that no enforcing layer objects to, and what is still to be checked while its files arrive. */
export type Judgement = {
  readonly manifest: Manifest;
  readonly bundle: FoundBundle;
  /** Names inside the model of all well-formed bundles that were asked for. */
  readonly bundleNames: readonly string[];
  readonly signer: Signer;
  readonly unsignedFiles: 'refuse' | 'ignore';
  readonly maxFileBytes: number;
  readonly formats: readonly FormatRule[];
  /** @throws what an enforcing layer has against these names */
  checkNames(paths: readonly string[]): void;
  /** @throws LIMIT_EXCEEDED, for an enforcing layer */
  checkSizes(sizes: readonly { readonly path: string; readonly sizeBytes: number }[]): void;
};

export function judgement(group: Group, examined: readonly Examined[], ruling: Ruling, plan: Plan, deps: GateDeps, model: ModelEvidence): Judgement {
  const [main = examined[0]] = group.members;
  if (main === undefined) throw new AppError('INTERNAL', 'no bundle was judged');
  const active = ruling.layers.filter(({ mode }) => mode !== 'off');
  const checksOf = ({ layer, rule }: Ruled): readonly FileChecks[] => fileChecksOf(layer.policy, rule);
  const check = (look: (checks: FileChecks) => Finding | undefined): void => {
    const decisions = active.map((ruled) =>
      decisionOf(
        ruled,
        checksOf(ruled).flatMap((checks) => look(checks) ?? []),
      ),
    );
    settle(decisions, deps, model);
  };
  const largest = active.filter(({ mode }) => mode === 'enforce').flatMap((ruled) => checksOf(ruled).flatMap((checks) => checks.maxFileBytes ?? []));
  return {
    manifest: group.manifest,
    bundle: main.bundle,
    bundleNames: examined.filter((one) => one.parsed !== undefined && one.bundle.place === 'inside').map((one) => one.bundle.name),
    signer: group.votes[0]?.signer ?? group.manifest.signer,
    unsignedFiles: unsignedFiles(active, plan),
    maxFileBytes: Math.min(plan.limits.fileBytes, ...largest),
    formats: active.flatMap((ruled) =>
      [ruled.layer.policy.checks.formats, ruled.rule?.checks.formats].flatMap((formats) => (formats ? [{ ruled, formats }] : [])),
    ),
    checkNames: (paths) => check((checks) => nameFinding(checks, paths)),
    checkSizes: (sizes) => check((checks) => sizeFinding(checks, sizes)),
  };
}

/** The flag or the operator's policy asks for it; every layer of a file has to tolerate it. A floor never asks. */
function unsignedFiles(active: readonly Ruled[], plan: Plan): 'refuse' | 'ignore' {
  const files = active.filter(({ layer }) => layer.kind !== 'flags');
  const ignores = ({ layer, rule }: Ruled): boolean => tolerates(fileChecksOf(layer.policy, rule), 'unsigned', 'ignore');
  const asked = plan.unsignedFiles === 'ignore' || files.some((ruled) => ruled.layer.kind === 'policy' && ignores(ruled));
  return asked && files.every((ruled) => ruled.mode !== 'enforce' || ignores(ruled)) ? 'ignore' : 'refuse';
}
