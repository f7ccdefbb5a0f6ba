// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Finding } from '../policy/evaluate.ts';
import type { DecisionEvidence, ModelEvidence } from '../report/evidence.ts';
import type { GateDeps } from './gate.ts';

// What becomes of findings: an enforcing layer's stop the model, those of the others are let pass and told.

/** Lets a finding pass with a warning, once. */
export function waive(deps: GateDeps, model: ModelEvidence, finding: Finding, rule: string): void {
  if (model.waived?.some((other) => other.code === finding.code && other.message === finding.message) === true) return;
  model.waived = [...(model.waived ?? []), { code: finding.code, message: finding.message }];
  deps.emit({ kind: 'waived', ...finding, rule });
}

/** Lets what layers that do not enforce have found pass. */
export function waiveAll(deps: GateDeps, model: ModelEvidence, decisions: readonly DecisionEvidence[]): void {
  for (const decision of decisions) for (const finding of decision.findings) waive(deps, model, finding, ruleText(decision));
}

/** Keeps the decisions that deny as evidence. @throws the first finding of the first enforcing layer; the others are waived */
export function settle(decisions: readonly DecisionEvidence[], deps: GateDeps, model: ModelEvidence): void {
  const denied = decisions.filter((one) => one.verdict === 'deny');
  if (denied.length > 0) model.decisions = [...(model.decisions ?? []), ...denied];
  const enforced = denied.find(isRefusal);
  if (enforced !== undefined) throw errorOf(enforced);
  waiveAll(deps, model, denied);
}

export function isRefusal({ verdict, mode }: DecisionEvidence): boolean {
  return verdict === 'deny' && mode === 'enforce';
}

/** The first finding, with `why` (what was found out about single signatures) and the rule that decided. */
export function errorOf(decision: DecisionEvidence, why: readonly string[] = []): AppError {
  const [first] = decision.findings;
  if (first === undefined) return new AppError('INTERNAL', 'a refusal without a finding');
  const detail = why.length === 0 ? '' : `; ${printable(why.slice(0, 3).join('; '), 600)}`;
  return new AppError(first.code, `${first.message}${detail} (${ruleText(decision)})`);
}

export function ruleText({ layer, rule }: DecisionEvidence): string {
  return layer === 'flags' ? 'asked for by flags' : rule === undefined ? `${layer}: no rule` : `${layer}: rule '${rule}'`;
}
