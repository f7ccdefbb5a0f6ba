// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { AppError } from '../base/errors.ts';
import type { Manifest } from '../oms/manifest.ts';
import { readUnvouchedManifest } from '../oms/statement.ts';
import type { Plan } from '../plan/plan.ts';
import type { Signer } from '../trust/trust.ts';
import type { Examined } from './examine.ts';

/** Bundles that say the same of every file: their signatures count together. */
export type Group = { readonly manifest: Manifest; readonly members: readonly Examined[]; readonly votes: readonly { readonly signer: Signer }[] };

/** Bundles whose payload somebody vouches for, by what they say. The root digest alone would not do: it binds no names. */
export function groupByManifest(examined: readonly Examined[]): readonly Group[] {
  const groups = new Map<string, Examined[]>();
  for (const one of examined) {
    if (one.manifest === undefined) continue;
    const same = contentOf(one.manifest);
    groups.set(same, [...(groups.get(same) ?? []), one]);
  }
  return [...groups.values()].map((members) => groupOf(members));
}

/** For warn mode: what the first readable bundle says, though nobody vouches for it. @throws the first thing that went wrong */
export function nobodys(examined: readonly Examined[], plan: Plan): Group {
  for (const one of examined) {
    if (one.parsed === undefined) continue;
    const manifest = readUnvouchedManifest(one.parsed, plan.limits.entries);
    return { manifest, members: [one], votes: [{ signer: manifest.signer }] };
  }
  throw examined[0]?.errors[0] ?? new AppError('UNSIGNED', 'there is no bundle');
}

function groupOf(members: readonly Examined[]): Group {
  const manifests = members.flatMap((one) => one.manifest ?? []);
  const [first] = manifests;
  if (first === undefined) throw new AppError('INTERNAL', 'a group without a manifest');
  // What one signer left out, another may have wanted checked: only what all of them leave out is left out.
  const manifest: Manifest = {
    ...first,
    ignored: first.ignored.filter((path) => manifests.every((other) => other.ignored.includes(path))),
    symlinks: manifests.every((other) => other.symlinks === 'follow') ? 'follow' : 'reject',
  };
  return { manifest, members, votes: members.flatMap((one) => (one.signer === undefined ? [] : [{ signer: one.signer }])) };
}

function contentOf({ files, algorithm, method, predicateType, shardSizeBytes }: Manifest): string {
  const hash = createHash('sha256').update(JSON.stringify([predicateType, method, algorithm, shardSizeBytes ?? 0]));
  for (const { path, parts } of files)
    hash.update(JSON.stringify([path, parts.map(({ range, digest }) => [range === 'whole' ? range : [range.start, range.end], digest])]));
  return hash.digest('hex');
}
