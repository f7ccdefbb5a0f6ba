// SPDX-License-Identifier: Apache-2.0
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import type { Address, Plan } from '../plan/plan.ts';
import { type Finding, modeOf, ruleFor, type Subject } from '../policy/evaluate.ts';
import { sourceName } from '../policy/match.ts';
import { MODES, type Mode, type Rule } from '../policy/policy.ts';
import type { DecisionEvidence } from '../report/evidence.ts';
import type { GateDeps } from './gate.ts';
import type { Layer } from './layers.ts';

/** What the layers say of one model before anything of it was read: which rule of each is about it, and how strict that is. */
export type Ruling = { readonly layers: NonEmpty<Ruled>; readonly mode: Mode };
export type Ruled = { readonly layer: Layer; readonly rule: Rule | undefined; readonly mode: Mode; readonly subject: Subject };

/** Chooses the rules. The ruling's own mode is that of its strictest layer. */
export async function ruleOn(layers: NonEmpty<Layer>, address: Address, plan: Plan, deps: GateDeps): Promise<Ruling> {
  const realPath = address.spec.kind === 'file' ? await realpath(resolve(address.spec.path)).catch(() => undefined) : undefined;
  const subject: Subject = { name: sourceName(address.spec, realPath), modelName: plan.narrowing.modelName };
  const ruled = layers.map((layer): Ruled => {
    const rule = ruleFor(layer.policy, subject);
    return { layer, rule, mode: modeOf(layer.policy, rule), subject };
  });
  for (const { layer, rule, mode } of ruled)
    if (layer.kind !== 'flags') deps.emit({ kind: 'ruleDecided', layer: layer.kind, ...(rule !== undefined && { rule: rule.name }), mode });
  if (!isNonEmpty(ruled)) throw new AppError('INTERNAL', 'no layer');
  return { layers: ruled, mode: MODES[Math.max(...ruled.map(({ mode }) => MODES.indexOf(mode)))] ?? 'enforce' };
}

/** A layer's decision: it allows what it has nothing against. */
export function decisionOf({ layer, rule, mode }: Ruled, findings: readonly Finding[]): DecisionEvidence {
  const verdict = mode === 'off' ? 'off' : findings.length === 0 ? 'allow' : 'deny';
  return { layer: layer.kind, ...(rule !== undefined && { rule: rule.name }), mode, verdict, findings };
}
