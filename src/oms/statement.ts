// SPDX-License-Identifier: Apache-2.0
import { type ByteRange, type HexDigest, hexDigest, isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { VerifiedPayload } from '../trust/trust.ts';
import type { ParsedBundle } from './bundle.ts';
import { isObject, type JsonList, type JsonObject, malformed, parseBesideList } from './json.ts';
import { HASH_BYTES, type HashAlgorithm, type Manifest, type ManifestFile, type Part, rootDigest } from './manifest.ts';
import { collapse, compareByComponents, compareByName, type ModelPath, parseModelPath, SINGLE_FILE } from './path.ts';

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
/** Written by model_signing v0.2.0: one subject per file, no serialization (OMS §5.1, §11). */
export const PREDICATE_TYPE_V01 = 'https://model_signing/Digests/v0.1';

/** Default cap on the number of resources in a manifest. */
export const MAX_ENTRIES = 1_000_000;

/** Where the manifest's entries are: nearly all of a large statement. */
const RESOURCES = ['predicate', 'resources'];

type Resource = { readonly name: string; readonly digest: HexDigest };
type Serialization = {
  readonly method: 'files' | 'shards';
  readonly algorithm: HashAlgorithm;
  readonly shardSizeBytes?: number;
  readonly symlinks: 'reject' | 'follow';
  readonly ignored: readonly ModelPath[];
};

/**
 * The signed manifest (OMS §8.3, §8.4(1-5)). Unknown members are ignored, as in-toto asks of consumers. Takes a verified payload: nothing of a payload is acted on before its signature holds.
 * @throws BUNDLE_MALFORMED, ALGORITHM_REFUSED, PATH_UNSAFE, LIMIT_EXCEEDED
 */
export function readManifest(payload: VerifiedPayload, maxEntries = MAX_ENTRIES): Manifest {
  return mint({ ...readClaims(payload, maxEntries), signer: payload.signer });
}

/** A manifest that nobody vouches for, as its `signer` says: what a policy in warn mode lets through instead of refusing it. @throws as readManifest */
export function readUnvouchedManifest({ envelope, material }: ParsedBundle, maxEntries = MAX_ENTRIES): Manifest {
  return mint({ ...readClaims({ bytes: envelope.payload }, maxEntries), signer: { kind: 'nobody', method: material.kind } });
}

/** What a payload says, whoever signed it: to be shown, never to be acted on. */
export type Claims = Omit<Manifest, '__brand' | 'signer'>;

/** The same checks as for a manifest, over bytes of which nobody has to vouch. `encoding` is absent while no signature has been checked. @throws as readManifest */
export function readClaims(payload: Pick<VerifiedPayload, 'bytes'> & Partial<Pick<VerifiedPayload, 'encoding'>>, maxEntries = MAX_ENTRIES): Claims {
  const { json: statement, list: resources } = parseBesideList(payload.bytes, 'the signed statement', RESOURCES);
  if (!isObject(statement)) throw malformed('the signed statement is not a JSON object');
  if (statement['_type'] !== STATEMENT_TYPE) throw malformed(`_type is not ${STATEMENT_TYPE}`);
  const subjects = statement['subject'];
  if (!Array.isArray(subjects) || subjects.length === 0) throw malformed('the statement has no subject');

  switch (statement['predicateType']) {
    case PREDICATE_TYPE:
      // The defective encoding of v0.2.0 is no signature over anything newer.
      if (payload.encoding === 'v0.2.0') throw malformed(`a ${PREDICATE_TYPE} statement must be signed over its DSSEv1 encoding`);
      return readCurrent(statement, subjects, resources, maxEntries);
    case PREDICATE_TYPE_V01:
      return readDeprecated(subjects, maxEntries);
    default:
      throw malformed(`predicateType is ${show(statement['predicateType'])}, expected ${PREDICATE_TYPE}`);
  }
}

function readCurrent(statement: JsonObject, subjects: unknown[], list: JsonList | undefined, maxEntries: number): Claims {
  if (subjects.length !== 1) throw malformed(`the statement has ${subjects.length} subjects, expected 1`);
  const subject = readSubject(subjects[0]);
  const predicate = statement['predicate'];
  if (!isObject(predicate)) throw malformed('the statement has no predicate');
  const serialization = readSerialization(predicate['serialization'], maxEntries);
  const resources = readResources(list, serialization, maxEntries);

  // The first time through, which checks each of them.
  const root = rootDigest(digestsOf(resources));
  if (root !== subject.digest) {
    throw new AppError('DIGEST_MISMATCH', 'the root digest in the statement is not that of its resources', {
      context: { expected: subject.digest, found: root },
    });
  }
  const files = serialization.method === 'files' ? orderedFiles(resources, serialization) : shardedFiles([...resources], serialization);
  return { ...serialization, files: checkTree(files, maxEntries), predicateType: PREDICATE_TYPE, rootDigest: root, subjectName: subject.name };
}

/** OMS §11: v0.2.0 listed every file as a subject with a sha256 digest and recorded no options. */
function readDeprecated(subjects: unknown[], maxEntries: number): Claims {
  limitEntries(subjects.length, maxEntries);
  const resources = subjects.map(readSubject);
  // The subjects of a statement are a set: nothing ever asked for an order.
  const files = wholeFiles(resources, { algorithm: 'sha256' });
  return {
    files: checkTree(files, maxEntries),
    predicateType: PREDICATE_TYPE_V01,
    method: 'files',
    algorithm: 'sha256',
    ignored: [],
    symlinks: 'reject',
    rootDigest: rootDigest(resources.map((r) => r.digest)),
    subjectName: '',
  };
}

function readSubject(value: unknown): Resource {
  const name = isObject(value) ? value['name'] : undefined;
  const digests = isObject(value) ? value['digest'] : undefined;
  const sha256 = isObject(digests) ? digests['sha256'] : undefined;
  if (typeof name !== 'string' || name === '') throw malformed('a subject has no name');
  const digest = typeof sha256 === 'string' ? hexDigest(sha256, HASH_BYTES.sha256) : undefined;
  if (digest === undefined) throw malformed('a subject has no lower-case hexadecimal sha256 digest');
  return { name, digest };
}

/** OMS §5.2.2. */
function readSerialization(value: unknown, maxEntries: number): Serialization {
  if (!isObject(value)) throw malformed('the predicate has no serialization');
  const method = value['method'];
  const algorithm = value['hash_type'];
  const shardSize = value['shard_size'];
  const allowSymlinks = value['allow_symlinks'];
  if (method !== 'files' && method !== 'shards') throw malformed(`serialization.method is ${show(method)}, expected files or shards`);
  if (!isAlgorithm(algorithm)) throw new AppError('ALGORITHM_REFUSED', `serialization.hash_type is ${show(algorithm)}, expected sha256, blake2b or blake3`);
  if (typeof allowSymlinks !== 'boolean') throw malformed('serialization.allow_symlinks is not a boolean');
  const common = { method, algorithm, symlinks: allowSymlinks ? 'follow' : 'reject', ignored: readIgnorePaths(value['ignore_paths'], maxEntries) } as const;
  if (method === 'files') {
    if (shardSize !== undefined) throw malformed('serialization.shard_size must be absent for files');
    return common;
  }
  // The reference writes 100.0: its numbers pass through a protobuf double. JSON.parse makes 100 of it.
  if (typeof shardSize !== 'number' || !Number.isSafeInteger(shardSize) || shardSize <= 0)
    throw malformed('serialization.shard_size is not a positive integer');
  return { ...common, shardSizeBytes: shardSize };
}

/**
 * Entries that are absolute, leave the root or name the root itself must not widen anything: they are dropped (OMS §6.2.1).
 * Signers write down what users typed, `cache/` or `./cache`: that means one path below the root, as it did when they signed.
 */
function readIgnorePaths(value: unknown, maxEntries: number): readonly ModelPath[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw malformed('serialization.ignore_paths is not an array');
  limitEntries(value.length, maxEntries);
  return value.flatMap((entry: unknown) => {
    if (typeof entry !== 'string' || entry === '') throw malformed('serialization.ignore_paths holds something that is not a string, or an empty one');
    const parsed = parseModelPath(collapse(entry));
    return 'path' in parsed ? [parsed.path] : [];
  });
}

/** Read again each time they are asked for: of a large manifest, nothing is kept but what is made of them. */
type Resources = Iterable<Resource> & { readonly length: number };

/** OMS §5.2.1; unknown members of a resource are ignored, as the specification demands. Asking for the resources can throw what is wrong with one. */
function readResources(list: JsonList | undefined, serialization: Serialization, maxEntries: number): Resources {
  if (list === undefined) throw malformed('the predicate has no resources');
  const { length } = list;
  limitEntries(length, maxEntries);
  if (length === 0) throw malformed('resources is empty');
  const { algorithm } = serialization;
  // OMS §6.3.2 wants the plain name for shards too; the reference and the Go tool write '<hash>-sharded-<size>'.
  const labels = serialization.method === 'files' ? [algorithm] : [algorithm, `${algorithm}-sharded-${serialization.shardSizeBytes}`];
  return {
    length,
    *[Symbol.iterator]() {
      for (const entry of list) yield readResource(entry, algorithm, labels);
    },
  };
}

function readResource(entry: unknown, algorithm: HashAlgorithm, labels: readonly string[]): Resource {
  const name = isObject(entry) ? entry['name'] : undefined;
  if (!isObject(entry) || typeof name !== 'string') throw malformed('a resource has no name');
  const where = () => `resource ${show(name)}`;
  if (typeof entry['algorithm'] !== 'string') throw malformed(`${where()} has no algorithm`);
  if (!labels.includes(entry['algorithm'])) {
    throw new AppError('ALGORITHM_REFUSED', `${where()} says algorithm ${show(entry['algorithm'])}, but serialization.hash_type is ${algorithm}`);
  }
  const digest = typeof entry['digest'] === 'string' ? hexDigest(entry['digest'], HASH_BYTES[algorithm]) : undefined;
  if (digest === undefined) throw malformed(`${where()} has no lower-case hexadecimal ${algorithm} digest`);
  return { name, digest };
}

function* digestsOf(resources: Resources): Iterable<HexDigest> {
  for (const { digest } of resources) yield digest;
}

function wholeFiles(resources: Resources, { algorithm }: { readonly algorithm: HashAlgorithm }): readonly ManifestFile[] {
  const single = resources.length === 1;
  return Array.from(resources, ({ name, digest }): ManifestFile => ({ path: pathOf(name, single), algorithm, parts: [{ range: 'whole', digest }] }));
}

function orderedFiles(resources: Resources, serialization: Serialization): readonly ManifestFile[] {
  const files = wholeFiles(resources, serialization);
  checkOrder(
    files.map((f) => f.path),
    compareByName,
    compareByComponents,
  );
  return files;
}

type Shard = { readonly name: string; readonly path: ModelPath; readonly range: ByteRange; readonly digest: HexDigest };

/** OMS §6.3.2: the ranges of each file, put together, cover it from 0 without gap or overlap, each but the last of shard_size. */
function shardedFiles(resources: readonly Resource[], { algorithm, shardSizeBytes = 0 }: Serialization): readonly ManifestFile[] {
  const singleFile = new Set(resources.map((r) => r.name.split(':').slice(0, -2).join(':'))).size === 1;
  const shards = resources.map(({ name, digest }): Shard => ({ name, digest, ...shardOf(name, singleFile) }));
  checkOrder(
    shards,
    (a, b) => compareByName(a.name, b.name),
    (a, b) => compareByComponents(a.path, b.path) || a.range.start - b.range.start,
  );

  const byPath = new Map<ModelPath, Shard[]>();
  for (const shard of shards) {
    const list = byPath.get(shard.path);
    if (list) list.push(shard);
    else byPath.set(shard.path, [shard]);
  }
  return [...byPath].map(([path, list]): ManifestFile => {
    const parts = list.sort((a, b) => a.range.start - b.range.start).map(({ range, digest }): Part => ({ range, digest }));
    let position = 0;
    for (const [i, { range }] of list.entries()) {
      const length = range.end - range.start;
      const last = i === list.length - 1;
      if (range.start !== position || length <= 0 || length > shardSizeBytes || (!last && length !== shardSizeBytes)) {
        throw malformed(`the shards of ${show(path)} do not cover it in steps of ${shardSizeBytes} bytes`);
      }
      position = range.end;
    }
    if (!isNonEmpty(parts)) throw malformed(`${show(path)} has no shards`);
    return { path, algorithm, parts, sizeBytes: position };
  });
}

const SHARD_NAME = /^(.+):(0|[1-9]\d{0,15}):([1-9]\d{0,15})$/s;

/** The last two components are the range: names may hold colons themselves (OMS §6.3.2). */
function shardOf(name: string, singleFile: boolean): { path: ModelPath; range: ByteRange } {
  const match = SHARD_NAME.exec(name);
  const [, path, start, end] = match ?? [];
  if (path === undefined || start === undefined || end === undefined) throw malformed(`shard ${show(name)} is not <path>:<start>:<end>`);
  return { path: pathOf(path, singleFile), range: { start: Number(start), end: Number(end) } };
}

/** '.' is what the reference calls the file of a single-file model (specification: its basename, OMS §6.1.2(5)). */
function pathOf(name: string, singleFile: boolean): ModelPath {
  if (name === SINGLE_FILE && singleFile) return SINGLE_FILE;
  const parsed = parseModelPath(name);
  if ('path' in parsed) return parsed.path;
  throw new AppError('PATH_UNSAFE', `the manifest names ${show(name)}, which ${parsed.problem}`, { context: { path: printable(name, 300) } });
}

/** The specification's order (OMS §5.2.1), or the reference implementation's; see docs/oms-decisions.md. */
function checkOrder<T>(list: readonly T[], ...orders: ((a: T, b: T) => number)[]): void {
  const sorted = orders.some((compare) => list.every((item, i) => i === 0 || compare(list[i - 1] as T, item) <= 0));
  if (!sorted) throw malformed('resources are not sorted by name');
}

/** No name twice, no file where another name needs a directory, and no more directories than there may be entries: each would be made. */
function checkTree(files: readonly ManifestFile[], maxEntries: number): NonEmpty<ManifestFile> {
  const names = new Set<string>();
  for (const { path } of files) {
    if (names.has(path)) throw malformed(`resource ${show(path)} is listed twice`);
    names.add(path);
  }
  const directories = new Set<string>();
  for (const { path } of files) {
    // From the innermost one up: what is above a known directory is known, too.
    for (let slash = path.lastIndexOf('/'); slash >= 0; slash = path.lastIndexOf('/', slash - 1)) {
      const directory = path.slice(0, slash);
      if (directories.has(directory)) break;
      if (names.has(directory)) {
        throw new AppError('PATH_UNSAFE', `the manifest names ${show(directory)} both as a file and as a directory`, {
          context: { path: printable(path, 300) },
        });
      }
      directories.add(directory);
      if (directories.size > maxEntries) throw new AppError('LIMIT_EXCEEDED', `the manifest has more than --max-entries ${maxEntries} directories`);
    }
  }
  if (!isNonEmpty(files)) throw malformed('resources is empty');
  return files;
}

function mint(facts: Omit<Manifest, '__brand'>): Manifest {
  return facts as Manifest;
}

function limitEntries(count: number, max: number): void {
  if (count > max) throw new AppError('LIMIT_EXCEEDED', `the manifest has ${count} entries, more than --max-entries ${max}`);
}

function isAlgorithm(value: unknown): value is HashAlgorithm {
  return typeof value === 'string' && Object.hasOwn(HASH_BYTES, value);
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${printable(value, 200)}'` : printable(JSON.stringify(value) ?? 'absent', 80);
}
