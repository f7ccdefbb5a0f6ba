// SPDX-License-Identifier: Apache-2.0
import { verifyAgain } from './again.ts';
import { stepsOf, timelineOf } from './facts.ts';
import { dl, listOf, type Room, shownOf, tableOf } from './htmlTables.ts';
import { type Html, html } from './markup.ts';
import { formatBytes } from './progress.ts';
import type { ReportDocument, ReportedFile, ReportedModel, ReportedSigner } from './read.ts';

const MAX_FILES = 1000;

/** Everything about one model. */
export function modelSection(report: ReportDocument, model: ReportedModel, room: Room): Html {
  return html`<section>
<h2><span class="kind">Model</span> ${model.source}</h2>
<div class="columns">
${stepsCard(report, model)}
${signerCard(model, room)}
${contentCard(model)}
<div>
${timelineCard(model, room)}
${againCard(report, model)}
</div>
</div>
${decisionsTable(model, room)}
${waivedCard(model, room)}
${signaturesTable(model, room)}
${filesTable(model, room)}
${model.notRequested.length === 0 ? undefined : html`<section class="card"><h3>Signed, but not asked for</h3>${listOf(room, model.notRequested, 200)}</section>`}
</section>
`;
}

function stepsCard({ relaxations, error }: ReportDocument, model: ReportedModel): Html {
  const steps = stepsOf(model, relaxations);
  const ended = steps.findIndex(({ done }) => !done);
  const items = steps.map(({ what, done }, i) => {
    if (done) return html`<li><span class="mark is-good" aria-hidden="true">✓</span><span>${what}</span></li>`;
    if (i > ended && model.error !== undefined)
      return html`<li><span class="mark" aria-hidden="true">·</span><span class="note">${what}: not reached</span></li>`;
    const why = model.error === undefined ? 'not established' : html`ended here with <code>${model.error.code}</code>`;
    return html`<li><span class="mark is-bad" aria-hidden="true">✗</span><span>${what}: <span class="is-bad">${why}</span></span></li>`;
  });
  return html`<section class="card"><h3>What was checked</h3><ol class="steps">${items}</ol>${model.error === undefined || model.error.message === error?.message ? undefined : html`<p>${model.error.message}</p>`}</section>`;
}

function signerCard({ signer }: ReportedModel, room: Room): Html {
  return html`<section class="card"><h3>Who signed</h3>${signer === undefined ? html`<p>Not established: no signature was found to hold.</p>` : signerFacts(signer, room)}</section>`;
}

function signerFacts(signer: ReportedSigner, room: Room): Html {
  switch (signer.kind) {
    case 'key':
      return dl([
        ['Key', html`<code>sha256:${signer.fingerprint}</code>`],
        ['Kind', `ECDSA, ${signer.curve}`],
        ['Name', 'none: a key names nobody. Compare its fingerprint with the publisher’s.'],
      ]);
    case 'certificate':
      return dl([
        ['Subject', signer.subject],
        ['Names', signer.names.length === 0 ? undefined : listOf(room, signer.names, 20)],
        ['Issued by', signer.issuer],
        ['Path ends at', signer.anchor],
        ['Valid', html`<code>${signer.notBefore}</code> to <code>${signer.notAfter}</code>`],
        ['Checked for', html`<code>${signer.checkedAt}</code>, ${TIME_SOURCES[signer.timeSource]}`],
        ['Fingerprint', html`<code>sha256:${signer.fingerprint}</code>`],
        ['Serial', html`<code>${signer.serial}</code>`],
      ]);
    case 'sigstore':
      return dl([
        ['Identity', html`<strong>${signer.identity}</strong>`],
        ['Issuer', signer.issuer],
        [
          'Log entries',
          signer.logs.length === 0
            ? undefined
            : listOf(
                room,
                signer.logs.map(({ logId, logIndex }) => `${logIndex} in log ${logId}`),
                10,
              ),
        ],
        ['Root', signer.root],
      ]);
    case 'nobody':
      return html`<p class="is-bad">Nobody who is trusted.</p><p>The policy only warns, or this would have been refused.</p>`;
  }
}

const TIME_SOURCES: Readonly<Record<Extract<ReportedSigner, { kind: 'certificate' }>['timeSource'], string>> = {
  clock: 'by the clock of the machine',
  timestamp: 'by a timestamp',
  notBefore: 'the start of its validity: an expired certificate was allowed',
};

function contentCard({ bundle, manifest, archive, destination, formats, fileCount, totalBytes }: ReportedModel): Html {
  return html`<section class="card"><h3>What was signed</h3>${dl([
    ['Root digest', manifest && html`<code>sha256:${manifest.rootDigest}</code>`],
    ['Name', manifest && html`${manifest.subjectName} <span class="note">(the signer’s choice, information only)</span>`],
    ['Format', manifest && html`<code>${manifest.predicateType}</code>`],
    ['Hashed as', manifest && `${manifest.method}, ${manifest.algorithm}`],
    ['Signed files', manifest?.files],
    ['Checked files', `${fileCount} (${formatBytes(totalBytes)})`],
    ['Formats found', formats === 'unreadable' ? 'in a form that this version cannot show' : formats && formatsFound(formats)],
    ['Bundle', bundle && html`<code>${bundle.uri}</code> (${formatBytes(bundle.sizeBytes)})`],
    ['Its digest', bundle && html`<code>sha256:${bundle.sha256}</code>`],
    ['Archive', archive && html`<code>${archive.file.path}</code> (${formatBytes(archive.file.sizeBytes)}): ${ARCHIVES[archive.signed]}`],
    ['Destination', destination && html`<code>${destination}</code>`],
  ])}</section>`;
}

/** By content, the most frequent first; a file can be several things. */
function formatsFound(files: readonly { readonly formats: readonly string[] }[]): string {
  const counts = new Map<string, number>();
  for (const { formats } of files) for (const format of formats) counts.set(format, (counts.get(format) ?? 0) + 1);
  const ordered = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, MAX_FORMATS);
  return ordered.map(([format, count]) => `${format.slice(0, 40)} (${count})`).join(', ');
}

/** More than there are; a report may claim any. */
const MAX_FORMATS = 40;

const ARCHIVES = { whole: 'signed as a whole', members: 'its members are signed, one by one' } as const;

function timelineCard(model: ReportedModel, room: Room): Html {
  const { shown, rest } = shownOf(room, timelineOf(model), 20, ({ at, what }) => html`<dt><code>${at}</code></dt><dd>${what}</dd>`);
  return html`<section class="card"><h3>Timeline</h3><dl>${shown}</dl>${rest === 0 ? undefined : html`<p class="note">and ${rest} more</p>`}</section>`;
}

/** How each policy decided; `unreadable` when another version wrote that in a form not known here. */
function decisionsTable({ decisions }: ReportedModel, room: Room): Html | undefined {
  if (decisions === undefined) return undefined;
  if (decisions === 'unreadable') return unreadable('decisions');
  return tableOf(room, {
    caption: 'How the policies decided',
    heads: html`<th scope="col">Policy</th><th scope="col">Rule</th><th scope="col">Mode</th><th scope="col">Verdict</th><th scope="col">Why</th>`,
    items: decisions,
    max: 20,
    noun: 'decision',
    row: ({ layer, rule, mode, verdict, findings }) =>
      html`<tr><th scope="row">${layer}</th><td>${rule ?? 'none is about this model'}</td><td>${mode}</td><td>${verdict}</td><td>${findings.length === 0 ? undefined : listOf(room, findings.map(line), 50)}</td></tr>`,
  });
}

function waivedCard({ waived }: ReportedModel, room: Room): Html | undefined {
  if (waived === undefined) return undefined;
  if (waived === 'unreadable') return unreadable('waived');
  return html`<section class="card warn"><h3>Would have been refused, but for warn mode</h3>${listOf(room, waived.map(line), 200)}</section>`;
}

function line({ code, message }: { readonly code: string; readonly message: string }): string {
  return `${code}: ${message}`;
}

function signaturesTable({ signatures }: ReportedModel, room: Room): Html | undefined {
  if (signatures === undefined) return undefined;
  if (signatures === 'unreadable') return unreadable('signatures');
  return tableOf(room, {
    caption: `Signatures: ${signatures.length}`,
    heads: html`<th scope="col">Bundle</th><th scope="col">Signer</th><th scope="col">Verdict</th>`,
    items: signatures,
    max: 100,
    noun: 'signature',
    row: ({ bundle, signer, verdict, satisfies, problems }) => html`<tr>
<th scope="row"><code>${bundle}</code></th>
<td>${signer === undefined ? 'not established' : signerFacts(signer, room)}</td>
<td>${SIGNATURES[verdict] ?? verdict}${satisfies.length === 0 ? undefined : listOf(room, satisfies, 20)}${problems.length === 0 ? undefined : listOf(room, problems, 20)}</td></tr>
`,
  });
}

const SIGNATURES: Readonly<Record<string, string>> = { counted: 'counted', otherManifest: 'over another manifest: not counted', rejected: 'rejected' };

function unreadable(section: string): Html {
  return html`<section class="card warn"><p>The report has a section “${section}” in a form that this version of model-gate cannot show: see the JSON report.</p></section>`;
}

function filesTable(model: ReportedModel, room: Room): Html | undefined {
  const { files, totalBytes } = model;
  if (files.length === 0) return undefined;
  return tableOf(room, {
    caption: `Files: ${files.length}, ${formatBytes(totalBytes)}`,
    heads: html`<th scope="col">Name</th><th scope="col" class="number">Size</th><th scope="col">Where it came from</th><th scope="col">Digest</th>`,
    items: files,
    max: MAX_FILES,
    noun: 'file',
    row: fileRow,
  });
}

function fileRow({ path, sizeBytes, origin, algorithm, parts: [part, ...others] }: ReportedFile): Html {
  const shards = others.length === 0 ? undefined : html` <span class="note">first of ${others.length + 1} shards</span>`;
  return html`<tr>
<th scope="row"><code>${path}</code></th><td class="number">${formatBytes(sizeBytes)}</td><td>${ORIGINS[origin] ?? origin}</td><td class="digest"><code>${algorithm}:${part?.digest}</code>${shards}</td></tr>
`;
}

const ORIGINS: Readonly<Record<string, string>> = {
  fetched: 'fetched',
  unpacked: 'unpacked',
  kept: 'already there',
  resumed: 'earlier start',
  inPlace: 'in place',
  unchanged: 'in place before',
};

function againCard(report: ReportDocument, model: ReportedModel): Html | undefined {
  const lines = verifyAgain(report, model);
  if (lines === undefined) return undefined;
  return html`<section class="card"><h3>To verify again</h3>
<p>On the machine or in the pod that has the model. Take whom to trust from the publisher, never from a report.</p>
<pre><code>${lines.map((line, i) =>
    i === 0
      ? html`${line}`
      : html` \\
  ${line}`,
  )}</code></pre>
</section>`;
}
