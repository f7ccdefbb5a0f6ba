// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/oms/manifest.ts';
import { compareByName } from '../../src/oms/path.ts';
import { type Resource, resourceOf, shardsOf } from '../support/signer.ts';
import { listed, read, refused } from './payload.ts';

const malformed = (message?: RegExp): unknown => refused('BUNDLE_MALFORMED', message);

/** The manifest of these shards in the specification's order. */
function sharded(resources: readonly Resource[], shardSize: unknown = 10, serialization: object = {}): Manifest {
  const sorted = [...resources].sort((a, b) => compareByName(a.name, b.name));
  return read(listed(sorted, { method: 'shards', shard_size: shardSize, ...serialization }));
}

const ranges = (manifest: Manifest, index = 0): unknown => manifest.files[index]?.parts.map((part) => part.range);
const shard = (name: string): Resource => resourceOf(name, name);

describe('shards', () => {
  it('become the parts of their files, in the order of their bytes', () => {
    const manifest = sharded([...shardsOf('b', Buffer.alloc(125), 10), ...shardsOf('a', Buffer.alloc(20), 10)]);
    expect(manifest).toMatchObject({
      method: 'shards',
      shardSizeBytes: 10,
      files: [
        { path: 'a', sizeBytes: 20 },
        { path: 'b', sizeBytes: 125 },
      ],
    });
    expect(ranges(manifest)).toEqual([
      { start: 0, end: 10 },
      { start: 10, end: 20 },
    ]);
    // By name '100:110' comes before '20:30'.
    expect(ranges(manifest, 1)).toEqual(Array.from({ length: 13 }, (_, i) => ({ start: 10 * i, end: Math.min(125, 10 * i + 10) })));
  });

  it('may be listed by path components and number, as the reference does', () => {
    const numeric = [...shardsOf('a/x', Buffer.alloc(30), 10), ...shardsOf('a-b', Buffer.alloc(125), 10)];
    expect(read(listed(numeric, { method: 'shards', shard_size: 10 })).files.map((f) => f.path)).toEqual(['a/x', 'a-b']);
    expect(() => read(listed(numeric.toReversed(), { method: 'shards', shard_size: 10 }))).toThrow(malformed(/not sorted/));
  });

  it('are labelled with the hash alone, or with the hash and the size as the reference does', () => {
    const labelled = (algorithm: string): Manifest => sharded(shardsOf('a', Buffer.alloc(25), 10).map((r) => ({ ...r, algorithm })));
    expect(labelled('sha256').files).toEqual(labelled('sha256-sharded-10').files);
    for (const label of ['sha256-sharded-100', 'sha256-sharded-', 'sha256-sharded-10.0', 'blake3-sharded-10', 'sha256-sharded']) {
      expect(() => labelled(label)).toThrow(refused('ALGORITHM_REFUSED'));
    }
  });

  it.each([undefined, null, 0, -10, 1.5, '10', 1e300, [10]])('have a size that is a positive whole number, not %j', (shardSize) => {
    expect(() => sharded(shardsOf('a', Buffer.alloc(25), 10), shardSize, { shard_size: shardSize })).toThrow(malformed(/shard_size is not a positive integer/));
  });

  it('may have a size written as a floating-point number, as the reference does', () => {
    const text = JSON.stringify(listed(shardsOf('a', Buffer.alloc(25), 10), { method: 'shards', shard_size: 10 })).replace(
      '"shard_size":10',
      '"shard_size":10.0',
    );
    expect(text).toContain('10.0');
    expect(read(text)).toHaveProperty('shardSizeBytes', 10);
  });

  it.each([
    'a',
    'a:0',
    'a::10',
    'a:0:',
    'a:00:10',
    'a:+0:10',
    'a:-0:10',
    'a:0:1e1',
    'a:0:0x0a',
    'a:0:010',
    'a: 0:10',
    'a:0:10 ',
    'a:0:10\n',
    ':0:10',
    '0:10',
    'a:10:0:',
    'a:0:10:x',
    'a:٠:10',
  ])('are named <path>:<start>:<end> in plain decimal numbers, not %j', (name) => {
    expect(() => sharded([shard(name)])).toThrow(malformed(/is not <path>:<start>:<end>/));
  });

  it.each([
    ['an empty range', ['a:10:10']],
    ['a reversed range', ['a:10:5']],
    ['a first range that is not at the start', ['a:10:20']],
    ['a gap', ['a:0:10', 'a:20:30']],
    ['an overlap', ['a:0:10', 'a:5:15']],
    ['one range twice', ['a:0:10', 'a:0:10']],
    ['a range longer than the size', ['a:0:11']],
    ['a range for all of a longer file', ['a:0:25']],
    ['a short range that is not the last', ['a:0:5', 'a:5:15']],
    ['a hole after the last', ['a:0:10', 'a:11:12']],
  ])('do not have %s', (_, names) => {
    expect(() => sharded(names.map(shard))).toThrow(malformed(/do not cover it|listed twice/));
  });

  it('belong to names that may hold colons themselves: the last two parts are the range', () => {
    const manifest = sharded([...shardsOf('a:0:10', Buffer.alloc(15), 10), ...shardsOf('b\n:', Buffer.alloc(5), 10)]);
    expect(manifest.files.map((f) => [f.path, f.sizeBytes])).toEqual([
      ['a:0:10', 15],
      ['b\n:', 5],
    ]);
  });

  it('have safe names that clash with no other', () => {
    for (const name of ['../a:0:5', '/a:0:5', 'a/../b:0:5', 'a\0:0:5', 'a/:0:5']) expect(() => sharded([shard(name)])).toThrow(refused('PATH_UNSAFE'));
    expect(() => sharded(['a:0:5', 'a/b:0:5'].map(shard))).toThrow(refused('PATH_UNSAFE', /both as a file and as a directory/));
    expect(sharded(['__proto__:0:5', 'constructor:0:5'].map(shard)).files).toHaveLength(2);
  });

  it('of a single file may call it "."', () => {
    expect(sharded(shardsOf('.', Buffer.alloc(25), 10)).files).toMatchObject([{ path: '.', sizeBytes: 25 }]);
    expect(() => sharded(['.:0:5', 'a:0:5'].map(shard))).toThrow(refused('PATH_UNSAFE'));
  });

  it('do not look like whole files of the same name, nor whole files like shards', () => {
    expect(read(listed([resourceOf('a:0:10', 'x')])).files[0]).toMatchObject({ path: 'a:0:10', parts: [{ range: 'whole' }] });
  });
});

describe('shards, as a property', () => {
  const cut = fc.record({ size: fc.integer({ min: 1, max: 400 }), step: fc.integer({ min: 1, max: 120 }), name: fc.constantFrom('a', 'a:b', 'd/e', '0:1') });

  it('cover a file of any size in steps of any size', () => {
    fc.assert(
      fc.property(cut, ({ size, step, name }) => {
        const resources = shardsOf(name, Buffer.alloc(size), step);
        const manifest = sharded(resources, step);
        expect(manifest.files).toMatchObject([{ path: name, sizeBytes: size, parts: { length: resources.length } }]);
        expect(manifest.files[0].parts.map((p) => p.digest)).toEqual(resources.map((r) => r.digest));
      }),
    );
  });

  it('are refused when a range before the last is taken out', () => {
    fc.assert(
      fc.property(cut, fc.nat(), ({ size, step, name }, at) => {
        const resources = shardsOf(name, Buffer.alloc(size), step);
        fc.pre(resources.length > 1);
        expect(() => sharded(resources.toSpliced(at % (resources.length - 1), 1), step)).toThrow(malformed(/do not cover/));
      }),
    );
  });

  it('say a shorter file when the last range is taken out, which the real length then contradicts', () => {
    fc.assert(
      fc.property(cut, ({ size, step, name }) => {
        const resources = shardsOf(name, Buffer.alloc(size), step);
        fc.pre(resources.length > 1);
        expect(sharded(resources.slice(0, -1), step).files[0].sizeBytes).toBe((resources.length - 1) * step);
      }),
    );
  });

  it('are refused when any bound of any range is moved; only a shorter end of the file can stand, as another size', () => {
    fc.assert(
      fc.property(cut, fc.nat(), fc.constantFrom('start', 'end'), fc.integer({ min: -3, max: 3 }), ({ size, step, name }, at, bound, by) => {
        const resources = shardsOf(name, Buffer.alloc(size), step);
        const i = at % resources.length;
        const [start, end] = [i * step, Math.min(size, (i + 1) * step)];
        const moved = bound === 'start' ? [start + by, end] : [start, end + by];
        const [from = 0, to = 0] = moved;
        fc.pre(by !== 0);
        const changed = resources.with(i, { ...resourceOf('', 'x'), name: `${name}:${from}:${to}` });
        const standing = bound === 'end' && i === resources.length - 1 && to > from && to - from <= step;
        if (standing) expect(sharded(changed, step).files[0].sizeBytes).toBe(to);
        else expect(() => sharded(changed, step)).toThrow(refused('BUNDLE_MALFORMED'));
      }),
      { numRuns: 500 },
    );
  });
});
