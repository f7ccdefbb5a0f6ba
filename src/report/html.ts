// SPDX-License-Identifier: Apache-2.0
import { caution, plural, VERDICTS } from './facts.ts';
import { modelSection } from './htmlModel.ts';
import { STYLE } from './htmlStyle.ts';
import { dl, listOf, type Room, shownOf } from './htmlTables.ts';
import { type Html, html, textOf } from './markup.ts';
import type { ReportDocument, ReportedError } from './read.ts';

/** Characters for everything that comes in numbers: files, warnings, models. The page stays below 2 MB whatever is reported. */
const ROOM = 1_200_000;

/** SHA-256 of the file that the page shows, so that one can be held against the other. */
export type Origin = { readonly sha256: string };

/** A report as one page that needs nothing else: no script, no picture, no request. */
export function renderHtml(report: ReportDocument, origin: Origin): string {
  const room: Room = { left: ROOM };
  const { shown, rest } = shownOf(room, report.models, 100, (model) => modelSection(report, model, room));
  // The policy is the belt: were something not escaped, it still would not run or be fetched.
  const page = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>model-gate: ${VERDICTS[report.verdict].title.toLowerCase()}</title>
${STYLE}
</head>
<body>
<main>
${banner(report)}
${report.error === undefined ? undefined : errorCard(report.error, report)}
${reservations(report, room)}
${shown}
${rest === 0 ? undefined : html`<p class="note">${plural(rest, 'more model')} not shown here: see the JSON report.</p>`}
${runCard(report, room)}
</main>
${footer(report, origin)}
</body>
</html>
`;
  return textOf(page);
}

function banner(report: ReportDocument): Html {
  const reserved = report.verdict === 'verified' && caution(report) !== undefined;
  const { title, mark, means } = VERDICTS[report.verdict];
  const body = html`<div class="mark" aria-hidden="true">${reserved ? '!' : mark}</div>
<div>
<h1>${title}${reserved ? ', with reservations' : ''}</h1>
<p>${means}</p>
${reserved ? html`<p>${caution(report)}</p>` : undefined}
</div>`;
  if (reserved) return html`<header class="banner warn">${body}</header>`;
  switch (report.verdict) {
    case 'verified':
      return html`<header class="banner good">${body}</header>`;
    case 'refused':
      return html`<header class="banner bad">${body}</header>`;
    case 'warned':
    case 'skipped':
    case 'failed':
      return html`<header class="banner warn">${body}</header>`;
  }
}

function errorCard({ code, message, hint, context }: ReportedError, { verdict }: ReportDocument): Html {
  const names = context.names ?? [];
  return html`<section class="card">
<h2>Why it was ${verdict === 'refused' ? 'refused' : 'not finished'}</h2>
<p>${message}</p>
${dl([
  ['Reason code', html`<code>${code}</code>`],
  ['Expected', context.expected === undefined ? undefined : html`<code>${context.expected}</code>`],
  ['Found', context.found === undefined ? undefined : html`<code>${context.found}</code>`],
  ['Path', context.path === undefined ? undefined : html`<code>${context.path}</code>`],
  ['Address', context.uri === undefined ? undefined : html`<code>${context.uri}</code>`],
  [
    'Names',
    names.length === 0
      ? undefined
      : html`${listOf({ left: 20_000 }, names, 20)}${context.count === undefined || context.count <= names.length ? '' : `${context.count} in all`}`,
  ],
  ['What now', html`<strong>${hint}</strong>`],
])}
</section>`;
}

/** What the verdict does not cover, before anything that looks like good news. */
function reservations({ relaxations, models }: ReportDocument, room: Room): Html | undefined {
  const warnings = models.flatMap(({ warnings }) => warnings);
  const partial = models.reduce((sum, { notRequested }) => sum + notRequested.length, 0);
  if (relaxations.length + warnings.length + partial === 0) return undefined;
  return html`<section class="card warn">
<h2>What to know before relying on it</h2>
${relaxations.length === 0 ? undefined : html`<p>Settings that made the check weaker than the default:</p>${listOf(room, relaxations, 100)}`}
${partial === 0 ? undefined : html`<p>${plural(partial, 'signed file')} not asked for (--include, --exclude), and so neither fetched nor checked.</p>`}
${warnings.length === 0 ? undefined : html`<p>Warnings:</p>${listOf(room, warnings, 200)}`}
</section>`;
}

function runCard({ command, tool, startedAt, exitCode, trust, policies, models }: ReportDocument, room: Room): Html {
  return html`<section class="card">
<h2>This run</h2>
${dl([
  ['Command', html`<code>model-gate ${command}</code>${command === 'verify' ? ' (in place, nothing written)' : ' (download, check, publish)'}`],
  ['Started', html`<code>${startedAt}</code>`],
  ['Models', models.length],
  ['Trust', trust === undefined ? 'not set up' : html`${TRUST[trust.method] ?? trust.method}${listOf(room, trust.anchors, 50)}`],
  [
    'Policies',
    policies &&
      (policies === 'unreadable'
        ? 'in a form that this version cannot show'
        : listOf(
            room,
            policies.map(({ layer, name, sha256 }) => `${layer}: ${name}${sha256 === undefined ? '' : ` (sha256:${sha256})`}`),
            20,
          )),
  ],
  ['Exit code', exitCode],
  ['Program', `model-gate ${tool.version}, with the public-good Sigstore root of ${tool.embeddedRootDate}`],
])}
</section>`;
}

const TRUST: Readonly<Record<string, string>> = {
  key: 'public keys that the operator gave',
  certificate: 'certificate authorities that the operator gave',
  sigstore: 'a Sigstore instance, and identities that the operator named',
};

function footer({ reportVersion }: ReportDocument, { sha256 }: Origin): Html {
  return html`<footer>
<p>This page shows a file (<code>${reportVersion}</code>, SHA-256 <code>${sha256}</code>). Nobody signs reports: believe it as far as you believe where the file comes from,
and verify again where it matters. Characters that are invisible or change the order of text are shown by number, like <span class="odd">U+202E</span>; long texts are cut.</p>
</footer>`;
}
