// SPDX-License-Identifier: Apache-2.0
import { AppError, type ErrorCode } from '../base/errors.ts';
import { parseYaml } from './document.ts';
import { evaluate, modeOf, ruleFor } from './evaluate.ts';
import { choiceOf, type Field, invalid, listOf, mapping, strictListOf, textOf, timeOf } from './fields.ts';
import type { SourceName } from './match.ts';
import type { Policy } from './policy.ts';
import type { Vote } from './requirement.ts';

/** A case that did not come out as written. */
export type CaseResult = { readonly name: string; readonly problems: readonly string[] };

/** How a source URI is taken apart. @throws CONFIG_INVALID */
export type NameOf = (uri: string) => SourceName | undefined;

const VERDICTS = ['allow', 'warn', 'off', 'refuse'] as const;

/**
 * Runs `cases` (facts → verdict) against a policy, without keys or network: who signed is given by the names of the policy's signers.
 * @throws POLICY_INVALID, CONFIG_INVALID
 */
export function runCases(policy: Policy, bytes: Buffer, now: Date, nameOf: NameOf): readonly CaseResult[] {
  const top = mapping({ value: parseYaml(bytes, 'the cases'), where: '' }, ['cases']);
  return strictListOf(top.need('cases'), (item) => runCase(policy, item, now, nameOf));
}

function runCase(policy: Policy, field: Field, now: Date, nameOf: NameOf): CaseResult {
  const node = mapping(field, ['name', 'source', 'modelName', 'signedBy', 'digest', 'files', 'signedName', 'hash', 'at', 'expect', 'rule', 'reason']);
  const [source, modelName, digest, files, at] = [node.get('source'), node.get('modelName'), node.get('digest'), node.get('files'), node.get('at')];
  const subject = { name: source === undefined ? undefined : nameField(source, nameOf), modelName: modelName === undefined ? undefined : textOf(modelName) };
  const rule = ruleFor(policy, subject);
  const signedBy = node.get('signedBy');
  const signedName = node.get('signedName');
  const hash = node.get('hash');
  const votes =
    signedBy === undefined || (Array.isArray(signedBy.value) && signedBy.value.length === 0) ? [] : strictListOf(signedBy, (item) => voteOf(item, policy));
  const findings = evaluate(policy, rule, {
    manifest: {
      rootDigest: digest === undefined ? '0'.repeat(64) : textOf(digest).replace(/^sha256:/, ''),
      algorithm: hash === undefined ? 'sha256' : choiceOf(hash, ['sha256', 'blake2b', 'blake3']),
      subjectName: signedName === undefined ? '' : textOf(signedName),
      symlinks: 'reject',
      paths: files === undefined ? [] : listOf(files, textOf),
    },
    votes,
    now: at === undefined ? now : timeOf(at),
    subject,
  });
  const mode = modeOf(policy, rule);
  const found = mode === 'off' ? 'off' : findings.length === 0 ? 'allow' : mode === 'warn' ? 'warn' : 'refuse';
  const reasons: readonly ErrorCode[] = findings.map((finding) => finding.code);
  const expected = choiceOf(node.need('expect'), VERDICTS);
  const problems: string[] = [];
  const why = findings.map((finding) => `${finding.code}: ${finding.message}`).join('; ');
  if (found !== expected) problems.push(`expected ${expected}, got ${found}${why === '' ? '' : ` (${why})`}`);
  const wantedRule = node.get('rule');
  if (wantedRule !== undefined && wantedRule.value !== (rule?.name ?? 'none'))
    problems.push(`expected rule '${textOf(wantedRule)}', got '${rule?.name ?? 'none'}'`);
  const reason = node.get('reason');
  if (reason !== undefined && !reasons.some((code) => code === reason.value))
    problems.push(`expected reason ${textOf(reason)}, got ${reasons.join(', ') || 'none'}`);
  return { name: textOf(node.need('name')), problems };
}

function nameField(field: Field, nameOf: NameOf): SourceName | undefined {
  try {
    return nameOf(textOf(field));
  } catch (error) {
    throw error instanceof AppError ? invalid(field, error.message) : error;
  }
}

/** A signature by a signer of the policy: its name, or with `signedAt`, `logged`, `timestamped`, `person`. */
function voteOf(field: Field, policy: Policy): Vote {
  const node = typeof field.value === 'string' ? undefined : mapping(field, ['signer', 'person', 'signedAt', 'logged', 'timestamped', 'keyType']);
  const signerField = node?.need('signer') ?? field;
  const name = textOf(signerField);
  const spec = policy.signers.get(name);
  if (spec === undefined) throw invalid(signerField, `names the signer '${name}', which the policy does not have`);
  const [person, signedAt, keyType] = [node?.get('person'), node?.get('signedAt'), node?.get('keyType')];
  const at = signedAt === undefined ? undefined : timeOf(signedAt);
  const logged = node?.get('logged')?.value === true;
  const timestamped = node?.get('timestamped')?.value === true;
  const times = at === undefined ? [] : [{ source: timestamped ? ('timestamp' as const) : ('log' as const), at }];
  const key = {
    fingerprint: (person === undefined ? name : textOf(person)) as never,
    curve: keyType === undefined ? ('P-256' as const) : choiceOf(keyType, ['P-256', 'P-384', 'P-521']),
  };
  if (spec.kind !== 'sigstore') return { signer: { kind: 'key', ...key, times }, satisfies: [name] };
  const logs = logged ? [{ logId: 'case', logIndex: '0' }] : [];
  return { signer: { kind: 'sigstore', identity: `case ${key.fingerprint}`, issuer: spec.issuer, times, logs, root: 'case', key }, satisfies: [name] };
}
