// SPDX-License-Identifier: Apache-2.0
import type { Event } from '../base/events.ts';

/** How far a model has come. `totalBytes` grows as lengths become known; `complete` says whether all are. */
export type Progress = {
  /** Undefined while an archive is unpacked that alone says what is in it. */
  readonly files: number | undefined;
  readonly filesDone: number;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly complete: boolean;
  readonly bytesPerSecond: number;
  /** Undefined until lengths and a rate are known. */
  readonly secondsLeft: number | undefined;
};

/** Sums up events; `now` is in ms. */
export function createProgress(now: () => number): { take(event: Event): void; read(): Progress } {
  let started = now();
  let files: number | undefined = 0;
  let filesDone = 0;
  let bytes = 0;
  let known = new Map<string, number>();
  let total: number | undefined;
  return {
    take(event) {
      switch (event.kind) {
        case 'manifestRead':
        case 'treeRead':
        case 'unpacking':
          started = now();
          files = event.files;
          filesDone = 0;
          bytes = 0;
          known = new Map();
          total = 'totalBytes' in event ? event.totalBytes : undefined;
          return;
        case 'sizeKnown':
          known.set(event.path, event.sizeBytes);
          return;
        case 'bytes':
          bytes += event.bytes;
          return;
        case 'fileDone':
          filesDone++;
          return;
        default:
          return;
      }
    },
    read() {
      const seconds = Math.max(0.001, (now() - started) / 1000);
      const totalBytes = total ?? [...known.values()].reduce((sum, size) => sum + size, 0);
      const complete = total !== undefined || (files !== undefined && known.size >= files);
      const bytesPerSecond = bytes / seconds;
      const left = complete && bytesPerSecond > 0 ? Math.max(0, totalBytes - bytes) / bytesPerSecond : undefined;
      return { files, filesDone, bytes, totalBytes, complete, bytesPerSecond, secondsLeft: left };
    },
  };
}

/** 1536 → '1.5 KiB'. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${power === 0 ? bytes : (bytes / 2 ** (10 * power)).toFixed(1)} ${units[power]}`;
}

export function formatProgress(p: Progress): string {
  const share = p.complete && p.totalBytes > 0 ? ` ${Math.min(100, Math.floor((100 * p.bytes) / p.totalBytes))}%` : '';
  const eta = p.secondsLeft === undefined ? '' : `, ${Math.ceil(p.secondsLeft)} s left`;
  return `${p.filesDone}${p.files === undefined ? '' : `/${p.files}`} files,${share} ${formatBytes(p.bytes)}${p.complete ? ` of ${formatBytes(p.totalBytes)}` : ''} at ${formatBytes(Math.round(p.bytesPerSecond))}/s${eta}`;
}
