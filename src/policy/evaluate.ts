// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { HashAlgorithm } from '../oms/manifest.ts';
import type { Signer } from '../trust/trust.ts';
import { nameFinding } from './files.ts';
import { matchesSource, type SourceName, showName } from './match.ts';
import type { Checks, Mode, Policy, Rule } from './policy.ts';
import { unmet, type Vote } from './requirement.ts';

/** Something the policy does not accept. */
export type Finding = { readonly code: ErrorCode; readonly message: string };

/** What a rule is chosen by. `name` undefined: the source has no name that could be compared. */
export type Subject = { readonly name: SourceName | undefined; readonly modelName: string | undefined };

/** Established facts: the manifest and the genuine signatures over it. */
export type Facts = {
  readonly manifest: {
    readonly rootDigest: string;
    readonly algorithm: HashAlgorithm;
    readonly subjectName: string;
    readonly symlinks: 'reject' | 'follow';
    readonly paths: readonly string[];
  };
  readonly votes: readonly Vote[];
  readonly now: Date;
  readonly subject?: Subject;
};

/** The first rule that is about the model. */
export function ruleFor(policy: Policy, { name, modelName }: Subject): Rule | undefined {
  return policy.rules.find(
    (rule) =>
      (rule.sources.length === 0 || (name !== undefined && rule.sources.some((pattern) => matchesSource(pattern, name)))) &&
      (rule.modelNames === undefined || (modelName !== undefined && rule.modelNames.includes(modelName))),
  );
}

export function modeOf(policy: Policy, rule: Rule | undefined): Mode {
  return rule?.mode ?? policy.mode;
}

/** Everything the rule has against the model; empty: accepted. */
export function evaluate(policy: Policy, rule: Rule | undefined, facts: Facts): readonly Finding[] {
  if (rule === undefined) return [noRule(facts.subject)];
  const checks = [policy.checks, rule.checks];
  return [...signerFindings(rule, checks, facts), ...checks.flatMap((one) => manifestFindings(one, facts))];
}

/** Under the name that rules are compared with: it can look different from what was asked for. */
export function noRule(subject?: Subject): Finding {
  const name = subject?.name === undefined ? 'this model' : `'${printable(showName(subject.name), 300)}'`;
  const called = subject?.modelName === undefined ? '' : `, called '${printable(subject.modelName, 80)}'`;
  return { code: 'POLICY_NO_RULE', message: `no rule of the policy is about ${name}${called}` };
}

/** Signatures of poor quality do not count: whether the rest is enough decides. */
function signerFindings({ require }: Rule, checks: readonly Checks[], { votes, now }: Facts): readonly Finding[] {
  const judged = votes.map((vote) => ({ vote, flaw: checks.map((one) => flawOf(one, vote.signer, now)).find((flaw) => flaw !== undefined) }));
  const sound = judged.filter(({ flaw }) => flaw === undefined).map(({ vote }) => vote);
  const flaw = judged.find((one) => one.flaw !== undefined)?.flaw;
  // Without signers of its own a layer speaks about all of them.
  if (require === undefined) return flaw === undefined ? [] : [flaw];
  const failure = unmet(require, sound);
  if (failure === undefined) return [];
  if (flaw !== undefined && unmet(require, votes) === undefined) return [flaw];
  return [{ code: failure.kind === 'threshold' ? 'THRESHOLD_NOT_MET' : 'SIGNER_UNTRUSTED', message: failure.why }];
}

/** What keeps a genuine signature from counting. */
function flawOf(checks: Checks, signer: Signer, now: Date): Finding | undefined {
  if (signer.kind === 'nobody') return { code: 'SIGNER_UNTRUSTED', message: 'nobody who is trusted has signed' };
  const curve = signer.kind === 'key' ? signer.curve : signer.key?.curve;
  if (checks.keyTypes !== undefined && (curve === undefined || !checks.keyTypes.includes(curve)))
    return { code: 'ALGORITHM_REFUSED', message: `a signature was made with a ${curve ?? 'unknown'} key, accepted are ${checks.keyTypes.join(', ')}` };
  if (checks.transparencyLog && (signer.kind !== 'sigstore' || signer.logs.length === 0))
    return { code: 'LOG_PROOF_INVALID', message: 'a signature is in no transparency log' };
  const times = signer.times ?? [];
  if (checks.timestamp && !times.some((time) => time.source === 'timestamp'))
    return { code: 'TIMESTAMP_INVALID', message: 'a signature has no timestamp of an authority that is trusted' };
  if (checks.signedAfter === undefined && checks.maxAgeMs === undefined) return undefined;
  // Each says "not later than", so the earliest one says most.
  const at = times.map((time) => time.at.getTime()).sort((a, b) => a - b)[0];
  if (at === undefined || Number.isNaN(at)) return { code: 'SIGNED_TOO_EARLY', message: 'nobody who is trusted vouches for the time of a signature' };
  if (checks.signedAfter !== undefined && at < checks.signedAfter.getTime())
    return { code: 'SIGNED_TOO_EARLY', message: `signed at ${iso(at)}, before ${iso(checks.signedAfter.getTime())}` };
  if (checks.maxAgeMs !== undefined && now.getTime() - at > checks.maxAgeMs)
    return { code: 'SIGNED_TOO_EARLY', message: `signed at ${iso(at)}, more than ${Math.floor(checks.maxAgeMs / 60_000)} minutes ago` };
  return undefined;
}

function manifestFindings(checks: Checks, { manifest }: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  const digest = `sha256:${manifest.rootDigest}`;
  const denied = checks.denyDigests.find((entry) => entry.digest === manifest.rootDigest);
  if (denied !== undefined) findings.push({ code: 'DIGEST_DENIED', message: `the model digest ${digest} is denied: ${printable(denied.reason, 300)}` });
  if (checks.allowDigests !== undefined && !checks.allowDigests.some((one) => one === manifest.rootDigest))
    findings.push({ code: 'DIGEST_NOT_PINNED', message: `the signed model digest ${digest} is none of the ${checks.allowDigests.length} allowed ones` });
  if (checks.hashes !== undefined && !checks.hashes.includes(manifest.algorithm))
    findings.push({ code: 'ALGORITHM_REFUSED', message: `the files are hashed with ${manifest.algorithm}, accepted are ${checks.hashes.join(', ')}` });
  if (checks.name !== undefined && checks.name !== manifest.subjectName)
    findings.push({ code: 'POLICY_DENIED', message: `the signed name is '${printable(manifest.subjectName, 200)}', not '${printable(checks.name, 200)}'` });
  const { files } = checks;
  if (files.symlinks === 'refuse' && manifest.symlinks === 'follow')
    findings.push({ code: 'FILE_TYPE', message: 'the signer followed symbolic links, which the policy refuses' });
  if (files.maxCount !== undefined && manifest.paths.length > files.maxCount)
    findings.push({ code: 'LIMIT_EXCEEDED', message: `the manifest lists ${manifest.paths.length} files, more than ${files.maxCount}` });
  const name = nameFinding(files, manifest.paths);
  return name === undefined ? findings : [...findings, name];
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
