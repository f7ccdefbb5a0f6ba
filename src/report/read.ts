// SPDX-License-Identifier: Apache-2.0
// Imports valibot: load this file lazily.
import * as v from 'valibot';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { REPORT_VERSION } from './document.ts';

/** Some 300,000 files. */
export const MAX_REPORT_BYTES = 128 * 1024 * 1024;

const MAX_MODELS = 1000;
const MAX_ITEMS = 1_000_000;

const text = v.string();
const texts = v.pipe(v.array(text), v.maxLength(MAX_ITEMS));
const hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{1,128}$/, 'is no hexadecimal digest'));
const count = v.pipe(v.number(), v.safeInteger('is no whole number'), v.minValue(0));
const at = v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/, 'is no time'), v.check(isTime, 'is no time'));

const error = v.object({
  code: v.pipe(v.string(), v.regex(/^[A-Z][A-Z0-9_]{1,63}$/, 'is no reason code')),
  message: text,
  hint: text,
  context: v.object({
    uri: v.optional(text),
    path: v.optional(text),
    expected: v.optional(text),
    found: v.optional(text),
    names: v.optional(texts),
    count: v.optional(count),
  }),
});

const times = v.pipe(v.array(v.object({ source: v.picklist(['log', 'timestamp']), at })), v.maxLength(1000));

const signer = v.variant('kind', [
  v.object({ kind: v.literal('key'), fingerprint: hex, curve: text, times: v.optional(times) }),
  v.object({
    kind: v.literal('certificate'),
    subject: text,
    names: texts,
    issuer: text,
    serial: text,
    fingerprint: hex,
    anchor: text,
    notBefore: at,
    notAfter: at,
    checkedAt: at,
    timeSource: v.picklist(['clock', 'timestamp', 'notBefore']),
    times: v.optional(times),
  }),
  v.object({
    kind: v.literal('sigstore'),
    identity: text,
    issuer: text,
    times,
    logs: v.pipe(v.array(v.object({ logId: text, logIndex: text })), v.maxLength(1000)),
    root: text,
  }),
  v.object({ kind: v.literal('nobody'), method: text }),
]);

const finding = v.object({ code: text, message: text });
const findings = v.pipe(v.array(finding), v.maxLength(MAX_ITEMS));
const decisions = v.pipe(v.array(v.object({ layer: text, rule: v.optional(text), mode: text, verdict: text, findings })), v.maxLength(100));
const signatures = v.pipe(
  v.array(v.object({ bundle: text, sha256: v.optional(hex), signer: v.optional(signer), verdict: text, satisfies: texts, problems: texts })),
  v.maxLength(1000),
);
const formats = v.pipe(v.array(v.object({ path: text, formats: texts })), v.maxLength(MAX_ITEMS));
const policies = v.pipe(v.array(v.object({ layer: text, name: text, sha256: v.optional(hex) })), v.maxLength(100));

const file = v.object({
  path: text,
  algorithm: text,
  parts: v.pipe(v.array(v.object({ range: v.union([v.literal('whole'), v.object({ start: count, end: count })]), digest: hex })), v.nonEmpty()),
  sizeBytes: count,
  origin: text,
});

/** Sections that not every version writes: one in another form than is known here is told of, and does not hide the rest. */
const optionally = <S extends v.GenericSchema>(schema: S) =>
  v.optional(
    v.union([
      schema,
      v.pipe(
        v.unknown(),
        v.transform(() => 'unreadable' as const),
      ),
    ]),
  );

const model = v.object({
  source: text,
  destination: v.optional(text),
  startedAt: at,
  bundle: v.optional(v.object({ uri: text, sha256: hex, sizeBytes: count })),
  signer: v.optional(signer),
  archive: v.optional(v.object({ signed: v.picklist(['whole', 'members']), file })),
  manifest: v.optional(v.object({ rootDigest: hex, predicateType: text, method: text, algorithm: text, subjectName: text, files: count })),
  decisions: optionally(decisions),
  signatures: optionally(signatures),
  waived: optionally(findings),
  formats: optionally(formats),
  verdict: v.picklist(['verified', 'warned', 'skipped', 'refused', 'failed', 'unfinished']),
  error: v.optional(error),
  partial: v.boolean(),
  notRequested: texts,
  warnings: texts,
  fileCount: count,
  totalBytes: count,
  files: v.pipe(v.array(file), v.maxLength(MAX_ITEMS)),
  ms: count,
});

const report = v.object({
  reportVersion: v.literal(REPORT_VERSION),
  tool: v.object({ name: v.literal('model-gate'), version: text, embeddedRootDate: text }),
  command: v.picklist(['pull', 'verify', 'watch']),
  verdict: v.picklist(['verified', 'warned', 'skipped', 'refused', 'failed']),
  exitCode: v.pipe(count, v.maxValue(255)),
  error: v.optional(error),
  startedAt: at,
  trust: v.optional(v.object({ method: text, anchors: texts })),
  policies: optionally(policies),
  relaxations: texts,
  models: v.pipe(v.array(model), v.maxLength(MAX_MODELS)),
});

export type ReportDocument = v.InferOutput<typeof report>;
export type ReportedModel = ReportDocument['models'][number];
export type ReportedFile = ReportedModel['files'][number];
export type ReportedError = NonNullable<ReportDocument['error']>;
export type ReportedSigner = NonNullable<ReportedModel['signer']>;

/**
 * Bytes of a file that --report wrote, or that somebody else did → the document. Members that this version does not know are left out, those
 * it knows have to be right, and the verdicts have to agree with each other: no page may say `verified` over an error. @throws CONFIG_INVALID
 */
export function readReport(bytes: Buffer, name: string): ReportDocument {
  const result = v.safeParse(report, parse(bytes, name), { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const what = v.getDotPath(issue) ?? 'it';
    throw noReport(name, issue.received === 'undefined' ? `${what} is missing` : `${what}: ${issue.message}`);
  }
  const contradiction = contradictionIn(result.output);
  if (contradiction !== undefined) throw noReport(name, `it contradicts itself: ${contradiction}`);
  return result.output;
}

function parse(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch (cause) {
    throw noReport(name, `it is no JSON: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** Only the first of them is good news. */
const LET_THROUGH: readonly string[] = ['verified', 'warned', 'skipped'];

function contradictionIn({ verdict, exitCode, error, models }: ReportDocument): string | undefined {
  const good = LET_THROUGH.includes(verdict);
  if (good !== (exitCode === 0) || (verdict === 'refused') !== (exitCode === 1)) return `verdict ${verdict}, exit code ${exitCode}`;
  if (good !== (error === undefined)) return `verdict ${verdict} with${good ? '' : 'out'} an error`;
  if (good && models.length === 0) return `${verdict} without a model`;
  for (const { verdict: own, error, signer, manifest, bundle, fileCount, files, totalBytes } of models) {
    if (verdict === 'verified' ? own !== 'verified' : good && !LET_THROUGH.includes(own)) return `${verdict}, with a model that is ${own}`;
    if (own === 'verified' && (error !== undefined || signer === undefined || manifest === undefined || bundle === undefined))
      return 'a model is verified without a bundle, a signer and a manifest, or with an error';
    if (fileCount !== files.length || totalBytes !== files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
      return 'the files are not those that are counted';
  }
  return undefined;
}

function isTime(value: string): boolean {
  return !Number.isNaN(Date.parse(value));
}

function noReport(name: string, why: string): AppError {
  return new AppError('CONFIG_INVALID', `${printable(name)} is no report of model-gate that can be shown: ${printable(why, 300)}`, {
    hint: 'Give the JSON file that pull or verify wrote with --report.',
  });
}
