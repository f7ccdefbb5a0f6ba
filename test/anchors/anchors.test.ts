// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadAnchors } from '../../src/anchors/anchors.ts';
import { MAX_MATERIAL_BYTES, type MaterialDeps, readMaterial } from '../../src/anchors/material.ts';
import embedded from '../../src/anchors/publicGoodRoot.json' with { type: 'json' };
import { rootFromSeeds } from '../../src/anchors/refreshEmbeddedRoot.ts';
import { EMBEDDED_ROOT_DATE, embeddedRoot } from '../../src/anchors/trustedRoot.ts';
import type { HexDigest } from '../../src/base/brands.ts';
import { AppError } from '../../src/base/errors.ts';
import { intermediate, keyPair, pem, root } from '../trust/pki.ts';

const invalid = { code: 'ANCHORS_INVALID' };
const fromNowhere = async (): Promise<Buffer> => {
  throw new AppError('ANCHORS_UNREACHABLE', 'no network here');
};

let folder: string;
let deps: MaterialDeps;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'model-gate-anchors-'));
  deps = { fetchUri: fromNowhere, signal: new AbortController().signal };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string | Buffer): Promise<{ kind: 'file'; path: string }> {
  await writeFile(join(folder, name), content);
  return { kind: 'file', path: join(folder, name) };
}

function sha256(content: string | Buffer): HexDigest {
  return createHash('sha256').update(content).digest('hex') as HexDigest;
}

function publicPem(): string {
  return keyPair('P-256').publicKey.export({ format: 'pem', type: 'spki' }).toString();
}

describe('material', () => {
  it('comes from a file, from text, and from a URI', async () => {
    await expect(readMaterial(await file('a', 'content'), deps)).resolves.toMatchObject([{ bytes: Buffer.from('content') }]);
    await expect(readMaterial({ kind: 'text', text: 'content' }, deps)).resolves.toMatchObject([{ bytes: Buffer.from('content') }]);
    const fetchUri = async (uri: string, maxBytes: number): Promise<Buffer> => Buffer.from(`${uri} ${maxBytes}`);
    const uri = 'https://user:secret@example.com/key.pem?token=secret';
    const [fetched] = await readMaterial({ kind: 'uri', uri }, { ...deps, fetchUri });
    expect(fetched.bytes.toString()).toBe(`${uri} ${MAX_MATERIAL_BYTES}`);
    expect(fetched.name).not.toContain('secret');
  });

  it('passes on why a URI could not be fetched', async () => {
    await expect(readMaterial({ kind: 'uri', uri: 'https://example.com/key.pem' }, deps)).rejects.toMatchObject({ code: 'ANCHORS_UNREACHABLE' });
  });

  it('comes from all files of a directory, in order, as Kubernetes mounts a ConfigMap', async () => {
    await mkdir(join(folder, '..2026_11_05'));
    await writeFile(join(folder, '..2026_11_05', 'b.pem'), 'b');
    await writeFile(join(folder, '..2026_11_05', 'a.pem'), 'a');
    await symlink('..2026_11_05', join(folder, '..data'));
    await symlink('..data/b.pem', join(folder, 'b.pem'));
    await symlink('..data/a.pem', join(folder, 'a.pem'));
    await writeFile(join(folder, '.hidden'), 'hidden');
    await mkdir(join(folder, 'folder'));
    const read = await readMaterial({ kind: 'file', path: folder }, deps);
    expect(read.map(({ bytes }) => bytes.toString())).toEqual(['a', 'b']);
  });

  it('is not an empty directory, a missing file, a directory with a pin, a broken link or a FIFO', async () => {
    await expect(readMaterial({ kind: 'file', path: folder }, deps)).rejects.toMatchObject(invalid);
    await expect(readMaterial({ kind: 'file', path: join(folder, 'none') }, deps)).rejects.toMatchObject({
      ...invalid,
      message: expect.stringContaining('ENOENT'),
    });
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    await expect(readMaterial({ kind: 'file', path: join(folder, 'fifo') }, deps)).rejects.toMatchObject(invalid);
    await expect(readMaterial({ kind: 'file', path: folder }, deps)).rejects.toMatchObject(invalid);
    await expect(readMaterial({ kind: 'file', path: folder, sha256: sha256('') }, deps)).rejects.toMatchObject(invalid);
    await symlink('nowhere', join(folder, 'link'));
    await expect(readMaterial({ kind: 'file', path: join(folder, 'link') }, deps)).rejects.toMatchObject(invalid);
  });

  it('is limited in size, whatever it comes from', async () => {
    const big = await file('big', '');
    await truncate(big.path, MAX_MATERIAL_BYTES + 1);
    const refused = { ...invalid, message: expect.stringContaining('larger than') };
    await expect(readMaterial(big, deps)).rejects.toMatchObject(refused);
    await expect(readMaterial({ kind: 'text', text: 'x'.repeat(11) }, deps, 10)).rejects.toMatchObject(refused);
    const fetchUri = async (): Promise<Buffer> => Buffer.alloc(11);
    await expect(readMaterial({ kind: 'uri', uri: 'https://example.com' }, { ...deps, fetchUri }, 10)).rejects.toMatchObject(refused);
    await truncate(big.path, MAX_MATERIAL_BYTES);
    await expect(readMaterial(big, deps)).resolves.toHaveLength(1);
  });

  it('is limited in number', async () => {
    await Promise.all(Array.from({ length: 257 }, (_, i) => writeFile(join(folder, String(i)), '')));
    await expect(readMaterial({ kind: 'file', path: folder }, deps)).rejects.toMatchObject({ ...invalid, message: expect.stringContaining('257') });
  });

  it('has to be what was pinned', async () => {
    const ref = await file('key.pem', 'content');
    await expect(readMaterial({ ...ref, sha256: sha256('content') }, deps)).resolves.toHaveLength(1);
    await expect(readMaterial({ ...ref, sha256: sha256('other') }, deps)).rejects.toMatchObject({
      ...invalid,
      context: { expected: sha256('other'), found: sha256('content') },
    });
    const fetchUri = async (): Promise<Buffer> => Buffer.from('swapped');
    await expect(readMaterial({ kind: 'uri', uri: 'http://example.com', sha256: sha256('content') }, { ...deps, fetchUri })).rejects.toMatchObject(invalid);
  });

  it('is not read after an abort', async () => {
    const reason = new AppError('CANCELLED', 'stopped');
    await expect(readMaterial(await file('a', ''), { ...deps, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('loadAnchors', () => {
  it('reads keys from several places', async () => {
    const anchors = await loadAnchors({ kind: 'key', keys: [await file('a.pem', publicPem()), { kind: 'text', text: publicPem() }] }, deps);
    expect(anchors).toMatchObject({ kind: 'key', keys: [{ curve: 'P-256' }, { curve: 'P-256' }] });
  });

  it('reads certificates and timestamp authorities', async () => {
    const ca = await root();
    const inter = await intermediate(ca);
    const tsa = await root({ subject: 'tsa' });
    const plan = {
      kind: 'certificate',
      certificates: [await file('ca.pem', pem(ca)), await file('inter.pem', pem(inter))],
      timestampAuthorities: [await file('tsa.pem', pem(tsa))],
      expired: 'allow',
      identities: [],
    } as const;
    await expect(loadAnchors(plan, deps)).resolves.toEqual({
      kind: 'certificate',
      anchors: [ca.der],
      helpers: [inter.der],
      timestampAuthorities: [tsa.der],
      expired: 'allow',
    });
  });
});

describe('the embedded root', () => {
  it('is what the installed @sigstore/tuf carries', () => {
    const { date, ...rest } = embedded;
    expect(rest).toEqual(rootFromSeeds());
    expect(EMBEDDED_ROOT_DATE).toBe(date);
    expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  });

  it('is used without network and says its date', async () => {
    const anchors = await loadAnchors(
      { kind: 'sigstore', root: { kind: 'embedded' }, signers: [{ identity: { kind: 'exact', text: 'a' }, issuer: 'b' }] },
      deps,
    );
    expect(anchors).toEqual({ kind: 'sigstore', root: embeddedRoot() });
    expect(embeddedRoot().description).toContain(EMBEDDED_ROOT_DATE);
  });
});

describe('a trusted root of one’s own', () => {
  const signers = [{ identity: { kind: 'exact', text: 'a' }, issuer: 'b' }] as const;
  const json = JSON.stringify(embedded.trustedRoot);
  const load = async (kind: 'trusted-root' | 'trust-config', content: string) =>
    loadAnchors({ kind: 'sigstore', root: { kind, ref: await file('root.json', content) }, signers }, deps);

  it('is a trusted_root.json or the trustedRoot of a client trust configuration', async () => {
    const expected = { root: { json: embedded.trustedRoot, description: `${join(folder, 'root.json')}, newest entry of 2025-09-23`, date: '2025-09-23' } };
    await expect(load('trusted-root', json)).resolves.toMatchObject(expected);
    await expect(load('trust-config', `{"mediaType":"x","trustedRoot":${json},"signingConfig":{}}`)).resolves.toMatchObject(expected);
  });

  it('given as the wrong kind says which flag is meant', async () => {
    await expect(load('trust-config', json)).rejects.toMatchObject({ ...invalid, hint: expect.stringContaining('--trusted-root') });
    await expect(load('trusted-root', `{"trustedRoot":${json}}`)).rejects.toMatchObject({ ...invalid, hint: expect.stringContaining('--trust-config') });
  });

  it.each(['certificateAuthorities', 'tlogs', 'ctlogs'])('without %s is refused', async (member) => {
    await expect(load('trusted-root', JSON.stringify({ ...embedded.trustedRoot, [member]: [] }))).rejects.toMatchObject(invalid);
  });

  it.each(['', 'garbage', '[]', '7', '{"tlogs":7}', '{"tlogs":[],"tlogs":[]}'])('that reads %j is refused', async (content) => {
    await expect(load('trusted-root', content)).rejects.toMatchObject(invalid);
  });

  it('is one file', async () => {
    await file('a.json', json);
    await file('b.json', json);
    const plan = { kind: 'sigstore', root: { kind: 'trusted-root', ref: { kind: 'file', path: folder } }, signers } as const;
    await expect(loadAnchors(plan, deps)).rejects.toMatchObject({ ...invalid, message: expect.stringContaining('2 files') });
  });
});
