// SPDX-License-Identifier: Apache-2.0
import { type FSWatcher, watch } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WatchPlan } from '../plan/plan.ts';
import type { MaterialRef } from '../plan/trust.ts';
import { fingerprint, type Subject } from '../store/fingerprint.ts';
import type { Changes } from './rounds.ts';

/** The kernel gives a user some 8000 watches, for all of his processes. What is above is only polled. */
const MAX_WATCHES = 512;
/** Looking takes at most one part in so many of the time; also when the kernel reports all the time. */
const IDLE_PARTS = 100;
const IDLE_PARTS_REPORTED = 10;
const GATHER_MS = 50;

/** What a change of may change the verdict: the model, its bundle, and the files that say whom to trust. */
export function subjectsOf({ check }: WatchPlan, floorPath: string): readonly Subject[] {
  const model = check.model.spec.path.replace(/(?<=.)\/+$/, '');
  const { trust, policy, bundle } = check;
  const refs: MaterialRef[] = policy === undefined ? [] : [policy];
  if (trust?.kind === 'key') refs.push(...trust.keys);
  if (trust?.kind === 'certificate') refs.push(...trust.certificates, ...trust.timestampAuthorities);
  if (trust?.kind === 'sigstore' && (trust.root.kind === 'trusted-root' || trust.root.kind === 'trust-config')) refs.push(trust.root.ref);
  const paths: string[] = refs.flatMap((ref) => (ref.kind === 'file' ? [ref.path] : []));
  if (bundle?.spec.kind === 'file') paths.push(bundle.spec.path);
  const besides = bundle === undefined ? [`${model}.sig`, `${model}.sigstore.json`] : [];
  return [
    { path: model, kind: 'deep' },
    ...[...paths, floorPath].map((path) => ({ path, kind: 'mounted' as const })),
    ...besides.map((path) => ({ path, kind: 'beside' as const })),
  ];
}

export type WatchedChanges = Changes & Disposable & { /** There is more to look at than before. */ look(): void };

/** Told by the kernel where it can, and polled in any case: network file systems do not report what others do to them. */
export function watchChanges(
  subjects: () => readonly Subject[],
  { pollMs, maxEntries }: { readonly pollMs: number; readonly maxEntries: number },
): WatchedChanges {
  const watchers = new Map<string, { readonly inode: bigint; readonly watcher: FSWatcher }>();
  let known = '';
  let costMs = 0;
  let changed = Promise.withResolvers<void>();

  async function look(): Promise<string> {
    const start = performance.now();
    const { digest, directories } = await fingerprint(subjects(), maxEntries);
    costMs = performance.now() - start;
    const wanted = new Map([...directories].slice(0, MAX_WATCHES));
    for (const [path, { inode }] of watchers) if (wanted.get(path) !== inode) close(path);
    for (const [path, inode] of wanted) open(path, inode);
    return digest;
  }

  function open(path: string, inode: bigint): void {
    if (watchers.has(path)) return;
    try {
      const watcher = watch(path, { persistent: false }, () => changed.resolve());
      watcher.on('error', () => {
        close(path);
        changed.resolve();
      });
      watchers.set(path, { inode, watcher });
    } catch {
      // Not there, or no watches left: it is polled.
    }
  }

  function close(path: string): void {
    watchers.get(path)?.watcher.close();
    watchers.delete(path);
  }

  return {
    look: () => changed.resolve(),
    async mark() {
      changed = Promise.withResolvers();
      known = await look();
    },
    async noticed(signal) {
      for (;;) {
        const stop = new AbortController();
        const tick = sleep(Math.max(pollMs, IDLE_PARTS * costMs), 'tick' as const, { signal: AbortSignal.any([signal, stop.signal]) });
        const first = await Promise.race([changed.promise, tick]).finally(() => stop.abort());
        signal.throwIfAborted();
        if (first !== 'tick') {
          await sleep(Math.max(GATHER_MS, IDLE_PARTS_REPORTED * costMs), undefined, { signal });
          changed = Promise.withResolvers();
        }
        // What the kernel reports may be nothing, or be undone.
        const now = await look();
        if (now !== known) return;
      }
    },
    [Symbol.dispose]() {
      for (const path of [...watchers.keys()]) close(path);
    },
  };
}
