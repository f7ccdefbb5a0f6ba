// SPDX-License-Identifier: Apache-2.0
import type { Member } from '../archive/archive.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { GIT_PATHS, isIgnored } from '../oms/manifest.ts';
import { type ModelPath, parseModelPath } from '../oms/path.ts';
import { createNameCheck } from './names.ts';
import type { Run } from './standing.ts';

/** Longer than any name that a manifest may have, './' and slashes at the end included. */
const MAX_NAME = 8192;

/** Gives a member's place in the model; undefined for what has none. Names are asked for in the order of the archive. */
export type Claim = (member: Member) => ModelPath | undefined;

/**
 * Of a signed archive. Names of files as they come: each once, none where another needs a directory. Directories
 * are made by their files only. @throws PATH_UNSAFE, FILE_TYPE, ARCHIVE_INVALID
 */
export function createClaims(): Claim {
  const check = createNameCheck('archive');
  const files = new Set<string>();
  const directories = new Set<string>();
  return (member) => {
    const path = pathOf(member);
    if (path === undefined) return undefined;
    check(path);
    if (files.has(path)) throw ambiguous(path, 'twice');
    const above = path
      .split('/')
      .map((_, i, all) => all.slice(0, i).join('/'))
      .slice(1);
    const blocked = above.find((name) => files.has(name));
    if (blocked !== undefined) throw ambiguous(blocked, 'both as a file and as a directory');
    for (const name of above) directories.add(name);
    if (member.kind === 'directory') return void directories.add(path);
    if (directories.has(path)) throw ambiguous(path, 'both as a file and as a directory');
    requireFile(member, path);
    files.add(path);
    return path;
  };
}

/**
 * Of a signed tree. Signed names, each once; what is ignored is passed over. The same rules as for a directory that is verified in place.
 * @throws FILE_UNSIGNED, and as createClaims
 */
export function createSignedClaims({ accepted, plan, source }: Run): Claim {
  const { manifest } = accepted;
  const signed = new Set<string>(manifest.files.map((file) => file.path));
  const ignored = new Set<string>([...manifest.ignored, ...plan.ignorePaths, ...(plan.ignoreGitPaths ? GIT_PATHS : [])]);
  const seen = new Set<string>();
  return (member) => {
    const path = pathOf(member);
    if (path === undefined) return undefined;
    if (signed.has(path)) {
      requireFile(member, path);
      if (seen.has(path)) throw ambiguous(path, 'twice');
      seen.add(path);
      return path;
    }
    if (member.kind === 'directory' || isIgnored(path, ignored) || plan.unsignedFiles === 'ignore') return undefined;
    requireFile(member, path);
    // Zero-byte files give no shard, so a shard manifest cannot name them (OMS §6.3.2(1)).
    if (manifest.method === 'shards' && member.sizeBytes === 0) return undefined;
    const name = printable(path);
    throw new AppError('FILE_UNSIGNED', `Extra files found in model '${source.displayUri}': the archive holds ${name}`, {
      hint: 'Nobody signed it. Make the archive of the signed files only, or pass --ignore-paths / --ignore-unsigned-files: it is then not unpacked.',
      context: { path: name, names: [name], count: 1 },
    });
  };
}

/** A member's name as a manifest would have it; undefined for the root. './' in front, as of `tar -C model .`, means nothing. @throws PATH_UNSAFE */
function pathOf({ name, kind }: Member): ModelPath | undefined {
  // A megabyte of slashes takes the patterns below minutes.
  if (name.length > MAX_NAME) throw unsafe(name, 'is too long');
  const bare = name.replace(/^(?:\.\/+)+/, '');
  const trimmed = kind === 'directory' ? bare.replace(/\/+$/, '') : bare;
  if (kind === 'directory' && (trimmed === '' || trimmed === '.')) return undefined;
  const parsed = parseModelPath(trimmed);
  const problem = 'path' in parsed && trimmed.includes('\ufffd') ? 'is not valid UTF-8' : 'problem' in parsed ? parsed.problem : undefined;
  if ('path' in parsed && problem === undefined) return parsed.path;
  throw unsafe(name, problem ?? '');
}

function unsafe(name: string, problem: string): AppError {
  return new AppError('PATH_UNSAFE', `the archive names '${printable(name, 300)}', which ${problem}`, { context: { path: printable(name, 300) } });
}

function requireFile({ kind }: Member, path: ModelPath): void {
  if (kind === 'file') return;
  const what = { directory: 'a directory', link: 'a link', special: 'a special file' }[kind];
  throw new AppError('FILE_TYPE', `the archive holds '${printable(path)}' as ${what}, not as a regular file`, {
    hint: 'Links are not unpacked, wherever they lead. Make the archive again with the files themselves (tar --dereference --hard-dereference, zip without -y).',
    context: { path: printable(path) },
  });
}

function ambiguous(path: string, how: string): AppError {
  const name = printable(path);
  return new AppError('ARCHIVE_INVALID', `the archive holds '${name}' ${how}`, { context: { path: name } });
}
