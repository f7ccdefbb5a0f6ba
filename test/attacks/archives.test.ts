// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { startHttpServer } from '../servers/httpServer.ts';
import { packed, paxOf, type TarEntry, tarOf, tgzOf, type ZipEntry, zipOf } from '../support/archives.ts';
import { fileScratch } from '../support/fileScratch.ts';
import { bundleOf, type Files, KEYS, leftovers, SMALL_MODEL, treeOf } from '../support/model.ts';
import { pullHere, runGate } from '../support/run.ts';

const tmp = fileScratch();
const fresh = tmp.fresh;

type Flags = Readonly<Record<string, unknown>>;
/** Everything that a run could have written lies below `parent`. */
async function pull(name: string, archive: Buffer, bundle: Buffer, flags: Flags = {}) {
  await using server = await startHttpServer({ files: { [`/${name}`]: archive, [`/${name}.sig`]: bundle } });
  const parent = fresh();
  const outcome = await pullHere([`${server.origin}/${name}`, `${parent}/models`], { flags: { unpack: true, ...flags } });
  return { ...outcome, parent };
}

async function refused(name: string, archive: Buffer, bundle: Buffer, reason: string, flags: Flags = {}): Promise<void> {
  const outcome = await pull(name, archive, bundle, flags);
  expect([outcome.reason, outcome.exitCode, outcome.error?.message]).toEqual([reason, 1, outcome.error?.message]);
  expect(existsSync(outcome.parent) ? readdirSync(outcome.parent) : []).toEqual([]);
}

const GOOD = { 'config.json': '{}' };
const good: TarEntry = { name: 'config.json', body: '{}' };

/** By a signer who was deceived, or is hostile himself: the archive file is signed. And not signed: beside a signed tree. */
async function refusedBothWays(name: string, archive: Buffer, reason: string, flags: Flags = {}): Promise<void> {
  await refused(name, archive, bundleOf({ [name]: archive }), reason, flags);
  await refused(name, archive, bundleOf(GOOD), reason, flags);
}

describe('a tar with', () => {
  test.each<[string, string, readonly TarEntry[]]>([
    ['a name that climbs', 'PATH_UNSAFE', [good, { name: '../evil', body: 'x' }]],
    ['a name that climbs later', 'PATH_UNSAFE', [{ name: './a/../../evil', body: 'x' }, good]],
    ['a directory that climbs', 'PATH_UNSAFE', [good, { name: '../evil/', type: '5' }]],
    ['an absolute name', 'PATH_UNSAFE', [{ name: '/etc/cron.d/evil', body: 'x' }]],
    ['an absolute name behind a dot', 'PATH_UNSAFE', [{ name: './/etc/../..', body: 'x' }]],
    ['a climbing name in a PAX header', 'PATH_UNSAFE', [paxOf({ path: '../../evil' }), good]],
    ['a NUL in a PAX header', 'PATH_UNSAFE', [paxOf({ path: 'config.json\0.py' }), good]],
    ['a climbing GNU long name', 'PATH_UNSAFE', [{ name: '././@LongLink', type: 'L', body: '../evil\0' }, good]],
    ['a name that is no UTF-8', 'PATH_UNSAFE', [{ name: Buffer.from([0x61, 0xff, 0x62]), body: 'x' }]],
    ['a symbolic link', 'FILE_TYPE', [good, { name: 'link', type: '2', link: '/etc/passwd' }]],
    ['a symbolic link for a signed name', 'FILE_TYPE', [{ name: 'config.json', type: '2', link: '/etc/passwd' }]],
    ['a link and a file through it', 'FILE_TYPE', [{ name: 'dir', type: '2', link: '/tmp' }, { name: 'dir/evil', body: 'x' }, good]],
    ['a hard link', 'FILE_TYPE', [good, { name: 'hard', type: '1', link: '/etc/shadow' }]],
    ['a hard link for a signed name', 'FILE_TYPE', [{ name: 'a', type: '1', link: 'b' }, good]],
    ['a character device', 'FILE_TYPE', [good, { name: 'null', type: '3' }]],
    ['a block device', 'FILE_TYPE', [good, { name: 'sda', type: '4' }]],
    ['a FIFO', 'FILE_TYPE', [good, { name: 'pipe', type: '6' }]],
    ['a sparse file of GNU', 'FILE_TYPE', [good, { name: 'sparse', type: 'S', body: 'x' }]],
    ['a sparse file of PAX', 'FILE_TYPE', [paxOf({ 'GNU.sparse.major': '1', 'GNU.sparse.name': 'config.json' }), good]],
    ['a kind that nobody knows', 'FILE_TYPE', [good, { name: 'odd', type: 'Q', body: 'x' }]],
    ['the same file twice', 'ARCHIVE_INVALID', [good, good]],
    ['the same file twice, once behind a dot', 'ARCHIVE_INVALID', [good, { name: './config.json', body: 'other' }]],
    ['a length that is not a number', 'ARCHIVE_INVALID', [paxOf({ size: '1e9' }), good]],
    ['a length beyond all numbers', 'ARCHIVE_INVALID', [paxOf({ size: '99999999999999999999' }), good]],
    ['a length beyond its end', 'ARCHIVE_INVALID', [{ ...good, size: 100_000 }]],
    ['a second name in the comment of a PAX header', 'ARCHIVE_INVALID', [paxOf({ comment: 'x\n16 path=evil.py' }), good]],
    ['a line break in the name of a PAX header', 'ARCHIVE_INVALID', [paxOf({ path: 'a\nb' }), good]],
    [
      'a name behind binary attributes',
      'ARCHIVE_INVALID',
      [{ name: 'x', type: 'x', body: Buffer.from('15 a=\xff\xff\xff\n16 path=evil.py\n', 'latin1') }, good],
    ],
    ['an extended header of more than a megabyte', 'ARCHIVE_INVALID', [paxOf({ comment: 'x'.repeat(1_100_000) }), good]],
  ])('%s is %s', async (_, reason, entries) => {
    await refusedBothWays('m.tar', tarOf(entries), reason);
    await refusedBothWays('m.tgz', tgzOf(entries), reason);
  });

  test.each<[string, string, readonly TarEntry[]]>([
    [
      'names that differ by case',
      'PATH_UNSAFE',
      [
        { name: 'A', body: 'x' },
        { name: 'a', body: 'x' },
      ],
    ],
    [
      'names that differ by Unicode form',
      'PATH_UNSAFE',
      [
        { name: 'e\u0301', body: 'x' },
        { name: '\u00e9', body: 'x' },
      ],
    ],
    [
      'directories that differ by case',
      'PATH_UNSAFE',
      [
        { name: 'D/x', body: 'x' },
        { name: 'd/y', body: 'x' },
      ],
    ],
    ['a name of our own', 'PATH_UNSAFE', [{ name: '.model-gate-host-0/tree/x', body: 'x' }]],
    [
      'a file where another needs a directory',
      'ARCHIVE_INVALID',
      [
        { name: 'a', body: 'x' },
        { name: 'a/b', body: 'x' },
      ],
    ],
    [
      'a file where a directory was',
      'ARCHIVE_INVALID',
      [
        { name: 'a/b', body: 'x' },
        { name: 'a', body: 'x' },
      ],
    ],
    [
      'a file and an empty directory of one name',
      'ARCHIVE_INVALID',
      [
        { name: 'a/', type: '5' },
        { name: 'a', body: 'x' },
      ],
    ],
    ['no file at all', 'ARCHIVE_INVALID', [{ name: 'a/', type: '5' }]],
  ])('%s is %s, although the archive is signed', async (_, reason, entries) => {
    const archive = tarOf(entries);
    await refused('m.tar', archive, bundleOf({ 'm.tar': archive }), reason);
  });
});

describe('a zip with', () => {
  test.each<[string, string, readonly ZipEntry[]]>([
    ['a name that climbs', 'PATH_UNSAFE', [{ name: '../evil', body: 'x' }]],
    ['an absolute name', 'PATH_UNSAFE', [{ name: '/etc/evil', body: 'x' }]],
    ['a NUL in a name', 'PATH_UNSAFE', [{ name: 'config.json\0.py', body: 'x' }]],
    ['backslashes that climb', 'ARCHIVE_INVALID', [{ name: '..\\..\\evil', body: 'x' }]],
    ['a symbolic link', 'FILE_TYPE', [{ name: 'config.json', body: '/etc/passwd', mode: 0o120777 }]],
    ['a device', 'FILE_TYPE', [{ name: 'null', mode: 0o020666 }]],
    [
      'the same file twice',
      'ARCHIVE_INVALID',
      [
        { name: 'config.json', body: '{}' },
        { name: 'config.json', body: '{}' },
      ],
    ],
    ['an encrypted member', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{}', flags: 0x801 }]],
    ['strong encryption', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{}', flags: 0x841 }]],
    ['a method that nobody knows', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{}', method: 14 }]],
    ['another name in its local header', 'ARCHIVE_INVALID', [{ name: 'config.json', localName: 'conf1g.json', body: '{}' }]],
    ['a length that is too small', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{"long": true}', size: 2 }]],
    ['a length that is too large', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{}', size: 200 }]],
    ['a length of a stored member that is another', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{}', size: 3, method: 0 }]],
    ['a wrong checksum', 'ARCHIVE_INVALID', [{ name: 'config.json', body: '{}', crc: 1 }]],
  ])('%s is %s', async (_, reason, entries) => {
    await refusedBothWays('m.zip', zipOf(entries), reason);
  });

  test('more members than it says, or fewer, is ARCHIVE_INVALID', async () => {
    const entries = [{ name: 'config.json', body: '{}' }, { name: 'b' }];
    for (const count of [1, 3]) await refusedBothWays('m.zip', zipOf(entries, count), 'ARCHIVE_INVALID', { 'ignore-unsigned-files': true });
  });

  test('members that overlap is ARCHIVE_INVALID', async () => {
    const body = Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * 7919) % 251));
    const entries = Array.from({ length: 50 }, (_, i): ZipEntry => ({ name: `f${i}`, localName: 'f0', body, method: 0, overlaps: i > 0 }));
    const archive = zipOf(entries);
    await refused('m.zip', archive, bundleOf({ 'm.zip': archive }), 'ARCHIVE_INVALID');
  });
});

describe('an archive that is damaged', () => {
  test.each(['m.tar', 'm.tgz', 'm.zip'])('%s, cut anywhere, never passes', async (name) => {
    const archive = packed(name, GOOD);
    for (const at of [0, 1, 3, 100, Math.min(1300, archive.length >> 1)]) {
      const cut = archive.subarray(0, at);
      expect([at, (await pull(name, cut, bundleOf({ [name]: cut }))).reason]).toEqual([at, 'ARCHIVE_INVALID']);
      expect([at, (await pull(name, cut, bundleOf(GOOD))).reason]).toEqual([at, 'ARCHIVE_INVALID']);
    }
  });

  test('cut off after a whole member is a model with a missing file', async () => {
    const archive = tarOf([good]).subarray(0, 1024);
    await refused('m.tar', archive, bundleOf({ ...GOOD, 'weights.bin': 'w' }), 'FILE_MISSING');
  });

  test.each(['m.tar', 'm.tgz', 'm.zip'])('%s, by one bit anywhere, is refused or holds exactly what was signed', async (name) => {
    const archive = packed(name, GOOD);
    const bundle = bundleOf(GOOD);
    const step = Math.max(1, Math.floor(archive.length / 40));
    for (let at = 0; at < archive.length; at += step) {
      const bytes = Buffer.from(archive);
      bytes[at] = (bytes[at] ?? 0) ^ 0x41;
      const { reason, exitCode, parent } = await pull(name, bytes, bundle, { 'keep-bundle': false });
      expect([at, exitCode]).toEqual([at, reason === 'OK' ? 0 : 1]);
      expect(Object.keys(treeOf(`${parent}/models`))).toEqual(reason === 'OK' ? ['config.json'] : []);
    }
  });

  test('is no archive but something else', async () => {
    for (const name of ['m.tar', 'm.tgz', 'm.zip']) await refusedBothWays(name, Buffer.alloc(3000, 'not an archive'), 'ARCHIVE_INVALID');
    await refusedBothWays('m.tar', packed('m.zip', GOOD), 'ARCHIVE_INVALID');
  });
});

describe('a signed tree in an archive', () => {
  test('with one bit changed, a file missing, or one more is blocked', async () => {
    const bundle = bundleOf(SMALL_MODEL);
    const without = (name: string): Files => Object.fromEntries(Object.entries(SMALL_MODEL).filter(([other]) => other !== name));
    for (const name of ['m.tar', 'm.tar.gz', 'm.zip']) {
      await refused(name, packed(name, { ...SMALL_MODEL, 'weights/part-1.bin': Buffer.alloc(40_000, 'onE') }), bundle, 'DIGEST_MISMATCH');
      await refused(name, packed(name, without('weights/part-2.bin')), bundle, 'FILE_MISSING');
      await refused(name, packed(name, { ...SMALL_MODEL, 'evil.py': 'import os' }), bundle, 'FILE_UNSIGNED');
      await refused(name, packed(name, { ...SMALL_MODEL, 'evil.py': 'import os' }), bundleOf({ other: 'x', more: 'y' }), 'FILE_UNSIGNED');
    }
  });

  test('does not come through a signature over the archive that was exchanged', async () => {
    const bundle = bundleOf({ 'm.tar': tarOf([good]) });
    const { reason, events, parent } = await pull('m.tar', tarOf([good, { name: 'evil.py', body: 'x' }]), bundle);
    expect(reason).toBe('DIGEST_MISMATCH');
    expect(events.some((event) => event.kind === 'unpacking')).toBe(false);
    expect(existsSync(parent) ? readdirSync(parent) : []).toEqual([]);
  });

  test('is not believed by a bundle in it, signed by whomever', async () => {
    const inside = tarOf([good, { name: 'model.sig', body: bundleOf(GOOD) }]);
    await using server = await startHttpServer({ files: { '/m.tar': inside, '/m.tar/model.sig': bundleOf(GOOD) } });
    const outcome = await pullHere([`${server.origin}/m.tar`, `${fresh()}/models`], { flags: { unpack: true } });
    expect(outcome).toMatchObject({ reason: 'UNSIGNED', exitCode: 1 });
    expect(server.seen.map(({ url }) => url)).not.toContain('/m.tar');
  });

  test('stays out of names that climb even where unsigned files are ignored', async () => {
    await refused('m.tar', tarOf([good, { name: '../evil', body: 'x' }]), bundleOf(GOOD), 'PATH_UNSAFE', { 'ignore-unsigned-files': true });
    const skipped = tarOf([good, { name: 'link', type: '2', link: '/etc' }, { name: 'link/passwd', body: 'x' }]);
    const { reason, parent } = await pull('m.tar', skipped, bundleOf(GOOD), { 'ignore-unsigned-files': true, 'keep-bundle': false });
    expect(reason).toBe('OK');
    expect(Object.keys(treeOf(`${parent}/models`))).toEqual(['config.json']);
  });
});

describe('a bomb', () => {
  const zeros = Buffer.alloc(100 * 1024 * 1024);
  const bombs = {
    'm.tgz': tgzOf([{ name: 'config.json', body: zeros }]),
    'm.zip': zipOf([{ name: 'config.json', body: zeros }]),
    // Zeros behind what looks like a small member.
    'n.tgz': gzipSync(Buffer.concat([tarOf([{ ...good, name: 'a' }]).subarray(0, 1024), tarOf([{ name: 'b', body: zeros }])])),
  };

  test.each(Object.entries(bombs))('%s ends at the ratio, long before the end', async (name, archive) => {
    const { reason, error, events, parent } = await pull(name, archive, bundleOf({ [name]: archive }));
    expect([reason, error?.message]).toEqual(['LIMIT_EXCEEDED', expect.stringContaining('--max-unpack-ratio 100')]);
    const written = events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.bytes : 0), 0);
    expect(written).toBeLessThan(66 * 1024 * 1024);
    expect(readdirSync(parent)).toEqual([]);
  });

  test('in a member that nobody signed ends as well', async () => {
    await refused('n.tgz', bombs['n.tgz'], bundleOf(GOOD), 'LIMIT_EXCEEDED', { 'ignore-unsigned-files': true });
  });

  test('of a genuine kind passes with a higher ratio', async () => {
    const { reason } = await pull('m.zip', bombs['m.zip'], bundleOf({ 'm.zip': bombs['m.zip'] }), { 'max-unpack-ratio': 2000 });
    expect(reason).toBe('OK');
  });

  test('within a bomb is not unpacked twice', async () => {
    await refusedBothWays('m.tgz', gzipSync(tgzOf([good])), 'ARCHIVE_INVALID');
  });

  test.each(['m.tar', 'm.tgz', 'm.zip'])('%s of many members, of a large one, or of much in all ends at its limit', async (name) => {
    const archive = packed(name, { ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f${i}`, Buffer.alloc(1000, `${i}`)])) });
    const bundle = bundleOf({ [name]: archive });
    await refused(name, archive, bundle, 'LIMIT_EXCEEDED', { 'max-entries': 20 });
    await refused(name, archive, bundle, 'LIMIT_EXCEEDED', { 'max-unpacked-size': 10_000 });
    const large = packed(name, { big: Buffer.alloc(100_000, 'x') });
    const limit = large.length > 50_000 ? undefined : 50_000;
    if (limit !== undefined) await refused(name, large, bundleOf({ [name]: large }), 'LIMIT_EXCEEDED', { 'max-file-size': limit });
  });

  test('of slashes in names is refused before they are looked at', async () => {
    const start = performance.now();
    await refusedBothWays('m.tar', tarOf([paxOf({ path: `${'/'.repeat(900_000)}x/` }), { name: 'x', type: '5' }, good]), 'PATH_UNSAFE');
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test('of a million empty members ends at the ratio or at the count', async () => {
    const header = tarOf([{ name: 'x' }]).subarray(0, 512);
    const archive = gzipSync(Buffer.concat([...Array.from({ length: 200_000 }, () => header), Buffer.alloc(1024)]));
    await refused('m.tgz', archive, bundleOf({ x: '', y: '' }), 'ARCHIVE_INVALID');
    await refused('m.tgz', archive, bundleOf({ y: '' }), 'LIMIT_EXCEEDED', { 'ignore-unsigned-files': true });
    await refused('m.tgz', archive, bundleOf({ y: '' }), 'LIMIT_EXCEEDED', { 'ignore-unsigned-files': true, 'max-entries': 1000 });
  });
});

test('a refused archive ends the process with 1, its reason, and an empty destination', async () => {
  const dir = fresh();
  const archive = tarOf([good, { name: '../evil', body: 'x' }]);
  await using server = await startHttpServer({ files: { '/m.tar': archive, '/m.tar.sig': bundleOf({ 'm.tar': archive }) } });
  const ended = await runGate([`${server.origin}/m.tar`, `${dir}/models`], { env: { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem } });
  expect(ended).toMatchObject({ code: 1, termination: { verdict: 'refused', reason: 'PATH_UNSAFE' } });
  expect(ended.stderr).not.toContain(dir.concat('/evil'));
  expect([treeOf(dir), leftovers(dir)]).toEqual([{}, []]);
});

test('a signal while unpacking leaves nothing under a final name', async () => {
  const archive = tarOf(Array.from({ length: 200 }, (_, i) => ({ name: `f${i}`, body: Buffer.alloc(20_000, `${i}`) })));
  const abort = new AbortController();
  const parent = fresh();
  const path = `${fresh()}.tar`;
  writeFileSync(path, archive);
  writeFileSync(`${path}.sig`, bundleOf({ [path.replace(/.*\//, '')]: archive }));
  let done = 0;
  const outcome = await pullHere([path, `${parent}/models`], {
    flags: { unpack: true },
    signal: abort.signal,
    onEvent(event) {
      if (event.kind === 'fileDone' && ++done === 20) abort.abort(new Error('stop'));
    },
  });
  expect(outcome.reason).not.toBe('OK');
  expect(outcome.events.filter((event) => event.kind === 'fileDone').length).toBeLessThan(60);
  expect(treeOf(`${parent}/models`)).toEqual({});
});
