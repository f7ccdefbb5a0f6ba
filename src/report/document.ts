// SPDX-License-Identifier: Apache-2.0
import { exitCodeOf, type SerialisedError } from '../base/errors.ts';
import type { Evidence, ModelEvidence } from './evidence.ts';

/** Version of the report's form; a number more for every change that a reader could trip over. Schema: docs/reference/report.schema.json. */
export const REPORT_VERSION = 'model-gate/report/v1';

export type Tool = { readonly name: 'model-gate'; readonly version: string; readonly embeddedRootDate: string };

/** The whole evidence of a run as plain JSON. */
export function makeReport(evidence: Evidence, tool: Tool, command: string, error: SerialisedError | undefined, signal?: 'SIGINT' | 'SIGTERM'): object {
  return {
    reportVersion: REPORT_VERSION,
    tool,
    command,
    verdict: verdictOf(evidence, error, error === undefined ? 0 : exitCodeOf(error.code)),
    exitCode: error === undefined ? 0 : exitCodeOf(error.code, signal),
    ...(error !== undefined && { error }),
    startedAt: evidence.startedAt,
    ...(evidence.trust !== undefined && { trust: evidence.trust }),
    ...(evidence.policies !== undefined && { policies: evidence.policies }),
    relaxations: evidence.relaxations,
    models: evidence.models.map(modelDocument),
  };
}

function modelDocument(model: ModelEvidence): object {
  const { notRequested, files, ms, verdict, ...rest } = model;
  return {
    ...rest,
    verdict,
    partial: notRequested.length > 0,
    notRequested,
    fileCount: files.length,
    totalBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    files,
    ms: ms ?? 0,
  };
}

/** kubelet keeps 4096 bytes for all containers of a pod together; this much is always safe. */
export const MAX_TERMINATION_BYTES = 1000;

/** One JSON line, most useful members first; what does not fit is left out or shortened, never cut through a character. */
export function terminationMessage(evidence: Evidence, error: SerialisedError | undefined, exitCode: number): string {
  const model = evidence.models.findLast((m) => m.error !== undefined) ?? evidence.models.at(-1);
  const message: Record<string, unknown> = {
    verdict: verdictOf(evidence, error, exitCode),
    exitCode,
    ...(error !== undefined && { reason: error.code, message: error.message }),
    ...(error?.context.names !== undefined && { files: error.context.names.slice(0, 3), count: error.context.count }),
    ...(model !== undefined && ruleOf(model) !== undefined && { rule: ruleOf(model) }),
    ...(model?.waived !== undefined && { waived: [...new Set(model.waived.map((finding) => finding.code))].slice(0, 5) }),
    ...(model?.signer !== undefined && { signer: shortSigner(model.signer) }),
    ...(model?.manifest !== undefined && { digest: `sha256:${model.manifest.rootDigest}` }),
    ...(model !== undefined && { source: model.source }),
    ...(error === undefined && {
      fileCount: count(evidence, (m) => m.files.length),
      bytes: count(evidence, (m) => m.files.reduce((sum, file) => sum + file.sizeBytes, 0)),
    }),
    ...(evidence.models.length > 1 && { models: evidence.models.length }),
    ...(evidence.relaxations.length > 0 && { relaxations: evidence.relaxations }),
    ...(error !== undefined && { hint: error.hint }),
  };
  return fitted(message);
}

/** A model that was let through by warn mode, or not looked at, is not called verified. */
export function verdictOf(evidence: Evidence, error: SerialisedError | undefined, exitCode: number): string {
  if (error !== undefined) return exitCode === 1 ? 'refused' : 'failed';
  const lenient = (['skipped', 'warned'] as const).find((verdict) => evidence.models.some((model) => model.verdict === verdict));
  return lenient ?? 'verified';
}

/** The rule that said no, or else the last one that was asked: the operator's own before the platform's. */
function ruleOf(model: ModelEvidence): string | undefined {
  const decisions = model.decisions ?? [];
  const decision = decisions.find((one) => one.verdict === 'deny' && one.mode === 'enforce') ?? decisions.findLast((one) => one.layer !== 'flags');
  return decision === undefined ? undefined : `${decision.layer}: ${decision.rule ?? 'no rule'}`;
}

/** Says something even if the process is killed: an OOM kill leaves this behind. */
export function placeholderMessage(command: string): string {
  return JSON.stringify({
    verdict: 'unfinished',
    message: `model-gate ${command} was running and did not end by itself (killed, out of memory or still at work)`,
  });
}

/** Useless when cut. */
const WHOLE = ['verdict', 'reason', 'digest', 'rule'];

/** Drops the least useful members, then shortens the longest texts, until the line fits. */
function fitted(message: Record<string, unknown>): string {
  const facts = { ...message };
  const size = (): number => Buffer.byteLength(JSON.stringify(facts));
  for (const name of ['hint', 'relaxations', 'models', 'bytes']) {
    if (size() > MAX_TERMINATION_BYTES) delete facts[name];
  }
  for (let limit = 400; size() > MAX_TERMINATION_BYTES && limit > 10; limit = Math.floor(limit * 0.8)) {
    for (const [name, value] of Object.entries(facts)) {
      if (WHOLE.includes(name)) continue;
      if (typeof value === 'string') facts[name] = shorten(value, limit);
      if (Array.isArray(value)) facts[name] = value.map((item) => shorten(String(item), limit));
    }
  }
  return JSON.stringify(facts);
}

function shorten(text: string, limit: number): string {
  const points = [...text];
  return points.length > limit ? `${points.slice(0, limit - 1).join('')}…` : text;
}

function shortSigner(signer: NonNullable<ModelEvidence['signer']>): string {
  switch (signer.kind) {
    case 'key':
      return `key sha256:${signer.fingerprint}`;
    case 'certificate':
      return signer.names[0] ?? signer.subject;
    case 'sigstore':
      return `${signer.identity} (${signer.issuer})`;
    case 'nobody':
      return 'nobody who is trusted';
  }
}

function count(evidence: Evidence, of: (model: ModelEvidence) => number): number {
  return evidence.models.reduce((sum, model) => sum + of(model), 0);
}
