// SPDX-License-Identifier: Apache-2.0
import type { ReportDocument, ReportedModel, ReportedSigner } from './read.ts';

/** How a verdict is put to people; the mark and the word say the same. */
export const VERDICTS = {
  verified: { title: 'Verified', mark: '✓', means: 'Somebody the operator trusts signed this, and every file is byte for byte what was signed.' },
  warned: {
    title: 'Let through with warnings',
    mark: '!',
    means: 'The policy only warns here: without that, this would have been refused. It was not verified in full.',
  },
  skipped: { title: 'Not checked', mark: '!', means: 'Verification is switched off: nobody checked who made this model, or whether it is whole.' },
  refused: { title: 'Refused', mark: '✗', means: 'Do not run this model. Trying again, unchanged, gives the same answer.' },
  failed: {
    title: 'Not finished',
    mark: '–',
    means: 'The check could not be completed. Nothing is known against the model, and nothing for it: nothing was released.',
  },
} as const satisfies Readonly<Record<ReportDocument['verdict'], { title: string; mark: string; means: string }>>;

/** Why a good verdict is not the whole story; undefined when it is. */
export function caution({ relaxations, models }: ReportDocument): string | undefined {
  const reasons = [
    ...(models.some(({ signer }) => signer?.kind === 'nobody') ? ['nobody who is trusted signed it'] : []),
    ...(relaxations.length > 0 ? ['the check was made weaker than the default'] : []),
    ...(models.some(({ partial }) => partial) ? ['not all signed files were asked for'] : []),
    ...(models.some(({ warnings }) => warnings.length > 0) ? ['there are warnings'] : []),
  ];
  return reasons.length === 0 ? undefined : `Read on before relying on it: ${reasons.join('; ')}.`;
}

/** What has to be established for a model, in the order in which it is; the first that was not is where the work ended. */
export function stepsOf(model: ReportedModel, relaxations: readonly string[]): readonly { readonly what: string; readonly done: boolean }[] {
  const { bundle, signer, manifest, verdict, files, notRequested } = model;
  // Warn mode lets go on what was found to be wrong: nothing behind the manifest is claimed for it.
  const released = verdict === 'verified';
  const signed = manifest === undefined ? '' : ` ${manifest.files}`;
  return [
    { what: 'A bundle was found', done: bundle !== undefined },
    { what: 'Its signature holds, and its signer is trusted', done: signer !== undefined && signer.kind !== 'nobody' },
    { what: 'The signed manifest was read', done: manifest !== undefined },
    {
      what: released ? `${plural(files.length, 'file')} compared with the signed digests` : `All${signed} files compared with the signed digests`,
      done: released,
    },
    { what: completeness(notRequested, relaxations), done: released },
  ];
}

function completeness(notRequested: readonly string[], relaxations: readonly string[]): string {
  if (notRequested.length > 0) return 'Complete as far as was asked for';
  return relaxations.some((name) => name.startsWith('--ignore-')) ? 'Complete; unsigned files may be in it' : 'Complete, with nothing unsigned in it';
}

export type Moment = { readonly at: string; readonly what: string };

/** Everything that has a time, in order. */
export function timelineOf(model: ReportedModel): readonly Moment[] {
  const moments: Moment[] = [{ at: model.startedAt, what: 'the check of this model began' }, ...signingMoments(model.signer)];
  if (model.verdict !== 'unfinished') {
    const end = new Date(Date.parse(model.startedAt) + model.ms);
    const what = ENDS[model.verdict];
    // Beyond what a date can hold, nobody waited for it.
    if (!Number.isNaN(end.getTime())) moments.push({ at: end.toISOString(), what });
  }
  return moments
    .map((moment, i) => ({ moment, i }))
    .sort((a, b) => Date.parse(a.moment.at) - Date.parse(b.moment.at) || a.i - b.i)
    .map(({ moment }) => moment);
}

const ENDS: Readonly<Record<Exclude<ReportedModel['verdict'], 'unfinished'>, string>> = {
  verified: 'the model was verified',
  warned: 'the model was let through',
  skipped: 'the model was let through unchecked',
  refused: 'the model was refused',
  failed: 'the check was given up',
};

function signingMoments(signer: ReportedSigner | undefined): readonly Moment[] {
  switch (signer?.kind) {
    case undefined:
    case 'nobody':
      return [];
    case 'key':
      return datedMoments(signer.times ?? []);
    case 'certificate':
      return [
        { at: signer.notBefore, what: 'the signing certificate became valid' },
        { at: signer.notAfter, what: 'the signing certificate expires' },
        ...datedMoments(signer.times ?? (signer.timeSource === 'timestamp' ? [{ source: 'timestamp', at: signer.checkedAt }] : [])),
      ];
    case 'sigstore':
      return datedMoments(signer.times);
  }
}

function datedMoments(times: readonly { readonly source: 'log' | 'timestamp'; readonly at: string }[]): readonly Moment[] {
  return times.map(({ source, at }) => ({ at, what: source === 'log' ? 'signed, says the transparency log' : 'signed, says a timestamp authority' }));
}

/** `1 file`, `2 files`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
