// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { PAYLOAD_TYPE } from '../../src/oms/dsse.ts';
import { isIgnored, nameSingleFile, replaceByMembers, rootDigest } from '../../src/oms/manifest.ts';
import { compareByComponents, compareByName, parseModelPath } from '../../src/oms/path.ts';
import { PREDICATE_TYPE, PREDICATE_TYPE_V01, readManifest, readUnvouchedManifest } from '../../src/oms/statement.ts';
import { type Resource, resourceOf } from '../support/signer.ts';
import { digestOf, filesNamed, KEY_SIGNER, listed, payloadOf, read, refused } from './payload.ts';

const malformed = (message?: RegExp): unknown => refused('BUNDLE_MALFORMED', message);
const FILES = filesNamed('a', 'b/c', 'd');

type Statement = { predicate: Record<string, unknown>; subject: Record<string, unknown>[]; [name: string]: unknown };

function edited(edit: (statement: Statement) => unknown): () => unknown {
  const statement = structuredClone(listed(FILES)) as Statement;
  edit(statement);
  return () => read(statement);
}

/** The three files with the second resource changed, and the root digest of what is listed when it has digests. */
function withResource(change: object): () => unknown {
  return () => read(listed(FILES.map((resource, i) => (i === 1 ? ({ ...resource, ...change } as Resource) : resource))));
}

const serialized = (serialization: object): (() => unknown) => edited((s) => Object.assign(s.predicate['serialization'] as object, serialization));

describe('a signed statement', () => {
  it('becomes a manifest', () => {
    expect(read(listed(FILES))).toEqual({
      files: FILES.map(({ name, digest }) => ({ path: name, algorithm: 'sha256', parts: [{ range: 'whole', digest }] })),
      predicateType: PREDICATE_TYPE,
      method: 'files',
      algorithm: 'sha256',
      ignored: [],
      symlinks: 'reject',
      rootDigest: rootDigest(FILES.map((f) => f.digest)),
      subjectName: 'model',
      signer: KEY_SIGNER,
    });
  });

  it.each(['', 'null', '[]', '"x"', '{"_type":1,"_type":2}', '{', '\ufeff{}'])('is one strict JSON object, not %j', (text) => {
    expect(() => read(text)).toThrow(malformed());
  });

  it.each([undefined, null, 1, '', 'https://in-toto.io/Statement/v0.1', 'https://in-toto.io/Statement/v1/', 'HTTPS://in-toto.io/Statement/v1'])(
    'has the _type of in-toto v1, not %j',
    (value) => {
      expect(edited((s) => Object.assign(s, { _type: value }))).toThrow(malformed(/_type/));
    },
  );

  it.each([
    undefined,
    null,
    1,
    '',
    'https://model_signing/signature/v1.1',
    'https://model_signing/signature/v1',
    'https://slsa.dev/provenance/v1',
    { a: '\u202e' },
  ])('has a predicateType this program knows, not %j', (predicateType) => {
    expect(edited((s) => Object.assign(s, { predicateType }))).toThrow(malformed(/^[^\u202e]*predicateType is [^\u202e]*$/));
  });

  it('says no unprintable text of the signer’s in its errors', () => {
    expect(edited((s) => Object.assign(s, { predicateType: '\u001b[2J\nx' }))).toThrow(malformed(/'\\u001b\[2J\\u000ax'/));
    expect(withResource({ algorithm: '\u202e' })).toThrow(refused('ALGORITHM_REFUSED', /'\\u202e'/));
  });

  it('ignores members it does not know, as in-toto asks of consumers', () => {
    const plain = read(listed(FILES));
    expect(edited((s) => Object.assign(s, { extra: 1 }))()).toEqual(plain);
    expect(edited((s) => Object.assign(s.predicate, { extra: { deep: [1] } }))()).toEqual(plain);
    expect(serialized({ extra: 1 })()).toEqual(plain);
    expect(withResource({ size: 5, extra: null })()).toEqual(plain);
  });
});

describe('the subject', () => {
  it.each([undefined, null, {}, [], 'x'])('is a list with something in it, not %j', (subject) => {
    expect(edited((s) => Object.assign(s, { subject }))).toThrow(malformed(/no subject/));
  });

  it('is exactly one', () => {
    expect(edited((s) => s.subject.push(structuredClone(s.subject[0] ?? {})))).toThrow(malformed(/2 subjects, expected 1/));
  });

  it.each([null, 'model', [], {}, { name: '' }, { name: 1 }])('has a name that is not empty, unlike %j', (subject) => {
    expect(edited((s) => Object.assign(s, { subject: [subject] }))).toThrow(malformed(/subject has no name/));
  });

  it('may have any name: it selects nothing', () => {
    expect(edited((s) => Object.assign(s.subject[0] ?? {}, { name: '../../etc' }))()).toMatchObject({ subjectName: '../../etc', files: { length: 3 } });
  });

  it('has a lower-case sha256 digest', () => {
    const root = read(listed(FILES)).rootDigest;
    for (const digest of [
      undefined,
      null,
      root,
      {},
      { sha512: 'ab'.repeat(64) },
      { sha256: 1 },
      { sha256: '' },
      { sha256: root.toUpperCase() },
      { sha256: `${root}00` },
    ]) {
      expect(edited((s) => Object.assign(s.subject[0] ?? {}, { digest }))).toThrow(malformed(/sha256 digest/));
    }
    expect(edited((s) => Object.assign(s.subject[0] ?? {}, { digest: { sha256: root, sha512: 'x' } }))()).toBeDefined();
  });

  it('has the root digest of its resources', () => {
    expect(edited((s) => Object.assign(s.subject[0] ?? {}, { digest: { sha256: '00'.repeat(32) } }))).toThrow(refused('DIGEST_MISMATCH', /root digest/));
    expect(edited((s) => (s.predicate['resources'] as unknown[]).pop())).toThrow(refused('DIGEST_MISMATCH'));
    expect(edited((s) => (s.predicate['resources'] as unknown[]).reverse())).toThrow(refused('DIGEST_MISMATCH'));
  });
});

describe('the root digest', () => {
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));

  it('is SHA-256 over the raw digests in listed order', () => {
    const digests = ['a', 'b'].map(digestOf);
    expect(rootDigest(digests)).toBe(
      createHash('sha256')
        .update(Buffer.concat(digests.map((d) => Buffer.from(d, 'hex'))))
        .digest('hex'),
    );
  });

  it('changes with any content and with the order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(digest, { minLength: 2, maxLength: 8 }), fc.nat(), digest, (digests, at, other) => {
        fc.pre(!digests.includes(other));
        const i = at % digests.length;
        expect(rootDigest(digests.with(i, other))).not.toBe(rootDigest(digests));
        expect(rootDigest(digests.toSpliced(i, 1))).not.toBe(rootDigest(digests));
        expect(rootDigest([...digests.slice(1), digests[0] ?? ''])).not.toBe(rootDigest(digests));
      }),
    );
  });

  it('does not bind names: those only the signature binds', () => {
    const [a, b] = [resourceOf('a', 'same'), resourceOf('b', 'same')];
    expect(read(listed([a])).rootDigest).toBe(read(listed([b])).rootDigest);
  });
});

describe('the predicate', () => {
  it.each([undefined, null, [], 'x'])('is an object, not %j', (predicate) => {
    expect(edited((s) => Object.assign(s, { predicate }))).toThrow(malformed(/no predicate/));
  });

  it.each([undefined, null, {}, 'x'])('has a list of resources, not %j', (resources) => {
    expect(edited((s) => Object.assign(s.predicate, { resources }))).toThrow(malformed(/no resources/));
  });

  it('lists something: an empty model proves nothing', () => {
    expect(() => read(listed([]))).toThrow(malformed(/resources is empty/));
    expect(() => read(listed([], { method: 'shards', shard_size: 10 }))).toThrow(malformed(/resources is empty/));
  });

  it.each([undefined, null, [], 'x'])('has a serialization, not %j', (serialization) => {
    expect(edited((s) => Object.assign(s.predicate, { serialization }))).toThrow(malformed(/no serialization/));
  });

  it.each([undefined, null, '', 'Files', 'dfs', ['files']])('serializes files or shards, not %j', (method) => {
    expect(serialized({ method })).toThrow(malformed(/serialization.method/));
  });

  it.each([undefined, null, '', 'md5', 'sha1', 'sha512', 'SHA256', 'sha-256', 'blake2', 'constructor', '__proto__', ['sha256']])(
    'hashes with one of the registry’s algorithms, not %j',
    (hash_type) => {
      expect(serialized({ hash_type })).toThrow(refused('ALGORITHM_REFUSED', /hash_type/));
    },
  );

  it.each([undefined, null, 0, 1, 'false', 'true', {}])('says whether symlinks were allowed, not %j', (allow_symlinks) => {
    expect(serialized({ allow_symlinks })).toThrow(malformed(/allow_symlinks/));
  });

  it('records what the signer did with symlinks', () => {
    expect(serialized({ allow_symlinks: true })()).toHaveProperty('symlinks', 'follow');
    expect(serialized({ allow_symlinks: false })()).toHaveProperty('symlinks', 'reject');
  });

  it('has no shard_size for whole files', () => {
    for (const shard_size of [1, 0, null, '1']) expect(serialized({ shard_size })).toThrow(malformed(/shard_size must be absent/));
  });
});

describe('a resource', () => {
  it.each([null, 'a', 1, []])('is an object, not %j', (entry) => {
    expect(edited((s) => (s.predicate['resources'] as unknown[]).splice(1, 1, entry))).toThrow(malformed(/resource has no name/));
  });

  it.each([undefined, null, 1, ['a']])('has a name, not %j', (name) => {
    expect(withResource({ name })).toThrow(malformed(/resource has no name/));
  });

  it('has the algorithm that the serialization recorded', () => {
    for (const algorithm of [undefined, null, 1]) expect(withResource({ algorithm })).toThrow(malformed(/has no algorithm/));
    for (const algorithm of ['blake3', 'sha512', 'SHA256', 'sha256-sharded-1000000000', '']) {
      expect(withResource({ algorithm })).toThrow(refused('ALGORITHM_REFUSED', /says algorithm/));
    }
    // Also where both say the same of what nobody knows, and where whole files bear the label of shards.
    const unknown = listed(
      FILES.map((resource) => ({ ...resource, algorithm: 'sha512' })),
      { hash_type: 'sha512' },
    );
    expect(() => read(unknown)).toThrow(refused('ALGORITHM_REFUSED', /hash_type is 'sha512'/));
    expect(withResource({ algorithm: 'sha256-sharded-undefined' })).toThrow(refused('ALGORITHM_REFUSED', /says algorithm/));
    expect(serialized({ hash_type: 'blake3' })).toThrow(refused('ALGORITHM_REFUSED', /'sha256', but serialization.hash_type is blake3/));
  });

  it('has a lower-case hexadecimal digest of the algorithm’s length', () => {
    const digest = digestOf('b/c');
    for (const wrong of [
      undefined,
      null,
      1,
      '',
      digest.toUpperCase(),
      digest.slice(2),
      digest.slice(1),
      `${digest}00`,
      `0x${digest.slice(2)}`,
      `${digest.slice(1)}g`,
      ` ${digest.slice(1)}`,
      `${digest}\n`,
    ]) {
      expect(edited((s) => Object.assign((s.predicate['resources'] as object[])[1] ?? {}, { digest: wrong }))).toThrow(malformed(/hexadecimal sha256 digest/));
    }
  });

  it.each([
    ['sha256', 32],
    ['blake2b', 64],
    ['blake3', 32],
  ])('of %s has a digest of %i bytes', (algorithm, length) => {
    const resources = (bytes: number): Resource[] => [{ name: 'a', algorithm, digest: 'ab'.repeat(bytes) }];
    expect(read(listed(resources(length), { hash_type: algorithm })).files[0]).toMatchObject({ algorithm, parts: [{ digest: 'ab'.repeat(length) }] });
    expect(() => read(listed(resources(96 - length), { hash_type: algorithm }))).toThrow(malformed(/digest/));
  });

  it.each(['/etc/passwd', '../outside', 'a/../../b', '..', 'a\0b', './a', 'a/./b', 'a//b', 'a/', '', 'a/..', '\ud800'])('never has a name like %j', (name) => {
    expect(() => read(listed([...filesNamed(name), ...filesNamed('zz')]))).toThrow(refused('PATH_UNSAFE', /which /));
    expect(() => read(listed(filesNamed(name)))).toThrow(refused('PATH_UNSAFE'));
  });

  it('may be called "." only when it is the only one: that is how the reference signs a single file', () => {
    const manifest = read(listed(filesNamed('.')));
    expect(manifest.files.map((f) => f.path)).toEqual(['.']);
    const parsed = parseModelPath('weights.bin');
    if (!('path' in parsed)) throw new Error(parsed.problem);
    expect(nameSingleFile(manifest, parsed.path).files).toEqual([{ ...manifest.files[0], path: 'weights.bin' }]);
    expect(() => read(listed(filesNamed('.', 'a')))).toThrow(refused('PATH_UNSAFE'));
    expect(() => read(listed(filesNamed('.', '.')))).toThrow(refused('PATH_UNSAFE'));
  });

  it('may be called like a member every JavaScript object has', () => {
    const names = ['__proto__', '__proto__x/constructor', 'constructor', 'hasOwnProperty', 'toString', 'valueOf'];
    expect(read(listed(filesNamed(...names))).files.map((f) => f.path)).toEqual(names);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
  });

  it('is listed once', () => {
    expect(() => read(listed(filesNamed('a', 'a', 'b')))).toThrow(malformed(/listed twice/));
    expect(() => read(listed([resourceOf('a', '1'), resourceOf('a', '2')]))).toThrow(malformed(/listed twice/));
    expect(() => read(listed(filesNamed('__proto__', '__proto__')))).toThrow(malformed(/listed twice/));
    // Case and normal form tell names apart.
    expect(read(listed(filesNamed('A', 'a', 'a\u0308', 'ä'))).files).toHaveLength(4);
  });

  it('is no file where another resource needs a directory', () => {
    expect(() => read(listed(filesNamed('a', 'a/b')))).toThrow(refused('PATH_UNSAFE', /both as a file and as a directory/));
    expect(() => read(listed(filesNamed('a', 'a.b', 'a/b/c')))).toThrow(refused('PATH_UNSAFE'));
    expect(() => read(listed(filesNamed('x/y', 'x/y/z/w')))).toThrow(refused('PATH_UNSAFE'));
    expect(read(listed(filesNamed('a.b', 'a/b', 'ab'))).files).toHaveLength(3);
  });

  it('counts towards --max-entries', () => {
    expect(read(listed(FILES), 3).files).toHaveLength(3);
    expect(() => read(listed(FILES), 2)).toThrow(refused('LIMIT_EXCEEDED', /3 entries, more than --max-entries 2/));
    expect(read(listed(filesNamed('a/b', 'a/c')), 2).files).toHaveLength(2);
    expect(read(listed(filesNamed('a/b/c', 'a/b/d')), 2).files).toHaveLength(2);
    expect(() => read(listed(filesNamed('a/b/c', 'd/e')), 2)).toThrow(refused('LIMIT_EXCEEDED', /more than --max-entries 2 directories/));
  });
});

describe('the order of resources', () => {
  it('is by code point of the whole name, or by path components as the reference writes them', () => {
    expect(read(listed(filesNamed('a-b', 'a.txt', 'a/x'))).files).toHaveLength(3);
    expect(read(listed(filesNamed('a/x', 'a-b', 'a.txt'))).files).toHaveLength(3);
    expect(read(listed(filesNamed('\uff5e', '😀'))).files).toHaveLength(2);
  });

  it('is not reversed, not by UTF-16 unit, not by number and not a mixture of the two orders', () => {
    for (const names of [
      ['d', 'b/c', 'a'],
      ['😀', '\uff5e'],
      ['file-2', 'file-10'],
      ['b', 'A'],
      ['a/x', 'a-b', 'a.txt', 'c-b', 'c/x'],
    ]) {
      expect(() => read(listed(filesNamed(...names)))).toThrow(malformed(/not sorted/));
    }
  });

  it('is one of the two orders, whatever the names', () => {
    const part = fc.constantFrom('a', 'b', 'a-', 'a.', '\uffff', '😀');
    const names = fc.uniqueArray(
      fc.array(part, { minLength: 1, maxLength: 3 }).map((c) => c.join('/')),
      { minLength: 2, maxLength: 5 },
    );
    const clashFree = names.filter((list) => !list.some((a) => list.some((b) => b.startsWith(`${a}/`))));
    const shuffled = clashFree.chain((list) => fc.shuffledSubarray(list, { minLength: list.length }));
    fc.assert(
      fc.property(shuffled, (list) => {
        const text = list.join('\n');
        const sorted = [compareByName, compareByComponents].some((order) => [...list].sort(order).join('\n') === text);
        if (sorted) expect(read(listed(filesNamed(...list))).files.map((f) => f.path)).toEqual(list);
        else expect(() => read(listed(filesNamed(...list)))).toThrow(malformed(/not sorted/));
      }),
      { numRuns: 500 },
    );
  });
});

describe('recorded ignore paths', () => {
  const ignoring = (ignore_paths: unknown): readonly string[] => read(listed(FILES, { ignore_paths })).ignored;

  it('are canonical paths below the root', () => {
    expect(ignoring(undefined)).toEqual([]);
    expect(ignoring([])).toEqual([]);
    expect(ignoring(['.git', 'cache', 'sub/x', 'test/assets/foreign'])).toEqual(['.git', 'cache', 'sub/x', 'test/assets/foreign']);
  });

  it('that name the root, leave it or are absolute widen nothing', () => {
    const hostile = ['.', './', '/', '..', '../', '../x', 'x/..', 'a/../b', './.', '//', '/etc', '/a/', './/../x', '\0', '\ud800'];
    expect(ignoring(hostile)).toEqual([]);
    expect(ignoring(['ok', ...hostile])).toEqual(['ok']);
  });

  it('mean one path, however loosely it is written', () => {
    expect(ignoring(['cache/', './cache', 'cache//x', 'cache/./x/', './/a'])).toEqual(['cache', 'cache', 'cache/x', 'cache/x', 'a']);
  });

  it('count towards --max-entries, as they are the signer’s to choose', () => {
    const many = listed(FILES, { ignore_paths: ['a', 'b', 'c', 'd'] });
    expect(() => read(many, 3)).toThrow(refused('LIMIT_EXCEEDED'));
    expect(read(many, 4).ignored).toHaveLength(4);
  });

  it('are no globs', () => {
    const ignored = ignoring(['*', '**', '*.bin', '?']);
    expect(['a', 'b/c', 'x.bin'].some((path) => isIgnored(path, new Set(ignored)))).toBe(false);
    expect(isIgnored('*/x', new Set(ignored))).toBe(true);
  });

  it.each([null, 'cache', {}, [1], [null], [['a']], ['a', 2], ['']])('are a list of strings that are not empty, not %j', (ignore_paths) => {
    expect(() => ignoring(ignore_paths)).toThrow(malformed(/ignore_paths/));
  });

  it('cover another file only when an entry names it or a directory above it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('secret', 'file', '/', '.', '*', 'x', '\\'), minLength: 1, maxLength: 6 }), { maxLength: 5 }),
        (entries) => {
          const above = (entry: string): boolean => !entry.startsWith('/') && /^secret(?:\/file)?\/?$/.test(posix.normalize(entry));
          expect(isIgnored('secret/file', new Set(ignoring(entries)))).toBe(entries.some(above));
        },
      ),
    );
  });
});

describe('the deprecated predicate of model_signing 0.2.0', () => {
  const deprecated = (subjects: unknown): unknown => ({
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects,
    predicateType: PREDICATE_TYPE_V01,
    predicate: { unused: true },
  });
  const subjects = (...names: readonly string[]): unknown[] => filesNamed(...names).map(({ name, digest }) => ({ name, digest: { sha256: digest } }));

  it('lists every file as a subject, in sha256, and records no options', () => {
    const manifest = read(deprecated(subjects('a', 'b/c')));
    expect(manifest).toMatchObject({
      predicateType: PREDICATE_TYPE_V01,
      method: 'files',
      algorithm: 'sha256',
      ignored: [],
      symlinks: 'reject',
      subjectName: '',
    });
    expect(manifest.files.map((f) => f.path)).toEqual(['a', 'b/c']);
    expect(manifest.rootDigest).toBe(rootDigest(filesNamed('a', 'b/c').map((f) => f.digest)));
  });

  it('is believed over the encoding of that version too, today’s predicate never', () => {
    expect(readManifest(payloadOf(deprecated(subjects('a')), 'v0.2.0')).files).toHaveLength(1);
    expect(() => readManifest(payloadOf(listed(FILES), 'v0.2.0'))).toThrow(malformed(/must be signed over its DSSEv1 encoding/));
  });

  it('lists them in any order: nothing ever asked for one', () => {
    expect(read(deprecated(subjects('b', 'a'))).files.map((f) => f.path)).toEqual(['b', 'a']);
  });

  it('obeys the same rules for names, digests and count', () => {
    expect(() => read(deprecated([]))).toThrow(malformed(/no subject/));
    expect(() => read(deprecated(subjects('../a')))).toThrow(refused('PATH_UNSAFE'));
    expect(() => read(deprecated(subjects('a', 'a/b')))).toThrow(refused('PATH_UNSAFE'));
    expect(() => read(deprecated(subjects('a', 'a')))).toThrow(malformed(/listed twice/));
    expect(() => read(deprecated([{ name: 'a', digest: { blake3: 'ab'.repeat(32) } }]))).toThrow(malformed(/sha256 digest/));
    expect(() => read(deprecated(['a']))).toThrow(malformed(/no name/));
    expect(() => read(deprecated(subjects('a', 'b', 'c')), 2)).toThrow(refused('LIMIT_EXCEEDED'));
  });
});

describe('whatever a signer signed', () => {
  it('is a manifest or an error with a reason', () => {
    const node = fc.constantFrom(null, {}, [], '', 'a', 0, true, [{}], [null], '\u0000', '../x');
    const member = fc.constantFrom(
      '_type',
      'subject',
      'predicateType',
      'predicate',
      'resources',
      'serialization',
      'method',
      'hash_type',
      'shard_size',
      'ignore_paths',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(member, fc.oneof(node, fc.jsonValue())), { minLength: 1, maxLength: 3 }), (changes) => {
        const statement = structuredClone(listed(FILES)) as Statement;
        for (const [name, value] of changes) {
          const places = [statement, statement.predicate, (statement.predicate as Statement | null)?.['serialization']];
          const place = places.find((p) => typeof p === 'object' && p !== null && name in p) as Record<string, unknown> | undefined;
          if (place !== undefined) place[name] = value;
        }
        try {
          expect(read(statement).files.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a statement of v0.2.0', () => {
  it('hashes whole files with sha256, which it does not say', () => {
    const subject = FILES.map(({ name, digest }) => ({ name, digest: { sha256: digest } }));
    const { files } = read({ _type: 'https://in-toto.io/Statement/v1', predicateType: PREDICATE_TYPE_V01, subject });
    expect(files).toEqual(FILES.map(({ name, digest }) => ({ path: name, algorithm: 'sha256', parts: [{ range: 'whole', digest }] })));
  });
});

describe('a manifest that is made of another one', () => {
  it('says that nobody vouches for it, and by which method somebody might have', () => {
    const envelope = { payload: payloadOf(listed(FILES)).bytes, payloadType: PAYLOAD_TYPE, signature: Buffer.alloc(0) } as const;
    const manifest = readUnvouchedManifest({ envelope, material: { kind: 'key', timestamps: [] } });
    expect(manifest).toMatchObject({ files: { length: 3 }, signer: { kind: 'nobody', method: 'key' } });
    expect(() => readUnvouchedManifest({ envelope, material: { kind: 'key', timestamps: [] } }, 2)).toThrow(refused('LIMIT_EXCEEDED'));
  });

  it('by its members has theirs in place of the archive’s, and nothing of what the signer recorded of a directory', () => {
    const archive = read(listed(FILES, { allow_symlinks: true, ignore_paths: ['cache'] }));
    const members = [{ path: archive.files[0].path, algorithm: 'sha256', parts: archive.files[0].parts }] as const;
    const { rootDigest, signer } = archive;
    expect(replaceByMembers(archive, members)).toMatchObject({ files: members, method: 'files', algorithm: 'sha256', symlinks: 'reject', rootDigest, signer });
    expect(replaceByMembers(archive, members).ignored).toEqual([]);
    expect(replaceByMembers({ ...archive, shardSizeBytes: 5 }, members)).not.toHaveProperty('shardSizeBytes');
  });
});
