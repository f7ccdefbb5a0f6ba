// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError, asAppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type ParsedBundle, parseBundle } from '../oms/bundle.ts';
import type { Manifest } from '../oms/manifest.ts';
import { readManifest, readUnvouchedManifest } from '../oms/statement.ts';
import type { Address, Plan } from '../plan/plan.ts';
import { evaluate, type Finding, modeOf, nameFinding, noRule, ruleFor, type Subject } from '../policy/evaluate.ts';
import { sourceName } from '../policy/match.ts';
import { type FileChecks, MODES, type Mode, type Rule } from '../policy/policy.ts';
import { signersOf, unmet, type Vote } from '../policy/requirement.ts';
import type { DecisionEvidence, ModelEvidence, SignatureEvidence } from '../report/evidence.ts';
import type { Source } from '../source/source.ts';
import type { Signer } from '../trust/trust.ts';
import { verifySignature } from '../trust/verify.ts';
import { type FoundBundle, findBundle, readNamedBundle } from './bundle.ts';
import type { FormatRule } from './contents.ts';
import { describeSigner } from './describeSigner.ts';
import type { GateDeps } from './gate.ts';
import type { Layer } from './layers.ts';

/** What the layers say of one model before anything of it was read. */
export type Ruling = { readonly layers: NonEmpty<Ruled>; readonly mode: Mode };
type Ruled = { readonly layer: Layer; readonly rule: Rule | undefined; readonly mode: Mode; readonly subject: Subject };

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

/** Chooses the rules. */
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

/** Lets a finding pass with a warning. */
export function waive(deps: GateDeps, model: ModelEvidence, finding: Finding, rule: string): void {
  if (model.waived?.some((other) => other.code === finding.code && other.message === finding.message) === true) return;
  model.waived = [...(model.waived ?? []), { code: finding.code, message: finding.message }];
  deps.emit({ kind: 'waived', ...finding, rule });
}

/**
 * Bundles → signatures → signers → manifests → rules of every layer, before any model file is touched.
 * @throws the code of the first finding of an enforcing layer; UNSIGNED, BUNDLE_MALFORMED and the codes of the source
 */
export async function judge(source: Source, expected: Source['shape'], ruling: Ruling, plan: Plan, deps: GateDeps, model: ModelEvidence): Promise<Judgement> {
  await settle(ruling, deps, model, [], async ({ layer, rule, mode }) => (mode === 'off' ? [] : requestFindings(layer, rule, source, plan, deps)));
  const bundles = await readBundles(source, expected, ruling, plan, deps);
  const examined: Examined[] = [];
  for (const bundle of bundles) examined.push(await examine(bundle, ruling, plan, deps));
  const groups = groupByManifest(examined);
  const now = deps.now();
  let refused: { readonly group: Group; readonly decisions: readonly DecisionEvidence[] } | undefined;
  for (const group of groups) {
    const decisions = ruling.layers.map((ruled) => decide(ruled, group, now));
    if (decisions.some((one) => one.verdict === 'deny' && one.mode === 'enforce')) refused ??= { group, decisions };
    else return accept(group, decisions);
  }
  if (refused === undefined && ruling.mode === 'enforce') {
    // Nothing is genuine, so nothing of the payloads is read.
    model.decisions = [...(model.decisions ?? []), ...ruling.layers.map(withoutSignatures)];
    model.signatures = examined.map((one) => signatureEvidence(one, []));
    throw refusalOf(model.decisions, examined, true);
  }
  const group = refused?.group ?? nobodys(examined, plan);
  tell(group, refused?.decisions ?? ruling.layers.map((ruled) => decide(ruled, group, now)));
  if (refused !== undefined) throw refusalOf(model.decisions ?? [], examined, false);
  return accept(group, model.decisions ?? []);

  function tell(chosen: Group, decisions: readonly DecisionEvidence[]): void {
    model.decisions = [...(model.decisions ?? []).filter((one) => one.findings.length > 0 && !decisions.includes(one)), ...decisions];
    model.signatures = examined.map((one) => signatureEvidence(one, chosen.members));
    const [first] = chosen.votes;
    if (first !== undefined) model.signer = first.signer;
  }

  function accept(chosen: Group, decisions: readonly DecisionEvidence[]): Judgement {
    tell(chosen, decisions);
    // Also where every layer is off: what nobody vouches for is never called verified.
    if (chosen.manifest.signer.kind === 'nobody')
      waive(deps, model, { code: 'SIGNER_UNTRUSTED', message: 'nobody who is trusted has signed this manifest' }, `mode ${ruling.mode}`);
    for (const decision of decisions) {
      if (decision.verdict === 'deny') for (const finding of decision.findings) waive(deps, model, finding, `${decision.layer}: ${decision.rule ?? 'no rule'}`);
    }
    return judgement(chosen, examined, ruling, plan, deps, model);
  }
}

type Examined = {
  readonly bundle: FoundBundle;
  readonly parsed?: ParsedBundle;
  readonly manifest?: Manifest;
  readonly signer?: Signer;
  /** Layer and name of each signer that this signature is. */
  readonly satisfies: readonly { readonly layer: Layer['kind']; readonly name: string; readonly signer: Signer }[];
  readonly errors: readonly AppError[];
  readonly problems: readonly string[];
};

type Group = { readonly manifest: Manifest; readonly members: readonly Examined[]; readonly votes: readonly { readonly signer: Signer }[] };

/** What a layer has against the request itself: options that weaken the check, servers it does not know. */
async function requestFindings(layer: Layer, rule: Rule | undefined, source: Source, plan: Plan, deps: GateDeps): Promise<readonly Finding[]> {
  if (layer.kind === 'flags') return [];
  const denied = plan.relaxations.filter((option) => !isTolerated(option, layer, rule));
  const findings: Finding[] = denied.map((option) => ({
    code: 'POLICY_DENIED',
    message: `${option} makes the check weaker, which the ${layer.kind} does not tolerate`,
  }));
  const { endpoints } = layer.policy;
  if (endpoints === undefined || (source.kind !== 's3' && source.kind !== 'hf')) return findings;
  const host = await serverOf(source, deps.signal);
  if (host !== undefined && !isKnownServer(source.kind, host, endpoints))
    findings.push({
      code: 'POLICY_DENIED',
      message: `${source.displayUri} would be asked of ${host.origin}, which is not among the endpoints of the ${layer.kind}`,
    });
  return findings;
}

function isTolerated(option: string, { policy }: Layer, rule: Rule | undefined): boolean {
  const name = option === 'S3_VERIFY_SSL' ? 'insecure-skip-tls-verify' : option.replace(/^--/, '');
  const files = fileChecksOf(policy.checks.files, rule);
  switch (name) {
    // Only about the certificates of --ca; those of the policy are judged by the policy.
    case 'allow-expired-certificate':
      return true;
    case 'ignore-unsigned-files':
      return allSay(
        files.map((one) => one.unsigned),
        'ignore',
      );
    case 'allow-symlinks':
      return allSay(
        files.map((one) => one.symlinks),
        'allow',
      );
    default:
      return policy.relaxations.includes(name);
  }
}

function fileChecksOf(always: FileChecks, rule: Rule | undefined): readonly FileChecks[] {
  return rule === undefined ? [always] : [always, rule.checks.files];
}

/** At least one says it, and none says otherwise. */
function allSay<T extends string>(values: readonly (T | undefined)[], wanted: T): boolean {
  const said = values.filter((value) => value !== undefined);
  return said.length > 0 && said.every((value) => value === wanted);
}

/** Where the source really is, however that was configured. */
async function serverOf(source: Source, signal: AbortSignal): Promise<URL | undefined> {
  const locator = await source.locate({ kind: 'inside', path: 'model.sig' }, signal).catch(() => source.locate({ kind: 'self' }, signal));
  return locator.kind === 'http' ? new URL(locator.url) : undefined;
}

function isKnownServer(kind: 's3' | 'hf', url: URL, endpoints: readonly string[]): boolean {
  if (endpoints.some((origin) => url.origin === origin || isBucketOf(url, new URL(origin)))) return true;
  if (url.protocol !== 'https:' || url.port !== '') return false;
  return kind === 'hf' ? url.hostname === 'huggingface.co' : /\.amazonaws\.com(?:\.cn)?$/.test(url.hostname);
}

/** bucket.minio.example.com of minio.example.com. */
function isBucketOf(url: URL, endpoint: URL): boolean {
  return url.protocol === endpoint.protocol && url.port === endpoint.port && url.hostname.endsWith(`.${endpoint.hostname}`);
}

/** Records each layer's findings; throws the first of an enforcing layer, and waives the others. */
async function settle(
  ruling: Ruling,
  deps: GateDeps,
  model: ModelEvidence,
  before: readonly DecisionEvidence[],
  look: (ruled: Ruled) => Promise<readonly Finding[]> | readonly Finding[],
): Promise<void> {
  const decisions = [...before];
  for (const ruled of ruling.layers) {
    const findings = await look(ruled);
    if (findings.length > 0)
      decisions.push({ layer: ruled.layer.kind, ...(ruled.rule !== undefined && { rule: ruled.rule.name }), mode: ruled.mode, verdict: 'deny', findings });
  }
  if (decisions.length > 0) model.decisions = decisions;
  const enforced = decisions.find((one) => one.mode === 'enforce');
  if (enforced !== undefined) throw errorOf(enforced);
  for (const decision of decisions) for (const finding of decision.findings) waive(deps, model, finding, `${decision.layer}: ${decision.rule ?? 'no rule'}`);
}

/** The one that is found anyway, and those the rules name. @throws UNSIGNED when there is none at all */
async function readBundles(source: Source, expected: Source['shape'], ruling: Ruling, plan: Plan, deps: GateDeps): Promise<readonly FoundBundle[]> {
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

/** Checks one signature against every signer that a rule names. Nothing is thrown: other bundles may be enough. */
async function examine(bundle: FoundBundle, ruling: Ruling, plan: Plan, deps: GateDeps): Promise<Examined> {
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

/** Bundles count together when they say the same of every file. The root digest alone would not do: it binds no names. */
function groupByManifest(examined: readonly Examined[]): readonly Group[] {
  const groups = new Map<string, Examined[]>();
  for (const one of examined) {
    if (one.manifest === undefined) continue;
    const same = contentOf(one.manifest);
    groups.set(same, [...(groups.get(same) ?? []), one]);
  }
  return [...groups.values()].map((members) => groupOf(members));
}

function groupOf(members: readonly Examined[]): Group {
  const manifests = members.flatMap((one) => one.manifest ?? []);
  const [first] = manifests;
  if (first === undefined) throw new AppError('INTERNAL', 'a group without a manifest');
  // What one signer left out, another may have wanted checked: only what all of them leave out is left out.
  const manifest: Manifest = {
    ...first,
    ignored: first.ignored.filter((path) => manifests.every((other) => other.ignored.includes(path))),
    symlinks: manifests.every((other) => other.symlinks === 'follow') ? 'follow' : 'reject',
  };
  return { manifest, members, votes: members.flatMap((one) => (one.signer === undefined ? [] : [{ signer: one.signer }])) };
}

function contentOf({ files, algorithm, method, predicateType, shardSizeBytes }: Manifest): string {
  const hash = createHash('sha256').update(JSON.stringify([predicateType, method, algorithm, shardSizeBytes ?? 0]));
  for (const { path, parts } of files)
    hash.update(JSON.stringify([path, parts.map(({ range, digest }) => [range === 'whole' ? range : [range.start, range.end], digest])]));
  return hash.digest('hex');
}

/** For warn mode: what the first readable bundle says, though nobody vouches for it. @throws the first thing that went wrong */
function nobodys(examined: readonly Examined[], plan: Plan): Group {
  for (const one of examined) {
    if (one.parsed === undefined) continue;
    const manifest = readUnvouchedManifest(one.parsed, plan.limits.entries);
    return { manifest, members: [one], votes: [{ signer: manifest.signer }] };
  }
  throw examined[0]?.errors[0] ?? new AppError('UNSIGNED', 'there is no bundle');
}

function decide({ layer, rule, mode, subject }: Ruled, group: Group, now: Date): DecisionEvidence {
  const base = { layer: layer.kind, ...(rule !== undefined && { rule: rule.name }), mode };
  if (mode === 'off') return { ...base, verdict: 'off', findings: [] };
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
    subject,
  };
  const findings = evaluate(layer.policy, rule, facts);
  return { ...base, verdict: findings.length === 0 ? 'allow' : 'deny', findings };
}

function withoutSignatures({ layer, rule, mode, subject }: Ruled): DecisionEvidence {
  const base = { layer: layer.kind, ...(rule !== undefined && { rule: rule.name }), mode };
  if (mode === 'off') return { ...base, verdict: 'off', findings: [] };
  if (rule === undefined) return { ...base, verdict: 'deny', findings: [noRule(subject)] };
  const failure = rule.require === undefined ? undefined : unmet(rule.require, []);
  const code = failure?.kind === 'threshold' ? 'THRESHOLD_NOT_MET' : 'SIGNER_UNTRUSTED';
  return { ...base, verdict: 'deny', findings: [{ code, message: failure?.why ?? 'nobody who is trusted has signed' }] };
}

/** Signers as this layer's anchors established them. */
function votesFor(layer: Layer, group: Group): readonly Vote[] {
  return group.members.flatMap((one) =>
    one.satisfies.filter((match) => match.layer === layer.kind).map((match) => ({ signer: match.signer, satisfies: [match.name] })),
  );
}

function signatureEvidence(one: Examined, counted: readonly Examined[]): SignatureEvidence {
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

/** With no genuine signature at all, why it is none says more than that a signer is missing. */
function refusalOf(decisions: readonly DecisionEvidence[], examined: readonly Examined[], nothingGenuine: boolean): AppError {
  const decision = decisions.find((one) => one.verdict === 'deny' && one.mode === 'enforce');
  const [error] = examined.flatMap((one) => one.errors);
  const why = examined.flatMap((one) => one.problems);
  if (decision === undefined) return error ?? new AppError('INTERNAL', 'refused by nobody');
  const [finding] = decision.findings;
  if (finding?.code === 'SIGNER_UNTRUSTED' && nothingGenuine && error !== undefined)
    return new AppError(error.code, `${error.message} (${ruleText(decision)})`, { hint: error.hint, context: error.context, cause: error });
  return errorOf(decision, finding?.code === 'SIGNER_UNTRUSTED' ? why : []);
}

function errorOf(decision: DecisionEvidence, why: readonly string[] = []): AppError {
  const [first] = decision.findings;
  if (first === undefined) return new AppError('INTERNAL', 'a refusal without a finding');
  const detail = why.length === 0 ? '' : `; ${printable(why.slice(0, 3).join('; '), 600)}`;
  return new AppError(first.code, `${first.message}${detail} (${ruleText(decision)})`);
}

function ruleText({ layer, rule }: DecisionEvidence): string {
  return layer === 'flags' ? 'asked for by flags' : rule === undefined ? `${layer}: no rule` : `${layer}: rule '${rule}'`;
}

function judgement(group: Group, examined: readonly Examined[], ruling: Ruling, plan: Plan, deps: GateDeps, model: ModelEvidence): Judgement {
  const [main = examined[0]] = group.members;
  if (main === undefined) throw new AppError('INTERNAL', 'no bundle was judged');
  const active = ruling.layers.filter(({ mode }) => mode !== 'off');
  const checksOf = ({ layer, rule }: Ruled): readonly FileChecks[] => fileChecksOf(layer.policy.checks.files, rule);
  // Thrown for the first enforcing layer, waived for the others.
  const report = (look: (checks: FileChecks) => Finding | undefined): void => {
    for (const ruled of active) {
      const findings = checksOf(ruled).flatMap((checks) => look(checks) ?? []);
      if (findings.length === 0) continue;
      const { layer, rule, mode } = ruled;
      const decision: DecisionEvidence = { layer: layer.kind, ...(rule !== undefined && { rule: rule.name }), mode, verdict: 'deny', findings };
      model.decisions = [...(model.decisions ?? []), decision];
      if (mode === 'enforce') throw errorOf(decision);
      for (const finding of findings) waive(deps, model, finding, ruleText(decision));
    }
  };
  return {
    manifest: group.manifest,
    bundle: main.bundle,
    bundleNames: examined.filter((one) => one.parsed !== undefined && one.bundle.place === 'inside').map((one) => one.bundle.name),
    signer: group.votes[0]?.signer ?? group.manifest.signer,
    unsignedFiles: unsignedFiles(active, plan),
    maxFileBytes: Math.min(
      plan.limits.fileBytes,
      ...active.filter(({ mode }) => mode === 'enforce').flatMap((ruled) => checksOf(ruled).flatMap((checks) => checks.maxFileBytes ?? [])),
    ),
    formats: active.flatMap(({ layer, rule, mode }) =>
      [layer.policy.checks.formats, rule?.checks.formats].flatMap((formats) =>
        formats === undefined ? [] : [{ layer: layer.kind, rule: rule?.name ?? 'always', mode, formats }],
      ),
    ),
    checkNames: (paths) => report((checks) => nameFinding(checks, paths)),
    checkSizes(sizes) {
      const total = sizes.reduce((sum, file) => sum + file.sizeBytes, 0);
      report(({ maxFileBytes, maxTotalBytes }) => {
        const large = sizes.find((file) => maxFileBytes !== undefined && file.sizeBytes > maxFileBytes);
        if (large !== undefined)
          return { code: 'LIMIT_EXCEEDED', message: `'${printable(large.path, 300)}' has ${large.sizeBytes} bytes, more than ${maxFileBytes}` };
        if (maxTotalBytes === undefined || total <= maxTotalBytes) return undefined;
        return { code: 'LIMIT_EXCEEDED', message: `the files have ${total} bytes together, more than ${maxTotalBytes}` };
      });
    },
  };
}

/** The flag or the operator's policy asks for it; every layer of a file has to tolerate it. A floor never asks. */
function unsignedFiles(active: readonly Ruled[], plan: Plan): 'refuse' | 'ignore' {
  const tolerates = ({ layer, rule }: Ruled): boolean =>
    allSay(
      fileChecksOf(layer.policy.checks.files, rule).map((checks) => checks.unsigned),
      'ignore',
    );
  const files = active.filter(({ layer }) => layer.kind !== 'flags');
  const asked = plan.unsignedFiles === 'ignore' || files.some((ruled) => ruled.layer.kind === 'policy' && tolerates(ruled));
  return asked && files.every((ruled) => ruled.mode !== 'enforce' || tolerates(ruled)) ? 'ignore' : 'refuse';
}
