// SPDX-License-Identifier: Apache-2.0

import { printable } from '../base/redact.ts';
import type { ManifestFile } from '../oms/manifest.ts';
import type { FileEvidence, ModelEvidence } from '../report/evidence.ts';

/** A signed file as it stands. `identity` differs when it was replaced or written to. */
export type Candidate = { readonly file: ManifestFile; readonly sizeBytes: number; readonly identity: string };

/** Which of the signed files are read, and what is known of the others. */
export type Choice = { readonly read: readonly Candidate[]; readonly unchanged: readonly FileEvidence[] };

/** Decides once per check, after the tree was found to be complete. `judges`: differs when another bundle or policy decides. */
export type Reading = {
  choose(candidates: readonly Candidate[], judges: string): Choice;
  /** `one`: beside a server that needs the others. */
  readonly threads: 'all' | 'one';
};

export type Scope =
  | { readonly kind: 'all' }
  /** What has changed since it was read. */
  | { readonly kind: 'changed' }
  /** That, and slices `first` to `first + of` of `parts`, by bytes in the order of names. */
  | { readonly kind: 'share'; readonly first: number; readonly of: number; readonly parts: number };

type Known = { readonly identity: string; readonly evidence: FileEvidence };

/**
 * Remembers which files were read and found right, so that a later check need not read them again. A file counts as the same while its
 * device, inode, length and time of change are, and only under the same bundle and policies.
 */
export class Memory implements Reading {
  readonly threads = 'one';
  #scope: Scope = { kind: 'all' };
  #known: ReadonlyMap<string, Known> = new Map();
  #judges = '';
  #chosen: { readonly candidates: readonly Candidate[]; readonly judges: string } | undefined;

  /** What the next check is to read. */
  expect(scope: Scope): void {
    this.#scope = scope;
    this.#chosen = undefined;
  }

  choose(candidates: readonly Candidate[], judges: string): Choice {
    this.#chosen = { candidates, judges };
    const due = dueIn(candidates, this.#scope);
    const read: Candidate[] = [];
    const unchanged: FileEvidence[] = [];
    for (const candidate of candidates) {
      const known = judges === this.#judges ? this.#known.get(printable(candidate.file.path)) : undefined;
      if (known === undefined || known.identity !== candidate.identity || due(candidate)) read.push(candidate);
      else unchanged.push({ ...known.evidence, origin: 'unchanged' });
    }
    return { read, unchanged };
  }

  /** The check succeeded: this is how things were when it listed them. */
  keep(model: ModelEvidence | undefined): void {
    if (this.#chosen === undefined || model === undefined) {
      this.forget();
      return;
    }
    const identities = new Map(this.#chosen.candidates.map(({ file, identity }) => [printable(file.path), identity]));
    this.#judges = this.#chosen.judges;
    this.#known = new Map(model.files.map((evidence) => [evidence.path, { identity: identities.get(evidence.path) ?? '', evidence }]));
  }

  /** Everything is read again. */
  forget(): void {
    this.#known = new Map();
  }
}

/** A file belongs to the slice that its first byte lies in: it is never read in pieces, as its digest is one of the whole. */
function dueIn(candidates: readonly Candidate[], scope: Scope): (candidate: Candidate) => boolean {
  switch (scope.kind) {
    case 'all':
      return () => true;
    case 'changed':
      return () => false;
    case 'share': {
      const ordered = candidates.toSorted((a, b) => (a.file.path < b.file.path ? -1 : 1));
      // Empty files count as a byte, so that each has a place.
      const total = ordered.reduce((sum, { sizeBytes }) => sum + Math.max(1, sizeBytes), 0);
      const due = new Set<Candidate>();
      let position = 0;
      for (const candidate of ordered) {
        const slice = Math.floor((position / total) * scope.parts);
        if ((slice - scope.first + scope.parts) % scope.parts < scope.of) due.add(candidate);
        position += Math.max(1, candidate.sizeBytes);
      }
      return (candidate) => due.has(candidate);
    }
  }
}
