// SPDX-License-Identifier: Apache-2.0
import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type ByteSource, bufferSource } from '../../src/formats/byteSource.ts';
import { Defect } from '../../src/formats/finding.ts';
import { readZip, type Zip } from '../../src/formats/zip.ts';
import { u16, u32, u64 } from './look.ts';

/** What a member is, and the lies about it: in the header before it, and in the directory. */
type Member = {
  readonly name?: string | Buffer;
  readonly extra?: Buffer;
  readonly comment?: string;
  readonly data?: Buffer | string;
  readonly sizeBytes?: number;
  readonly method?: number;
  readonly flags?: number;
  readonly local?: {
    readonly name?: string;
    readonly extra?: Buffer;
    readonly method?: number;
    readonly flags?: number;
    readonly packed?: number;
    readonly size?: number;
  };
  readonly at?: number;
  readonly between?: Buffer;
};

/** An archive of members, each as it is packed already. */
function zip(members: readonly Member[], count = members.length): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  const none = Buffer.alloc(0);
  for (const { name: named = 'a', data = 'hello', method = 0, flags = 0, local = {}, between = none, extra = none, comment = '', ...more } of members) {
    const bytes = Buffer.from(data);
    const name = Buffer.from(named);
    const localName = Buffer.from(local.name ?? name);
    const localExtra = local.extra ?? none;
    const size = more.sizeBytes ?? bytes.length;
    const facts = (marks: number, packedBy: number, packed: number, unpacked: number): Buffer =>
      Buffer.concat([u16(20), u16(marks), u16(packedBy), u32(0), u32(crc32(bytes)), u32(packed), u32(unpacked)]);
    const before = Buffer.concat([
      Buffer.from('PK\x03\x04'),
      facts(local.flags ?? flags, local.method ?? method, local.packed ?? bytes.length, local.size ?? size),
      ...[u16(localName.length), u16(localExtra.length), localName, localExtra],
    ]);
    directory.push(
      Buffer.concat([
        ...[Buffer.from('PK\x01\x02'), u16(20), facts(flags, method, bytes.length, size)],
        ...[u16(name.length), u16(extra.length), u16(comment.length), u16(0), u16(0), u32(0), u32(more.at ?? at), name, extra, Buffer.from(comment, 'latin1')],
      ]),
    );
    parts.push(before, bytes, between);
    at += before.length + bytes.length + between.length;
  }
  const central = Buffer.concat(directory);
  return Buffer.concat([...parts, central, Buffer.from('PK\x05\x06'), u32(0), u16(count), u16(count), u32(central.length), u32(at), u16(0)]);
}

const extraField = (id: number, ...data: Buffer[]): Buffer => Buffer.concat([u16(id), u16(Buffer.concat(data).length), ...data]);
const unicodePath = (name: string): Buffer => extraField(0x7075, Buffer.from([1]), u32(crc32('a')), Buffer.from(name));

const read = (file: Buffer, maxMembers = 100): Promise<Zip> => readZip(bufferSource(file), maxMembers);
const problems = async (...members: readonly Member[]): Promise<readonly string[]> => (await read(zip(members))).problems;

async function contents(file: Buffer, budget = { inflatedBytes: 1_000_000 }): Promise<readonly (readonly [string, number, string])[]> {
  const found: (readonly [string, number, string])[] = [];
  for (const { name, sizeBytes, open } of (await read(file)).members) {
    const content = await open(budget);
    found.push([name, sizeBytes, Buffer.from(await content.read(0, content.sizeBytes)).toString()]);
  }
  return found;
}

const packed = (text: string): Member => ({ data: deflateRawSync(text), sizeBytes: text.length, method: 8 });

describe('the members of a zip', () => {
  it('are what its directory lists, with their content', async () => {
    const file = zip([
      { name: 'a', data: 'one' },
      { name: 'dir/b', data: 'three' },
      { name: 'c', data: '' },
      { ...packed('packed '.repeat(20)), name: 'd' },
    ]);
    expect(await contents(file)).toEqual([
      ['a', 3, 'one'],
      ['dir/b', 5, 'three'],
      ['c', 0, ''],
      [
        'd',
        140,
        'packed packed packed packed packed packed packed packed packed packed packed packed packed packed packed packed packed packed packed packed ',
      ],
    ]);
    expect((await read(file)).problems).toEqual([]);
  });

  it('are none in an empty archive', async () => {
    expect(await read(zip([]))).toEqual({ members: [], problems: [] });
  });

  it('do not include directories', async () => {
    expect(await contents(zip([{ name: 'dir/', data: '' }, { name: 'dir/a' }]))).toEqual([['dir/a', 5, 'hello']]);
    expect(await problems({ name: 'dir/', data: '' }, { name: 'dir/a' })).toEqual([]);
  });

  it('are unpacked within a limit that they share', async () => {
    const budget = { inflatedBytes: 100 };
    const file = zip([packed('x'.repeat(60))]);
    expect((await contents(file, budget))[0]?.[1]).toBe(60);
    expect(budget.inflatedBytes).toBe(40);
    await expect(contents(file, budget)).rejects.toThrow(/more than the first 40 decompressed bytes/);
    await expect(contents(file, budget)).rejects.toThrow(new Defect('decompresses to more than is judged in one file'));
  });

  it('have the size that the directory says', async () => {
    await expect(contents(zip([{ ...packed('hello'), sizeBytes: 6 }]))).rejects.toThrow(new Defect('decompresses to 5 bytes, not to 6'));
  });

  it.each([1, 6, 9, 12, 14, 93, 99])('are not read when packed by method %i', async (method) => {
    const { members } = await read(zip([{ method }]));
    expect(members).toHaveLength(1);
    await expect(members[0]?.open({ inflatedBytes: 100 })).rejects.toThrow(new Defect(`is compressed by method ${method}, which cannot be read`));
  });

  it('are no more than are asked for', async () => {
    const file = zip([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
    expect((await read(file, 3)).members).toHaveLength(3);
    await expect(read(file, 2)).rejects.toThrow(new Defect('has 3 members, more than are judged'));
  });
});

describe('what readers of a zip disagree on is told:', () => {
  it.each<[string, readonly Member[], readonly string[]]>([
    ['a name twice', [{ name: 'a' }, { name: 'b' }, { name: 'a' }], ['has two members ‘a’']],
    [
      'a directory twice',
      [
        { name: 'd/', data: '' },
        { name: 'd/', data: '' },
      ],
      ['has two members ‘d/’'],
    ],
    ['two names', [{ name: 'a', local: { name: 'b' } }], ['a member has two names (‘a’)']],
    ['two methods', [{ name: 'a', local: { method: 8 } }], ['a member has two compression methods (‘a’)']],
    ['a name in two encodings', [{ name: '\u00e9', flags: 0x800, local: { flags: 0 } }], ['a member has two names (‘\u00e9’)']],
    ['a name in its extra field', [{ name: 'a', extra: unicodePath('b') }], ['a member has two names (‘a’)']],
    ['a name in the extra field before it', [{ name: 'a', local: { extra: unicodePath('b') } }], ['a member has two names (‘a’)']],
    ['an extra field for a name, but none in it', [{ name: 'a', extra: extraField(0x7075) }], ['a member has two names (‘a’)']],
    ['two sizes', [{ name: 'a', local: { size: 4 } }], ['a member has two sizes (‘a’)']],
    ['extra fields that are none', [{ local: { extra: Buffer.from('abcdef') } }], ['a member has extra fields that cannot be read (‘a’)']],
    ['no size', [{ name: 'a', local: { size: 0 } }], ['a member has two sizes (‘a’)']],
    ['no packed size', [{ name: 'a', local: { packed: 0 } }], ['a member has two sizes (‘a’)']],
    ['no size, but a promise of one in the directory', [{ name: 'a', flags: 8, local: { flags: 0, size: 0 } }], ['a member has two sizes (‘a’)']],
    ['a promise of a size, but another', [{ name: 'a', flags: 8, local: { size: 4 } }], ['a member has two sizes (‘a’)']],
    ['a size that would be elsewhere', [{ name: 'a', local: { size: 0xffffffff } }], ['a member has two sizes (‘a’)']],
    ['another size elsewhere', [{ name: 'a', local: { size: 0xffffffff, extra: extraField(1, u64(4)) } }], ['a member has two sizes (‘a’)']],
    ['half a size elsewhere', [{ name: 'a', local: { size: 0xffffffff, extra: extraField(1, u32(5)) } }], ['a member has two sizes (‘a’)']],
    [
      'another packed size elsewhere',
      [{ name: 'a', local: { size: 0xffffffff, packed: 0xffffffff, extra: extraField(1, u64(5), u64(4)) } }],
      ['a member has two sizes (‘a’)'],
    ],
    ['two fields for sizes', [{ name: 'a', extra: Buffer.concat([extraField(1, u64(5)), extraField(1, u64(4))]) }], ['a member has two sizes (‘a’)']],
    ['two packed sizes', [{ name: 'a', local: { packed: 6 } }], ['a member has two sizes (‘a’)']],
    ['a mark of encryption before it', [{ local: { flags: 0x1 } }], ['a member is marked as encrypted or patched (‘a’)']],
    ['a mark of a patch before it', [{ local: { flags: 0x20 } }], ['a member is marked as encrypted or patched (‘a’)']],
    ['a mark of a patch in the directory', [{ flags: 0x20, local: { flags: 0 } }], ['a member is marked as encrypted or patched (‘a’)']],
    ['a mark of strong encryption', [{ local: { flags: 0x40 } }], ['a member is marked as encrypted or patched (‘a’)']],
    ['a mark of masked names', [{ flags: 0x2000 }], ['a member is marked as encrypted or patched (‘a’)']],
    ['a directory with content', [{ name: 'd/' }], ['a directory has content (‘d/’)']],
    [
      'two lies about one, one about another',
      [{ local: { name: 'b', method: 8 } }, { name: 'c', local: { size: 1 } }],
      ['a member has two names (‘a’)', 'a member has two compression methods (‘a’)', 'a member has two sizes (‘c’)'],
    ],
  ])('%s', async (_what, members, expected) => {
    expect(await problems(...members)).toEqual(expected);
  });

  it('also of members that are read nevertheless', async () => {
    expect((await read(zip([{ name: 'a' }, { name: 'a' }, { name: 'd/' }]))).members.map(({ name }) => name)).toEqual(['a', 'a', 'd/']);
    expect(await read(zip([{ name: 'd/', data: '', method: 8, sizeBytes: 5 }]))).toMatchObject({
      members: [{ name: 'd/', sizeBytes: 5 }],
      problems: ['a directory has content (‘d/’)'],
    });
    // Nothing, packed, is something.
    expect((await read(zip([{ ...packed(''), name: 'd/' }]))).members.map(({ name }) => name)).toEqual(['d/']);
  });

  it.each<[string, Member]>([
    ['marks that mean nothing for the content', { flags: 0x0806 }],
    ['sizes that are told behind the content', { flags: 0x8, local: { packed: 0, size: 0 } }],
    ['sizes that are told elsewhere', { local: { packed: 0xffffffff, size: 0xffffffff, extra: extraField(1, u64(5), u64(5)) } }],
    ['a packed size that is told elsewhere', { local: { packed: 0xffffffff, extra: Buffer.concat([extraField(9, u64(4)), extraField(1, u64(5))]) } }],
    ['sizes that are told elsewhere, and there as behind the content', { flags: 8, local: { size: 0xffffffff, extra: extraField(1, u64(0)) } }],
    ['a size that stands there although it is promised', { flags: 8 }],
    ['sizes of nothing', { data: '' }],
    ['a name that is the same in all encodings', { flags: 0x800, local: { flags: 0 } }],
    ['the same name in an extra field', { extra: unicodePath('a'), local: { extra: unicodePath('a') } }],
    ['comments, which nobody reads', { comment: '\u0000../\u00e9' }],
    ['other extra fields', { extra: extraField(0x5455, u32(1)), local: { extra: extraField(0x4246, Buffer.from('ZZZ')) } }],
  ])('but not %s', async (_what, member) => {
    expect(await problems(member)).toEqual([]);
  });
});

describe('the name of a member', () => {
  const named = async (name: string | Buffer, flags = 0): Promise<string | undefined> => (await read(zip([{ name, flags }]))).members[0]?.name;

  it('is UTF-8 when its flags say so, else of code page 437, as for Python', async () => {
    expect(await named('\u00e9/日本', 0x800)).toBe('\u00e9/日本');
    expect(await named('\ufeffa', 0x800)).toBe('\ufeffa');
    expect(await named('a/b ~\u007f\u0001')).toBe('a/b ~\u007f\u0001');
    expect(await named(Buffer.from([0x61, 0x80, 0x82, 0xe1, 0xfe, 0xff]))).toBe('aÇ\u00e9ß■\u00a0');
  });

  it('is not another member’s, written in another way', async () => {
    const members = [
      { name: '\u00e9', flags: 0x800 },
      { name: Buffer.from([0x82]), flags: 0 },
    ];
    expect(await problems(...members)).toEqual(['has two members ‘\u00e9’']);
  });

  it.each<[string, string | Buffer, number, string]>([
    ['ends for some readers at a NUL', 'a.pkl\0/data/0', 0, 'has a member with a NUL in its name'],
    ['begins with a NUL', '\0', 0x800, 'has a member with a NUL in its name'],
    ['is not the UTF-8 that it says', Buffer.from([0x61, 0xff]), 0x800, 'has a member whose name is not UTF-8'],
    ['is a path for some readers', 'a\\b', 0, 'is no readable zip: invalid characters in fileName: a\\b'],
  ])('is refused when it %s', async (_what, name, flags, message) => {
    await expect(named(name, flags)).rejects.toThrow(new Defect(message));
  });

  it('is read at once, and no comment is', async () => {
    const long = (name: string): Member[] => Array.from({ length: 100 }, (_, at) => ({ name: Buffer.from(`${at}${name}`, 'latin1') }));
    const start = performance.now();
    await read(zip(long('\u0080'.repeat(65_000))));
    await read(zip(Array.from({ length: 1000 }, (_, at) => ({ name: `${at}`, comment: 'x'.repeat(65_535) }))), 1000);
    // The library took more than twice as long for the comments alone.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe('the place of members', () => {
  const gap = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');

  it('has nothing between them', async () => {
    expect(await problems({ name: 'a' }, { name: 'b' })).toEqual([]);
    expect(await problems({ name: 'a', between: gap(1) }, { name: 'b' })).toEqual(['has bytes between its members that belong to none']);
    expect(await problems({ name: 'a', between: gap(1) }, { name: 'b', between: gap(2) }, { name: 'c' })).toEqual([
      'has bytes between its members that belong to none',
    ]);
  });

  it('may leave 24 bytes behind one for its sizes, where its flags say so', async () => {
    expect(await problems({ name: 'a', flags: 8, between: gap(24) }, { name: 'b' })).toEqual([]);
    expect(await problems({ name: 'a', flags: 8, between: gap(25) }, { name: 'b' })).toEqual(['has bytes between its members that belong to none']);
    expect(await problems({ name: 'a', between: gap(16) }, { name: 'b', flags: 8 })).toEqual(['has bytes between its members that belong to none']);
    expect(await problems({ name: 'a', flags: 8 }, { name: 'b', between: gap(1) }, { name: 'c' })).toEqual([
      'has bytes between its members that belong to none',
    ]);
  });

  it('ends where the directory begins', async () => {
    expect(await problems({ between: gap(1) })).toEqual(['has bytes between its members that belong to none']);
    expect(await problems({ flags: 8, between: gap(24) })).toEqual([]);
    expect(await problems({ flags: 8, between: gap(25) })).toEqual(['has bytes between its members that belong to none']);
    // Also the place of one that is a directory.
    expect(await problems({ name: 'd/', data: '', between: gap(1) })).toEqual(['has bytes between its members that belong to none']);
    const unlisted = Buffer.concat([gap(3), zip([])]);
    unlisted.writeUInt32LE(3, 3 + 16);
    expect((await read(unlisted)).problems).toEqual(['has bytes between its members that belong to none']);
    const directory = 36;
    const late = zip([{ data: 'hello' }]);
    // Its content would go on in the directory.
    for (const [at, size] of [[18, 6] as const, [22, 6] as const, [directory + 20, 6] as const, [directory + 24, 6] as const]) late.writeUInt32LE(size, at);
    expect((await read(late)).problems).toEqual(['has members that overlap']);
  });

  it('is in the directory for as many as it counts', async () => {
    expect((await read(zip([{ name: 'a' }, { name: 'b' }], 1))).problems).toEqual([
      'has more in its directory than the members that it counts',
      'has bytes between its members that belong to none',
    ]);
  });

  it('is each one’s own', async () => {
    // The header of ‘a’ has 31 bytes, its content 5.
    expect(await problems({ name: 'a' }, { name: 'a', at: 0 })).toContainEqual('has members that overlap');
    const inner = Buffer.concat([Buffer.from('PK\x03\x04'), u16(20), u16(0), u16(0), u32(0), u32(0), u32(5), u32(5), u16(1), u16(0), Buffer.from('bhello')]);
    expect(await problems({ name: 'a', data: inner }, { name: 'b', data: 'hello', at: 31 })).toEqual([
      'has members that overlap',
      'has bytes between its members that belong to none',
    ]);
    // A long one reaches beyond the next and into the one behind that.
    expect(inner).toHaveLength(36);
    expect(await problems({ name: 'a', data: Buffer.concat([inner, inner]) }, { name: 'b', at: 31 }, { name: 'b', at: 67 })).toEqual([
      'has two members ‘b’',
      'has members that overlap',
      'has bytes between its members that belong to none',
    ]);
  });

  it('may be in another order than the directory’s', async () => {
    expect(await problems({ name: 'a', at: 36 }, { name: 'b', at: 0 })).toEqual(['a member has two names (‘a’)', 'a member has two names (‘b’)']);
  });
});

describe('what is no zip', () => {
  const good = zip([{ name: 'a' }]);
  const with4 = (at: number, bytes: Buffer): Buffer => Buffer.concat([good.subarray(0, at), bytes, good.subarray(at + 4)]);

  it.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /^is no readable zip: it has no end record$/],
    ['something else', Buffer.alloc(100, 'x'), /^is no readable zip: it has no end record$/],
    ['a zip that is cut off', good.subarray(0, -1), /^is no readable zip: it has no end record$/],
    ['a directory that is none', with4(36, Buffer.from('PK\x01\x03')), /^is no readable zip: invalid central directory file header signature/],
    ['a member without a header', with4(0, Buffer.from('PK\x03\x05')), /^is no readable zip: invalid local file header signature/],
    ['more members than there are', zip([{ name: 'a' }], 2), /^a record reaches beyond the end of the file$/],
    ['a header beyond the end', zip([{ at: 10_000 }]), /^a record reaches beyond the end of the file$/],
    ['a directory beyond the end', with4(good.length - 6, u32(10_000)), /^has its directory elsewhere than right before its end record$/],
    ['a name that leads outside', zip([{ name: '../a' }]), /^is no readable zip: invalid relative path/],
    ['an absolute name', zip([{ name: '/a' }]), /^is no readable zip: absolute path/],
    ['a stored member of two sizes', zip([{ sizeBytes: 4 }]), /^is no readable zip: compressed\/uncompressed size mismatch/],
    ['a strongly encrypted member', zip([{ flags: 0x40 }]), /^is no readable zip: strong encryption/],
  ])('is refused: %s', async (_what, file, message) => {
    await expect(read(file)).rejects.toThrow(Defect);
    await expect(read(file)).rejects.toThrow(message);
  });

  it('is not what cannot be read for other reasons', async () => {
    const failing = (from: number): ByteSource => ({
      sizeBytes: good.length,
      read: async (position, length) => {
        if (position < from) throw new TypeError('the disk is gone');
        return good.subarray(position, position + length);
      },
    });
    // The end, which the library reads as one; the directory; the header of the member.
    for (const from of [good.length, 37, 1]) await expect(readZip(failing(from), 100)).rejects.toThrow(new TypeError('the disk is gone'));
  });

  it('nor one of more than 64 MiB of directory', async () => {
    // Directories with long extra fields, all of the same name.
    const entry = Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.alloc(42), Buffer.from('d'), u16(0x9999), u16(65_531), Buffer.alloc(65_531)]);
    entry.writeUInt16LE(1, 28);
    entry.writeUInt16LE(65_535, 30);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(22), u16(1), u16(0), Buffer.from('d')]);
    const listed = (count: number): Buffer => {
      const end = [Buffer.from('PK\x05\x06'), u32(0), u16(count), u16(count), u32(count * entry.length), u32(31), u16(0)];
      return Buffer.concat([local, ...Array.from({ length: count }, () => entry), ...end]);
    };
    await expect(read(listed(1025), 2000)).rejects.toThrow(new Defect('has a directory larger than is read'));
    expect((await read(listed(200), 2000)).problems).toContain('has two members ‘d’');
  });
});
