// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archiveFormatOf, type Member, readArchive } from '../../src/archive/archive.ts';
import { packed, paxOf, tarOf, zipOf } from '../support/archives.ts';
import { type Scratch, SMALL_MODEL, scratch } from '../support/model.ts';

const LIMITS = { entries: 1_000_000, unpackedBytes: 2 ** 40, ratio: 10_000 };

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

async function withArchive<T>(bytes: Buffer, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const path = tmp.at('archive');
  writeFileSync(path, bytes);
  await using file = await open(path);
  return await work(file);
}

type Content = readonly [name: string, kind: Member['kind'], body: string];

function contentsOf(bytes: Buffer, format: 'tar' | 'zip'): Promise<Content[]> {
  return withArchive(bytes, async (file) => {
    const contents: Content[] = [];
    for await (const member of readArchive(file, format, LIMITS, new AbortController().signal)) {
      const chunks: Buffer[] = [];
      for await (const chunk of member.read()) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      expect(body.length).toBe(member.sizeBytes);
      contents.push([member.name, member.kind, body.toString('latin1')]);
    }
    return contents;
  });
}

test.each([
  ['m.tar', 'tar'],
  ['m.TAR.GZ', 'tar'],
  ['m.tgz', 'tar'],
  ['m.v1.zip', 'zip'],
  ['m.gz', undefined],
  ['m.tar.xz', undefined],
  ['tar', undefined],
  ['m.zip.bin', undefined],
])('%s is by its name %s', (name, format) => {
  expect(archiveFormatOf(name)).toBe(format);
});

describe('members', () => {
  test('are those that other programs see', async () => {
    const list = (script: string, path: string): string[] => execFileSync('python3', ['-c', script, path]).toString().trim().split('\n').sort();
    const path = tmp.at('other');
    for (const [name, script] of [
      ['m.tar', 'import sys,tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name if m.isfile() else m.name + "/", m.size)'],
      ['m.tgz', 'import sys,tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name if m.isfile() else m.name + "/", m.size)'],
      ['m.zip', 'import sys,zipfile\nfor m in zipfile.ZipFile(sys.argv[1]).infolist(): print(m.filename, m.file_size)'],
    ] as const) {
      const bytes = packed(name, { ...SMALL_MODEL, 'ä/文件.json': '{}' });
      writeFileSync(path, bytes);
      const ours = (await contentsOf(bytes, archiveFormatOf(name) ?? 'tar')).map(([member, , body]) => `${member} ${body.length}`);
      expect(ours.sort()).toEqual(list(script, path));
    }
  });

  test('have the same names and contents wherever they lie, however they are compressed', async () => {
    const file = fc.record({ name: fc.stringMatching(/^[a-zä文🙂]{1,60}$/u), body: fc.uint8Array({ maxLength: 3000 }), padding: fc.nat(140_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(file, { minLength: 1, maxLength: 6 }), fc.boolean(), async (files, compressed) => {
        const entries = files.flatMap(({ name, body, padding }) => [
          { name: 'padding', body: Buffer.alloc(padding) },
          paxOf({ path: name }),
          { name: 'x', body: Buffer.from(body) },
        ]);
        const tar = tarOf(entries);
        const seen = await contentsOf(compressed ? gzipSync(tar, { level: 1 }) : tar, 'tar');
        const wanted = files.map(({ name, body }) => [name, 'file', Buffer.from(body).toString('latin1')]);
        expect(seen.filter(([name]) => name !== 'padding')).toEqual(wanted);
        const zip = zipOf(files.map(({ name, body }) => ({ name, body: Buffer.from(body), method: compressed ? 8 : 0 })));
        expect(await contentsOf(zip, 'zip')).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });

  test.each(['tar', 'zip'] as const)('of a %s that nobody reads are passed over, and reading may stop anywhere', async (format) => {
    const large = Buffer.alloc(600_000, 'x');
    const files = ['a', 'b', 'c'].map((name) => ({ name, body: large }));
    await withArchive(format === 'tar' ? tarOf(files) : zipOf(files), async (file) => {
      const names: string[] = [];
      for await (const member of readArchive(file, format, LIMITS, new AbortController().signal)) {
        names.push(member.name);
        if (member.name === 'b') for await (const chunk of member.read()) if (chunk.length > 0) break;
      }
      expect(names).toEqual(['a', 'b', 'c']);
      for await (const member of readArchive(file, format, LIMITS, new AbortController().signal)) if (member.name === 'b') break;
    });
  });

  test('are not read ahead of whoever takes them', async () => {
    const tar = gzipSync(tarOf([{ name: 'large', body: Buffer.alloc(64 * 1024 * 1024) }]));
    await withArchive(tar, async (file) => {
      for await (const member of readArchive(file, 'tar', LIMITS, new AbortController().signal)) {
        const before = process.memoryUsage().arrayBuffers;
        let most = 0;
        for await (const chunk of member.read()) {
          most = Math.max(most, chunk.length);
          await new Promise((wake) => setImmediate(wake));
        }
        expect(most).toBeLessThanOrEqual(256 * 1024);
        expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(48 * 1024 * 1024);
      }
    });
  });

  test('end with the signal', async () => {
    const abort = new AbortController();
    const reading = withArchive(tarOf(Array.from({ length: 100 }, (_, i) => ({ name: `${i}`, body: Buffer.alloc(50_000) }))), async (file) => {
      for await (const member of readArchive(file, 'tar', LIMITS, abort.signal)) if (member.name === '3') abort.abort(new Error('stopped'));
    });
    await expect(reading).rejects.toThrow('stopped');
  });
});
