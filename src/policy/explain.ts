// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import { describeText } from './pattern.ts';
import type { Checks, Policy, Requirement, SignerSpec } from './policy.ts';

/** A policy in words, rule by rule in the order in which they are tried. */
export function explainPolicy(policy: Policy): string {
  const signers = [...policy.signers].map(([name, spec]) => `  ${printable(name, 100)}: ${explainSigner(spec)}`);
  const rules = policy.rules.flatMap((rule, i) => [
    `${i + 1}. ${rule.name}${rule.mode !== undefined && rule.mode !== policy.mode ? ` (mode ${rule.mode})` : ''}`,
    ...(rule.sources.length > 0 ? [`   source   ${rule.sources.map((pattern) => printable(pattern.text, 300)).join(' or ')}`] : []),
    ...(rule.modelNames === undefined ? [] : [`   model    ${rule.modelNames.map((name) => printable(name, 100)).join(' or ')}`]),
    `   signed   ${rule.require === undefined ? 'by anybody' : explainRequirement(rule.require)}`,
    ...explainChecks(rule.checks).map((line) => `   and      ${line}`),
  ]);
  const always = explainChecks(policy.checks).map((line) => `  ${line}`);
  return [
    `mode ${policy.mode}`,
    ...(signers.length > 0 ? ['signers', ...signers] : []),
    ...(always.length > 0 ? ['always', ...always] : []),
    'rules, the first that matches decides; without one the model is refused',
    ...rules,
    '',
  ].join('\n');
}

function explainSigner(spec: SignerSpec): string {
  switch (spec.kind) {
    case 'key':
      return `one of ${spec.keys.length} key materials`;
    case 'certificate': {
      const who = [...spec.names, ...spec.subjects].map((name) => `'${printable(name, 100)}'`).join(' or ');
      return `a certificate ${who === '' ? 'for anybody' : `for ${who}`} below the given roots`;
    }
    case 'sigstore': {
      const claims = [...spec.claims].map(([name, wanted]) => `, ${name} ${printable(describeText(wanted), 200)}`).join('');
      return printable(`identity ${describeText(spec.identity)} of issuer '${spec.issuer}'${claims}`, 600);
    }
  }
}

function explainRequirement(requirement: Requirement): string {
  switch (requirement.kind) {
    case 'signer':
      return `by ${printable(requirement.signer, 100)}`;
    case 'anyOf':
      return `(${requirement.of.map(explainRequirement).join(' or ')})`;
    case 'allOf':
      return `(${requirement.of.map(explainRequirement).join(' and ')})`;
    case 'threshold':
      return `by ${requirement.atLeast} different ones of ${requirement.of.map((member) => member.map((name) => printable(name, 100)).join('|')).join(', ')}`;
  }
}

function explainFormats(formats: Checks['formats']): readonly string[] {
  if (formats === undefined) return [];
  const named = (verdict: string): string =>
    Object.entries(formats.rules)
      .filter(([, rule]) => rule === verdict)
      .map(([name]) => name)
      .join(', ');
  const [denied, warned, imports] = [named('deny'), named('warn'), formats.pickleImports ?? []];
  return [
    `formats ${formats.allow === undefined ? 'of every kind' : `only ${formats.allow.join(', ')}`}, none of them malformed`,
    ...(denied === '' ? [] : [`no ${denied}`]),
    ...(warned === '' ? [] : [`a warning for ${warned}`]),
    `imports of pickles only those of plain weights${imports.length === 0 ? '' : ` and ${imports.join(', ')}`}`,
  ];
}

function explainChecks(checks: Checks): readonly string[] {
  const { files } = checks;
  const lines = [
    checks.allowDigests && `the digest is one of ${checks.allowDigests.length}`,
    checks.denyDigests.length > 0 && `the digest is none of ${checks.denyDigests.length} denied ones`,
    checks.signedAfter && `signed after ${checks.signedAfter.toISOString()}`,
    checks.maxAgeMs !== undefined && `signed at most ${checks.maxAgeMs / 60_000} minutes ago`,
    checks.name !== undefined && `the signed name is '${printable(checks.name, 200)}'`,
    checks.transparencyLog && 'in a transparency log',
    checks.timestamp && 'with a timestamp',
    checks.hashes && `hashed with ${checks.hashes.join(' or ')}`,
    checks.keyTypes && `signed with keys on ${checks.keyTypes.join(' or ')}`,
    files.allow && `files only ${files.allow.map((glob) => printable(glob, 100)).join(', ')}`,
    files.deny.length > 0 && `no files ${files.deny.map((glob) => printable(glob, 100)).join(', ')}`,
    files.maxFileBytes !== undefined && `files of at most ${files.maxFileBytes} bytes`,
    files.maxTotalBytes !== undefined && `at most ${files.maxTotalBytes} bytes together`,
    files.maxCount !== undefined && `at most ${files.maxCount} files`,
    files.unsigned === 'ignore' && 'unsigned files are tolerated',
    files.symlinks !== undefined && `symbolic links: ${files.symlinks}`,
    ...explainFormats(checks.formats),
  ];
  return lines.filter((line) => typeof line === 'string');
}
