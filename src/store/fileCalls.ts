// SPDX-License-Identifier: Apache-2.0
import fs, { type Stats } from 'node:fs';
import { promisify } from 'node:util';

/** What is asked of the system for each file of a model. All throw what Node's calls of these names throw. */
export type FileCalls = {
  open(path: Buffer, flags: number, mode: number): Promise<number> | number;
  fstat(fd: number): Promise<Stats> | Stats;
  fchmod(fd: number, mode: number): Promise<void> | void;
  /** Makes the file's bytes durable, where anything can. */
  fsync(fd: number): Promise<void> | void;
  rename(from: Buffer, to: Buffer): Promise<void> | void;
  close(fd: number): Promise<void> | void;
};

/** By way of Node's threads: a disk, or a server, takes its time, and this thread has others to serve. */
export const VIA_THREADS: FileCalls = {
  open: promisify(fs.open),
  fstat: promisify<number, Stats>(fs.fstat),
  fchmod: promisify(fs.fchmod),
  fsync: promisify(fs.fsync),
  rename: promisify(fs.rename),
  close: promisify<number, void>(fs.close),
};

/** Memory takes none: going to another thread and back costs more than the call, which many small files feel (docs/performance.md). */
export const AT_ONCE: FileCalls = {
  open: fs.openSync,
  fstat: fs.fstatSync,
  fchmod: fs.fchmodSync,
  fsync() {},
  rename: fs.renameSync,
  close: fs.closeSync,
};
