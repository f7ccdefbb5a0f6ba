// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import { caution, plural, stepsOf, timelineOf, VERDICTS } from './facts.ts';
import { formatBytes } from './progress.ts';
import type { ReportDocument, ReportedModel, ReportedSigner } from './read.ts';

const MAX_NAMES = 20;
const MAX_MODELS = 100;

/** A report as a few lines for a terminal; the files stand in the JSON and on the page. */
export function renderText(report: ReportDocument, { sha256 }: { readonly sha256: string }): string {
  const { verdict, error, exitCode, startedAt, command, tool, relaxations, models } = report;
  const { title, means } = VERDICTS[verdict];
  const reserved = caution(report);
  const rest = models.length - MAX_MODELS;
  return [
    `${title.toUpperCase()} (exit ${exitCode})  ${means}`,
    ...(reserved === undefined ? [] : [reserved]),
    ...(error === undefined ? [] : [row('reason', `${error.code}: ${error.message}`), row('what now', error.hint)]),
    row('run', `model-gate ${tool.version} ${command}, started ${startedAt}`),
    row('report', `sha256:${sha256}, signed by nobody`),
    ...named('relaxation', relaxations),
    ...models.slice(0, MAX_MODELS).flatMap((model) => ['', ...modelLines(model, relaxations)]),
    ...(rest > 0 ? ['', plural(rest, 'more model')] : []),
    '',
  ].join('\n');
}

function modelLines(model: ReportedModel, relaxations: readonly string[]): readonly string[] {
  const { source, destination, signer, bundle, manifest, fileCount, totalBytes, warnings, notRequested } = model;
  return [
    row('model', source),
    ...(destination === undefined ? [] : [row('destination', destination)]),
    row('signed by', signer === undefined ? 'not established' : signerText(signer)),
    ...(manifest === undefined ? [] : [row('root digest', `sha256:${manifest.rootDigest}`), row('predicate', manifest.predicateType)]),
    ...(bundle === undefined ? [] : [row('bundle', `${bundle.uri} (sha256:${bundle.sha256})`)]),
    row('checked', `${plural(fileCount, 'file')}, ${formatBytes(totalBytes)}`),
    ...stepsOf(model, relaxations).map(({ what, done }) => row(done ? 'yes' : 'no', what)),
    ...timelineOf(model).map(({ at, what }) => row(at, what)),
    ...named('warning', warnings),
    ...named('not asked for', notRequested),
  ];
}

function signerText(signer: ReportedSigner): string {
  switch (signer.kind) {
    case 'key':
      return `key sha256:${signer.fingerprint} (${signer.curve})`;
    case 'certificate':
      return `'${signer.subject}', path ends at '${signer.anchor}'`;
    case 'sigstore':
      return `${signer.identity} (issuer ${signer.issuer})`;
    case 'nobody':
      return 'nobody who is trusted';
  }
}

function named(name: string, texts: readonly string[]): readonly string[] {
  const rest = texts.length - MAX_NAMES;
  return [...texts.slice(0, MAX_NAMES).map((text) => row(name, text)), ...(rest > 0 ? [row(name, `and ${rest} more`)] : [])];
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(13)} ${printable(value, 600)}`;
}
