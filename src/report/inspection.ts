// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import type { Claims } from '../oms/statement.ts';
import type { ClaimedSigner } from '../trust/claims.ts';
import type { Signer } from '../trust/trust.ts';
import { formatBytes } from './progress.ts';

/** What `inspect` found, as the pipeline hands it over. */
export type InspectionFacts = {
  readonly uri: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly method: string;
  readonly signer?: Signer;
  readonly claimed: ClaimedSigner;
  readonly manifest: Claims;
};

const UNVERIFIED = 'UNVERIFIED: nobody has checked this signature. Whoever made this file chose every word below.';
const HOW = 'Give --public-key, --ca, or --identity with --issuer to check it.';
const VERIFIED = 'VERIFIED: the signature holds with the trust given. The files of the model were not looked at: that is what verify does.';

/** Lines of files that make one piece of text. */
const LINES = 1000;

/** For people, in pieces: a list of files can be long. The verdict stands above and below, as such lists scroll. */
export function* inspectionText(facts: InspectionFacts): Iterable<string> {
  const { manifest } = facts;
  const verdict = facts.signer === undefined ? `*** ${UNVERIFIED} ***\n*** ${HOW} ***` : `*** ${VERIFIED} ***`;
  const rows: [string, string][] = [
    ['bundle', `${facts.uri} (${formatBytes(facts.sizeBytes)}, sha256:${facts.sha256})`],
    ['method', facts.method],
    ...signerRows(facts),
    ['subject', printable(manifest.subjectName, 300)],
    ['root digest', `sha256:${manifest.rootDigest}`],
    ['predicate', manifest.predicateType],
    ['hashed as', `${manifest.method}, ${manifest.algorithm}${manifest.shardSizeBytes === undefined ? '' : `, shards of ${manifest.shardSizeBytes} bytes`}`],
    ['symlinks', manifest.symlinks === 'follow' ? 'followed' : 'refused'],
    ...manifest.ignored.map((path): [string, string] => ['ignored', printable(path)]),
    ['files', `${manifest.files.length}`],
  ];
  const mark = facts.signer === undefined ? '? ' : '  ';
  const line = (file: ManifestFile): string => `${mark}  ${file.parts[0].digest}${shardNote(file)}  ${printable(file.path)}`;
  yield [verdict, ...rows.map(([name, value]) => `${mark}${name.padEnd(12)} ${value}`), ''].join('\n');
  for (let i = 0; i < manifest.files.length; i += LINES)
    yield `${manifest.files
      .slice(i, i + LINES)
      .map(line)
      .join('\n')}\n`;
  yield `${verdict}\n`;
}

/** For machines: `verified` first. */
export function inspectionJson({ signer, claimed, manifest, ...bundle }: InspectionFacts): object {
  return {
    verified: signer !== undefined,
    notice: signer === undefined ? `${UNVERIFIED} ${HOW}` : VERIFIED,
    bundle,
    ...(signer !== undefined && { signer }),
    claimed,
    manifest: { ...manifest, rootDigest: `sha256:${manifest.rootDigest}`, fileCount: manifest.files.length },
  };
}

function signerRows({ signer, claimed }: InspectionFacts): [string, string][] {
  const iso = (at: Date): string => (Number.isNaN(at.getTime()) ? 'an unreadable date' : at.toISOString());
  const rows: [string, string][] = [];
  if (signer?.kind === 'key') rows.push(['signed by', `key sha256:${signer.fingerprint} (${signer.curve})`]);
  else if (signer?.kind === 'certificate') rows.push(['signed by', printable(`'${signer.subject}', path ends at '${signer.anchor}'`, 400)]);
  else if (signer?.kind === 'sigstore') rows.push(['signed by', printable(`${signer.identity} (issuer ${signer.issuer})`, 400)]);
  if (claimed.hint !== undefined) rows.push(['key hint', printable(claimed.hint, 200)]);
  if (claimed.identity !== undefined) rows.push(['identity', printable(`${claimed.identity} (issuer ${claimed.issuer})`, 400)]);
  for (const certificate of claimed.certificates) {
    if (certificate === 'unreadable') rows.push(['certificate', 'unreadable']);
    else {
      const names = certificate.names.length === 0 ? '' : ` (${certificate.names.join(', ')})`;
      rows.push(['certificate', printable(`'${certificate.subject}'${names} issued by '${certificate.issuer}'`, 400)]);
      rows.push(['', `valid ${iso(certificate.notBefore)} to ${iso(certificate.notAfter)}, sha256:${certificate.fingerprint}`]);
    }
  }
  for (const { source, at, logIndex } of claimed.times) rows.push([source, `${iso(at)}${logIndex === undefined ? '' : ` (entry ${printable(logIndex, 40)})`}`]);
  return rows;
}

function shardNote(file: ManifestFile): string {
  return file.parts[0].range === 'whole' ? '' : ` (first of ${file.parts.length} shards)`;
}
