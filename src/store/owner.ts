// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { type FileHandle, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemErrorCode } from '../base/errors.ts';
import { type Dir, ignoreMissing, isPrivate } from './dir.ts';

const OWNER = 'owner';
const TAKEOVER = 'takeover';
const HEARTBEAT_MS = 2000;
/** A heartbeat older than this, by the file system's own clock, belongs to a process that is gone. */
const SILENT_MS = 6000;

/** The process that works in a staging directory. `pid` means something only within `pidNamespace` of `boot`. */
type Owner = { readonly boot: string; readonly pidNamespace: string; readonly pid: number; readonly startTime: string };

/**
 * Makes this process the owner of a staging directory and keeps its heartbeat; undefined while another one works there.
 * A dead owner's place is taken over at once when its process can be looked for, else when its heartbeat has stopped.
 */
export async function claim(dir: Dir): Promise<AsyncDisposable | undefined> {
  const me = await self();
  const deadline = performance.now() + SILENT_MS + HEARTBEAT_MS;
  for (;;) {
    const created = await create(dir, me);
    if (created !== undefined) return heartbeat(dir, created, me);
    const state = await stateOf(dir, me);
    const taken = state === 'dead' ? await takeOver(dir, me) : undefined;
    if (taken !== undefined) return heartbeat(dir, taken, me);
    if (state === 'alive' || performance.now() > deadline) return undefined;
    await sleep(50);
  }
}

/** Makes a private directory, or takes over one whose owner is gone; undefined when it is somebody else's, or is being removed just now. */
export async function enter(base: Dir, name: string): Promise<{ readonly dir: Dir; readonly owner: AsyncDisposable } | undefined> {
  if (!(await base.makeDirExclusive(name)) && !(await isPrivate(base, name))) return undefined;
  const dir = await base.openDir(name).catch(ignoreMissing);
  if (dir === undefined) return undefined;
  try {
    const owner = await claim(dir).catch(ignoreMissing);
    // Between opening and claiming, its last owner may have moved it away to be removed.
    if (owner !== undefined && (await base.holds(name, dir))) return { dir, owner };
    await owner?.[Symbol.asyncDispose]();
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
  await dir[Symbol.asyncDispose]();
  return undefined;
}

/** When the directory was last worked in, in ms since the epoch by the file system's clock. */
export async function lastHeartbeat(dir: Dir): Promise<number> {
  const owner = await dir.lstat(OWNER).catch(ignoreMissing);
  return (owner ?? (await dir.stat())).mtimeMs;
}

/** Now, by the clock of the file system that holds `dir` (a network volume's may differ from ours). */
export async function volumeNow(dir: Dir): Promise<number> {
  const name = `.model-gate-probe-${randomBytes(6).toString('hex')}`;
  await using probe = await dir.createFile(name, 0o600);
  await dir.removeFile(name);
  return (await probe.stat()).mtimeMs;
}

async function create(dir: Dir, me: Owner): Promise<FileHandle | undefined> {
  const file = await dir.createFile(OWNER, 0o600).catch((error: unknown) => {
    if (systemErrorCode(error) === 'EEXIST') return undefined;
    throw error;
  });
  try {
    await file?.write(JSON.stringify(me), 0);
    return file;
  } catch (error) {
    await file?.close();
    throw error;
  }
}

/** `unsure`: another PID namespace whose heartbeat has not stopped yet; a restarted container looks like that for some seconds. */
async function stateOf(dir: Dir, me: Owner): Promise<'alive' | 'dead' | 'unsure'> {
  const owner = await readOwner(dir);
  if (owner !== undefined && owner.boot === me.boot && owner.pidNamespace === me.pidNamespace) {
    return (await startTimeOf(owner.pid)) === owner.startTime ? 'alive' : 'dead';
  }
  const silence = (await volumeNow(dir)) - (await lastHeartbeat(dir));
  return silence > SILENT_MS ? 'dead' : 'unsure';
}

/** Two processes may find the same owner dead: only the one that makes the `takeover` directory may replace it. */
async function takeOver(dir: Dir, me: Owner): Promise<FileHandle | undefined> {
  if ((await dir.lstat(TAKEOVER).catch(ignoreMissing)) !== undefined) {
    await using left = await dir.openDir(TAKEOVER);
    if ((await volumeNow(dir)) - (await left.stat()).mtimeMs < SILENT_MS) return undefined;
    await dir.removeTree(TAKEOVER);
  }
  const before = performance.now();
  if (!(await dir.makeDirExclusive(TAKEOVER))) return undefined;
  try {
    if ((await stateOf(dir, me)) !== 'dead' || performance.now() - before > SILENT_MS / 2) return undefined;
    await dir.removeTree(OWNER);
    return await create(dir, me);
  } finally {
    await dir.removeTree(TAKEOVER);
  }
}

async function readOwner(dir: Dir): Promise<Owner | undefined> {
  try {
    await using file = await dir.openFile(OWNER);
    if ((await file.stat()).size > 4096) return undefined;
    const value: unknown = JSON.parse(await file.readFile('utf8'));
    return isOwner(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isOwner(value: unknown): value is Owner {
  if (typeof value !== 'object' || value === null) return false;
  const { boot, pidNamespace, pid, startTime } = value as Record<string, unknown>;
  return typeof boot === 'string' && typeof pidNamespace === 'string' && typeof pid === 'number' && typeof startTime === 'string';
}

/** Writing, unlike setting times, stamps the file by the volume's clock. */
function heartbeat(dir: Dir, file: FileHandle, me: Owner): AsyncDisposable {
  const timer = setInterval(() => {
    file.write(JSON.stringify(me), 0).catch(() => {
      // The directory may be gone already; a missed beat costs nothing but a takeover.
    });
  }, HEARTBEAT_MS);
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await file.close();
      await dir.removeTree(OWNER);
    },
  };
}

async function self(): Promise<Owner> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  const pidNamespace = await readlink('/proc/self/ns/pid').catch(() => '');
  return { boot: boot.trim(), pidNamespace, pid: process.pid, startTime: (await startTimeOf(process.pid)) ?? '' };
}

/** Field 22 of /proc/PID/stat; the second field, in parentheses, may hold blanks. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
