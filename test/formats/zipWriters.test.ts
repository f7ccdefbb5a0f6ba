// SPDX-License-Identifier: Apache-2.0
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { formatsOf, refusalsOf, u16, u32, u64 } from './look.ts';

type Member = { readonly name: string; readonly data: Buffer | string };

/** Files as they are written, of a member ‘hello’. */
const WRITTEN: readonly [string, readonly string[]][] = [
  [
    'Python, with room for more than 4 GiB, comments, UTF-8 and a directory',
    [
      'UEsDBBQAAAgAAAAAIVwAAAAAAAAAAAAAAAADAAAAw6kvUEsDBC0AAAgAAAAAIVyGphA2//////////8IABQAw6kvYS50eHQBABAABQAAAAAAAAAFAAAAAAAA',
      'AGhlbGxvUEsBAhQDFAAACAAAAAAhXAAAAAAAAAAAAAAAAAMAAAAAAAAAAAAAAIABAAAAAMOpL1BLAQItAy0AAAgAAAAAIVyGphA2BQAAAAUAAAAIAAAACwAA',
      'AAAAAACAASEAAADDqS9hLnR4dG9mIGEgbWVtYmVyUEsFBgAAAAACAAIAcgAAAGAAAAAOAG9mIHRoZSBhcmNoaXZl',
    ],
  ],
  [
    'Python, to a pipe',
    [
      'UEsDBC0ACAAAAAAAIVwAAAAA//////////8FABQAYS50eHQBABAAAAAAAAAAAAAAAAAAAAAAAGhlbGxvUEsHCIamEDYFAAAAAAAAAAUAAAAAAAAAUEsDBBQA',
      'CAAAAAAAIVwAAAAAAAAAAAAAAAAFAAAAYi50eHRQSwcIAAAAAAAAAAAAAAAAUEsBAi0DLQAIAAAAAAAhXIamEDYFAAAABQAAAAUAAAAAAAAAAAAAAIABAAAA',
      'AGEudHh0UEsBAhQDFAAIAAAAAAAhXAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAIABVAAAAGIudHh0UEsFBgAAAAACAAIAZgAAAIcAAAAAAA==',
    ],
  ],
  [
    'Info-ZIP, to a pipe',
    [
      'UEsDBC0ACAAIALxDel0AAAAA//////////8BABQALQEAEAAAAAAAAAAAAAAAAAAAAAAAy0jNyckHAFBLBwiGphA2BwAAAAAAAAAFAAAAAAAAAFBLAQIeAy0A',
      'CAAIALxDel2GphA2BwAAAAUAAAABAAAAAAAAAAEAAACAEQAAAAAtUEsFBgAAAAABAAEALwAAAFIAAAAAAA==',
    ],
  ],
  [
    'Info-ZIP, with ZIP64',
    [
      'UEsDBC0AAAAAAAAAIVyGphA2//////////8FABQAYS50eHQBABAABQAAAAAAAAAFAAAAAAAAAGhlbGxvUEsBAh4DLQAAAAAAAAAhXIamEDYFAAAA/////wUA',
      'DAAAAAAAAQAAAKSBAAAAAGEudHh0AQAIAAUAAAAAAAAAUEsGBiwAAAAAAAAAHgMtAAAAAAAAAAAAAQAAAAAAAAABAAAAAAAAAD8AAAAAAAAAPAAAAAAAAABQ',
      'SwYHAAAAAHsAAAAAAAAAAQAAAFBLBQYAAAAAAQABAD8AAAD/////AAA=',
    ],
  ],
  [
    'bsdtar, with ZIP64',
    [
      'UEsDBC0ACAAIAAAAIVwAAAAA//////////8FADQAYS50eHRVVA0ABwC5VWlz7Qdrcu0Ha3V4CwABBAAAAAAEAAAAAAEAEAAFAAAAAAAAAAAAAAAAAAAAy0jN',
      'yckHAFBLBwiGphA2BwAAAAAAAAAFAAAAAAAAAFBLAQItAy0ACAAIAAAAIVyGphA2BwAAAAUAAAAFACAAAAAAAAAAAACkgQAAAABhLnR4dFVUDQAHALlVaXPt',
      'B2ty7QdrdXgLAAEEAAAAAAQAAAAAUEsGBiwAAAAAAAAALQAtAAAAAAAAAAAAAQAAAAAAAAABAAAAAAAAAFMAAAAAAAAAdgAAAAAAAABQSwYHAAAAAMkAAAAA',
      'AAAAAQAAAFBLBQYAAAAAAQABAFMAAAB2AAAAAAA=',
    ],
  ],
  [
    'jar',
    [
      'UEsDBBQACAgIAAAAIVwAAAAAAAAAAAAAAAAFAAQAYS50eHT+ygAAy0jNyckHAFBLBwiGphA2BwAAAAUAAABQSwECFAAUAAgICAAAACFchqYQNgcAAAAFAAAA',
      'BQAEAAAAAAAAAAAAAAAAAAAAYS50eHT+ygAAUEsFBgAAAAABAAEANwAAAD4AAAAAAA==',
    ],
  ],
];

/** As PyTorch writes: content at multiples of 64, its sizes behind it, and both kinds of end. */
function torchFile(members: readonly Member[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data } of members) {
    const bytes = Buffer.from(data);
    // Nothing follows the content of nothing.
    const flags = u16(bytes.length > 0 ? 0x0808 : 0x0800);
    const padding = 64 - ((at + 34 + name.length) % 64);
    const before = [Buffer.from('PK\x03\x04\0\0'), flags, Buffer.alloc(18), u16(name.length), u16(4 + padding), Buffer.from(name)];
    const facts = [u32(crc32(bytes)), u32(bytes.length), u32(bytes.length)];
    const parted = [...before, Buffer.from('FB'), u16(padding), Buffer.alloc(padding, 'Z'), bytes];
    const local = Buffer.concat(bytes.length > 0 ? [...parted, Buffer.from('PK\x07\x08'), ...facts] : parted);
    directory.push(Buffer.from('PK\x01\x02\0\0\0\0'), flags, Buffer.alloc(6), ...facts, u16(name.length), Buffer.alloc(12), u32(at), Buffer.from(name));
    parts.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const count = members.length;
  return Buffer.concat([
    ...[...parts, central],
    ...[Buffer.from('PK\x06\x06'), u64(44), u16(0x031e), u16(45), u64(0), u64(count), u64(count), u64(central.length), u64(at)],
    ...[Buffer.from('PK\x06\x07'), u32(0), u64(at + central.length), u32(1)],
    ...[Buffer.from('PK\x05\x06'), u32(0), u16(count), u16(count), u32(central.length), u32(at), u16(0)],
  ]);
}

const EVIL = "cos\nsystem\n(S'id'\ntR.";
const TORCH: readonly Member[] = [
  { name: 'archive/data.pkl', data: Buffer.from('\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00.', 'latin1') },
  { name: 'archive/data/0', data: Buffer.alloc(16) },
  { name: 'archive/version', data: '3\n' },
];

describe('a zip of an honest writer', () => {
  it('is weights, and nothing more, from PyTorch', async () => {
    const file = torchFile([...TORCH, { name: 'archive/data/1', data: '' }]);
    expect(await formatsOf(file)).toEqual(['pytorch']);
    expect(await refusalsOf(file)).toEqual([]);
    expect(await refusalsOf(torchFile([...TORCH, { name: 'archive/data/1', data: EVIL }]))).toContainEqual(
      expect.stringMatching(/^PICKLE_IMPORT .*os\.system/),
    );
  });

  it.each(WRITTEN)('is read as it is written by %s', async (_writer, lines) => {
    const file = Buffer.from(lines.join(''), 'base64');
    expect(new Set(await formatsOf(file))).toEqual(new Set(['zip', 'text']));
    expect(await refusalsOf(file)).toEqual([]);
  });
});
