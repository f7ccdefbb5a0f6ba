// SPDX-License-Identifier: Apache-2.0
import { printable, redactUri } from '../base/redact.ts';
import type { Foreign } from '../plan/foreign.ts';
import type { Origin, Resolved } from '../plan/load.ts';
import { envName, OPTION_NAMES, type OptionName, optionOf } from '../plan/options.ts';
import type { Plan, ToolPlan, WatchPlan } from '../plan/plan.ts';

/** The resolved plan as a table for people: what will be done, and every value with where it comes from. Secrets stay out. */
export function describePlan(plan: Plan | WatchPlan | ToolPlan, resolved: Resolved, foreign: Foreign): string {
  const rows = OPTION_NAMES.filter((name) => optionOf(name).commands.includes(plan.command) && optionOf(name).notInFile !== true).map((name) => [
    name,
    show(name, resolved.values[name]),
    originText(name, resolved.origins[name]),
  ]);
  const widths = [0, 1].map((i) => Math.min(60, Math.max(...rows.map((row) => (row[i] ?? '').length))));
  const lines = rows.map(([name = '', value = '', origin = '']) => `  ${name.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${origin}`);
  const others = foreign.notes.map(({ variable, meaning }) => `  ${variable.padEnd(widths[0] ?? 0)}  ${meaning}`);
  const variables = others.length > 0 ? ['From variables of other programs:', ...others, ''] : [];
  return [...describeWork(plan), '', ...lines, '', ...variables].join('\n');
}

function describeWork(plan: Plan | WatchPlan | ToolPlan): readonly string[] {
  switch (plan.command) {
    case 'pull':
      return [
        ...plan.models.map((model) => `pull    ${redactUri(model.source.uri)} → ${model.destination}`),
        `trust   ${plan.trust?.kind ?? 'as the policy says'}`,
      ];
    case 'verify':
      return [`verify  ${redactUri(plan.model.uri)} in place`, `trust   ${plan.trust?.kind ?? 'as the policy says'}`];
    case 'watch':
      return [
        `watch   ${redactUri(plan.check.model.uri)} in place, every ${plan.intervalMs / 1000} s`,
        `trust   ${plan.check.trust?.kind ?? 'as the policy says'}`,
      ];
    case 'sign':
      return [`sign    ${redactUri(plan.model.uri)} by ${plan.signer.kind}`];
    case 'digest':
      return [`digest  ${redactUri(plan.model.uri)}`];
    case 'scan':
      return [`scan    ${redactUri(plan.model.uri)}`, `allowed ${plan.formats.allow?.join(', ') ?? 'everything'}`];
    case 'report':
      return [`report  ${printable(plan.path)} as ${plan.form}`];
    case 'inspect':
      return [`inspect ${redactUri(plan.bundle.uri)}`, `trust   ${plan.trust?.kind ?? 'nobody: the output is unverified'}`];
  }
}

function originText(name: OptionName, origin: Origin): string {
  switch (origin) {
    case 'flag':
      return `flag --${name}`;
    case 'environment':
      return `environment ${envName(name)}`;
    case 'file':
      return 'configuration file';
    case 'default':
      return 'default';
  }
}

function show(name: OptionName, value: unknown): string {
  if (value === undefined) return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map((item) => show(name, item)).join(', ');
  if (typeof value !== 'string') return String(value);
  if (optionOf(name).secret === true) return '<redacted>';
  if (value.includes('-----BEGIN ') || value.trimStart().startsWith('{')) return `text of ${Buffer.byteLength(value)} bytes`;
  return redactUri(value);
}
