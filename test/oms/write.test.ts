// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HexDigest } from '../../src/base/brands.ts';
import { parseBundle } from '../../src/oms/bundle.ts';
import { PAYLOAD_TYPE } from '../../src/oms/dsse.ts';
import { compareByName, type ModelPath } from '../../src/oms/path.ts';
import { readClaims } from '../../src/oms/statement.ts';
import { type DigestedFile, type StatementFacts, writeBundle, writeStatement } from '../../src/oms/write.ts';

const path = (name: string) => name as ModelPath;
const digestOf = (text: string) => createHash('sha256').update(text).digest('hex') as HexDigest;
const file = (name: string, content = name): DigestedFile => ({ path: path(name), parts: [{ range: 'whole', digest: digestOf(content) }] });

const FACTS: StatementFacts = { subjectName: 'model', files: [file('a')], algorithm: 'sha256', symlinks: 'reject', ignored: [] };

type Json = {
  subject: { name: string; digest: { sha256: string } }[];
  predicate: { resources: { name: string; digest: string; algorithm: string }[]; serialization: Record<string, unknown> };
};
const write = (facts: Partial<StatementFacts>): Json => JSON.parse(writeStatement({ ...FACTS, ...facts }).bytes.toString()) as Json;

/** Names that can stand beside each other: no one is a folder of another. */
const names = fc
  .uniqueArray(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((name) => !/[/\0]/.test(name) && name.isWellFormed() && name !== '.' && name !== '..'),
    { minLength: 1, maxLength: 20 },
  )
  .map((list) => list.map((name, i) => (i % 3 === 0 ? `folder/${name}` : name)))
  .filter((list) => !list.includes('folder'));

describe('a written statement', () => {
  it('lists resources by code point of the whole name, not by folder and not by UTF-16', () => {
    const files = ['a/x', 'a.txt', 'a-b', '\u{1f600}', '\ufb01', 'ä', 'Z'].map((name) => file(name));
    expect(write({ files }).predicate.resources.map((r) => r.name)).toEqual(['Z', 'a-b', 'a.txt', 'a/x', 'ä', '\ufb01', '\u{1f600}']);
  });

  it('has the root digest over the raw digests in that order', () => {
    const { subject } = write({ files: [file('b'), file('a')] });
    const expected = createHash('sha256').update(digestOf('a'), 'hex').update(digestOf('b'), 'hex').digest('hex');
    expect(subject).toEqual([{ name: 'model', digest: { sha256: expected } }]);
  });

  it('records what was left out, sorted and once, and nothing when nothing was', () => {
    const ignored = ['model.sig', '.git', 'cache', '.git'].map(path);
    expect(write({ ignored }).predicate.serialization['ignore_paths']).toEqual(['.git', 'cache', 'model.sig']);
    expect(write({}).predicate.serialization).toEqual({ method: 'files', hash_type: 'sha256', allow_symlinks: false });
  });

  it('has no shard_size with whole files, and the label and order that other tools demand with shards', () => {
    const parts = [0, 10, 20, 100].map((start) => ({ range: { start, end: start + 10 }, digest: digestOf(`${start}`) }));
    const { predicate } = write({ files: [{ path: path('w'), parts }], algorithm: 'sha256', shardSizeBytes: 10, symlinks: 'follow' });
    expect(predicate.serialization).toEqual({ method: 'shards', hash_type: 'sha256', shard_size: 10, allow_symlinks: true });
    expect(predicate.resources.map((r) => r.name)).toEqual(['w:0:10', 'w:100:110', 'w:10:20', 'w:20:30']);
    expect(new Set(predicate.resources.map((r) => r.algorithm))).toEqual(new Set(['sha256-sharded-10']));
  });

  it.each([
    ['no files', []],
    ['only sharded files of zero bytes', [{ path: path('empty'), parts: [] }]],
  ])('does not come into being over %s', (_what, files) => {
    expect(() => writeStatement({ ...FACTS, files })).toThrow(expect.objectContaining({ code: 'MODEL_EMPTY' }));
  });

  it('is the same bytes in whatever order the files were hashed', () => {
    fc.assert(
      fc.property(names, fc.infiniteStream(fc.nat()), (list, random) => {
        const files = list.map((name) => file(name));
        const shuffled = files
          .map((f) => ({ f, key: random.next().value ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ f }) => f);
        expect(writeStatement({ ...FACTS, files: shuffled }).bytes.equals(writeStatement({ ...FACTS, files }).bytes)).toBe(true);
      }),
    );
  });

  it('is read back by the verifier as what was written, whatever the names', () => {
    fc.assert(
      fc.property(names, (list) => {
        const statement = writeStatement({ ...FACTS, files: list.map((name) => file(name)) });
        const claims = readClaims({ bytes: statement.bytes, encoding: 'DSSEv1' });
        expect(claims.files.map((f) => f.path)).toEqual([...list].sort(compareByName));
        expect(claims.rootDigest).toBe(statement.rootDigest);
        for (const f of claims.files) expect(f.parts[0].digest).toBe(digestOf(f.path));
      }),
    );
  });

  it('is read back with every shard in its place, whatever the lengths', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 70 }), (lengths, size) => {
        const files = lengths.map((length, i): DigestedFile => {
          const starts = Array.from({ length: Math.ceil(length / size) }, (_, n) => n * size);
          const parts = starts.map((start) => ({ range: { start, end: Math.min(length, start + size) }, digest: digestOf(`${i}:${start}`) }));
          return { path: path(`odd:${i}:name`), parts };
        });
        const claims = readClaims({ bytes: writeStatement({ ...FACTS, files, shardSizeBytes: size }).bytes });
        expect(claims.files.map((f) => f.sizeBytes)).toEqual(lengths);
        expect(claims.files).toEqual(files.map((f, i) => ({ ...f, algorithm: 'sha256', sizeBytes: lengths[i] })));
      }),
    );
  });
});

describe('a written bundle', () => {
  const envelope = { payload: Buffer.from('{}'), payloadType: PAYLOAD_TYPE, signature: Buffer.from('signature') } as const;

  it('is read back as a key bundle with its hint', () => {
    const bundle = parseBundle(writeBundle(envelope, { kind: 'key', hint: digestOf('key') }));
    expect(bundle).toEqual({ envelope, material: { kind: 'key', hint: digestOf('key'), timestamps: [] } });
  });

  it('is read back as a certificate bundle, leaf first', () => {
    const chain = [Buffer.from('leaf'), Buffer.from('intermediate')] as const;
    expect(parseBundle(writeBundle(envelope, { kind: 'certificate', chain })).material).toEqual({ kind: 'certificate', chain, timestamps: [] });
  });

  it('has the members other tools look for, and no others', () => {
    const json = JSON.parse(writeBundle(envelope, { kind: 'key', hint: digestOf('key') }).toString()) as Record<string, unknown>;
    expect(json).toEqual({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { publicKey: { hint: digestOf('key') }, tlogEntries: [] },
      dsseEnvelope: {
        payload: envelope.payload.toString('base64'),
        payloadType: 'application/vnd.in-toto+json',
        signatures: [{ sig: envelope.signature.toString('base64') }],
      },
    });
  });
});
