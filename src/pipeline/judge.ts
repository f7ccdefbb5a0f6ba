// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import type { Plan } from '../plan/plan.ts';
import { evaluate, noRule } from '../policy/evaluate.ts';
import { unmet, type Vote } from '../policy/requirement.ts';
import type { DecisionEvidence, ModelEvidence } from '../report/evidence.ts';
import type { Source } from '../source/source.ts';
import { type Examined, examine, readBundles, signatureEvidence } from './examine.ts';
import type { GateDeps } from './gate.ts';
import { type Group, groupByManifest, nobodys } from './group.ts';
import { type Judgement, judgement } from './judgement.ts';
import type { Layer } from './layers.ts';
import { requestFindings } from './request.ts';
import { decisionOf, type Ruled, type Ruling } from './ruling.ts';
import { errorOf, isRefusal, ruleText, settle, waive, waiveAll } from './settle.ts';

/**
 * Bundles → signatures → signers → manifests → rules of every layer, before any model file is touched.
 * @throws the code of the first finding of an enforcing layer; UNSIGNED, BUNDLE_MALFORMED and the codes of the source
 */
export async function judge(source: Source, expected: Source['shape'], ruling: Ruling, plan: Plan, deps: GateDeps, model: ModelEvidence): Promise<Judgement> {
  const requests: DecisionEvidence[] = [];
  for (const ruled of ruling.layers) requests.push(decisionOf(ruled, await requestFindings(ruled, source, plan, deps)));
  settle(requests, deps, model);

  const examined: Examined[] = [];
  for (const bundle of await readBundles(source, expected, ruling, plan, deps)) examined.push(await examine(bundle, ruling, plan, deps));
  const now = deps.now();
  const decided = groupByManifest(examined).map((group) => decideOn(group, ruling, now));
  // A manifest that pleases everybody comes before one that warnings are waived for.
  const acceptable =
    decided.find(({ decisions }) => decisions.every((one) => one.verdict !== 'deny')) ?? decided.find(({ decisions }) => !decisions.some(isRefusal));
  const [refused] = decided;
  if (acceptable === undefined && refused === undefined && ruling.mode === 'enforce') {
    // Nothing is genuine, so nothing of the payloads is read.
    const decisions = ruling.layers.map(withoutSignatures);
    record(model, examined, [], decisions);
    throw refusalOf(decisions, examined, true);
  }
  const chosen = acceptable ?? refused ?? decideOn(nobodys(examined, plan), ruling, now);
  record(model, examined, chosen.group.members, chosen.decisions);
  const [first] = chosen.group.votes;
  if (first !== undefined) model.signer = first.signer;
  if (acceptable === undefined && refused !== undefined) throw refusalOf(chosen.decisions, examined, false);
  // Also where every layer is off: what nobody vouches for is never called verified.
  if (chosen.group.manifest.signer.kind === 'nobody')
    waive(deps, model, { code: 'SIGNER_UNTRUSTED', message: 'nobody who is trusted has signed this manifest' }, `mode ${ruling.mode}`);
  waiveAll(deps, model, chosen.decisions);
  return judgement(chosen.group, examined, ruling, plan, deps, model);
}

type Decided = { readonly group: Group; readonly decisions: readonly DecisionEvidence[] };

function decideOn(group: Group, ruling: Ruling, now: Date): Decided {
  return { group, decisions: ruling.layers.map((ruled) => decide(ruled, group, now)) };
}

function decide(ruled: Ruled, group: Group, now: Date): DecisionEvidence {
  const { layer, rule, mode } = ruled;
  if (mode === 'off') return decisionOf(ruled, []);
  const { manifest } = group;
  const facts = {
    manifest: {
      rootDigest: manifest.rootDigest,
      algorithm: manifest.algorithm,
      subjectName: manifest.subjectName,
      symlinks: manifest.symlinks,
      paths: manifest.files.map((file) => file.path),
    },
    votes: rule?.require === undefined ? group.votes.map(({ signer }) => ({ signer, satisfies: [] })) : votesFor(layer, group),
    now,
    subject: ruled.subject,
  };
  return decisionOf(ruled, evaluate(layer.policy, rule, facts));
}

function withoutSignatures(ruled: Ruled): DecisionEvidence {
  const { rule, mode } = ruled;
  if (mode === 'off') return decisionOf(ruled, []);
  if (rule === undefined) return decisionOf(ruled, [noRule(ruled.subject)]);
  const failure = rule.require === undefined ? undefined : unmet(rule.require, []);
  const code = failure?.kind === 'threshold' ? 'THRESHOLD_NOT_MET' : 'SIGNER_UNTRUSTED';
  return decisionOf(ruled, [{ code, message: failure?.why ?? 'nobody who is trusted has signed' }]);
}

/** Signers as this layer's anchors established them. */
function votesFor(layer: Layer, group: Group): readonly Vote[] {
  return group.members.flatMap((one) =>
    one.satisfies.filter((match) => match.layer === layer.kind).map((match) => ({ signer: match.signer, satisfies: [match.name] })),
  );
}

function record(model: ModelEvidence, examined: readonly Examined[], counted: readonly Examined[], decisions: readonly DecisionEvidence[]): void {
  model.decisions = [...(model.decisions ?? []), ...decisions];
  model.signatures = examined.map((one) => signatureEvidence(one, counted));
}

/** With no genuine signature at all, why it is none says more than that a signer is missing. */
function refusalOf(decisions: readonly DecisionEvidence[], examined: readonly Examined[], nothingGenuine: boolean): AppError {
  const decision = decisions.find(isRefusal);
  const [error] = examined.flatMap((one) => one.errors);
  if (decision === undefined) return error ?? new AppError('INTERNAL', 'refused by nobody');
  const isUntrusted = decision.findings[0]?.code === 'SIGNER_UNTRUSTED';
  if (isUntrusted && nothingGenuine && error !== undefined)
    return new AppError(error.code, `${error.message} (${ruleText(decision)})`, { hint: error.hint, context: error.context, cause: error });
  const why = examined.flatMap((one) => one.problems);
  return errorOf(decision, isUntrusted ? why : []);
}
