// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// Not the package's index: that one loads an HTTP interceptor, and this test wants real HTTP.
import { tufHandlers } from '@tufjs/repo-mock/dist/handler.js';
import { KeyPair } from '@tufjs/repo-mock/dist/key.js';
import { createRootMeta, createSnapshotMeta, createTargetsMeta, createTimestampMeta } from '@tufjs/repo-mock/dist/metadata.js';
import { initializeTUFRepo } from '@tufjs/repo-mock/dist/repo.js';
import { collectTargets } from '@tufjs/repo-mock/dist/target.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadAnchors } from '../../src/anchors/anchors.ts';
import embedded from '../../src/anchors/publicGoodRoot.json' with { type: 'json' };
import { refreshRoot } from '../../src/anchors/tuf.ts';
import { AppError } from '../../src/base/errors.ts';

const TARGET = { name: 'trusted_root.json', content: JSON.stringify(embedded.trustedRoot) };

let folder: string;
let rootFile: string;
let server: Server;
let mirror: string;
let requests: string[];
let serve: (repository: ReturnType<typeof initializeTUFRepo>, tamper?: (path: string, body: string) => string) => void;
let signal: AbortSignal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'model-gate-test-'));
  rootFile = join(folder, 'root.json');
  requests = [];
  let respond: (path: string) => { statusCode: number; body: string } = () => ({ statusCode: 404, body: '' });
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    const { statusCode, body } = respond(request.url ?? '');
    response.writeHead(statusCode).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  serve = (repository, tamper = (_, body) => body) => {
    const handlers = tufHandlers(repository, { metadataPathPrefix: '', targetPathPrefix: '/targets' });
    respond = (path) => {
      // Without consistent snapshots targets are still asked for by digest first.
      const found = handlers
        .find((h) => h.path === path || (path.startsWith('/targets/') && path.endsWith(`.${TARGET.name}`) && h.path.endsWith(TARGET.name)))
        ?.fn();
      return found === undefined ? { statusCode: 404, body: '' } : { statusCode: found.statusCode, body: tamper(path, String(found.response)) };
    };
  };
  signal = new AbortController().signal;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

async function repository(targets: readonly { name: string; content: string }[] = [TARGET]) {
  const made = initializeTUFRepo(targets.map(({ name, content }) => ({ name, content: Buffer.from(content) })));
  await writeFile(rootFile, JSON.stringify(made.rootMeta.toJSON()));
  return made;
}

async function leftBehind(): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('model-gate-tuf-'));
}

describe('refreshing the trusted root', () => {
  it('downloads it over HTTP, verifies it from the given TUF root, and leaves nothing behind', async () => {
    serve(await repository());
    const before = await leftBehind();
    const root = await refreshRoot({ kind: 'tuf', mirror: `${mirror}/`, rootFile }, signal);
    expect(root.json).toEqual(embedded.trustedRoot);
    expect(root.description).toContain(mirror);
    expect(requests).toContain('/timestamp.json');
    expect(await leftBehind()).toEqual(before);
  });

  it('is what loadAnchors does for a TUF plan, and keeps a cache where it may', async () => {
    serve(await repository());
    const cacheDir = join(folder, 'cache');
    const plan = {
      kind: 'sigstore',
      root: { kind: 'tuf', mirror, rootFile, cacheDir },
      signers: [{ identity: { kind: 'exact', text: 'a' }, issuer: 'b' }],
    } as const;
    const deps = { fetchUri: async (): Promise<Buffer> => Buffer.alloc(0), signal };
    await expect(loadAnchors(plan, deps)).resolves.toMatchObject({ kind: 'sigstore', root: { json: embedded.trustedRoot } });
    const first = requests.filter((path) => path.startsWith('/targets/')).length;
    await loadAnchors(plan, deps);
    expect(requests.filter((path) => path.startsWith('/targets/'))).toHaveLength(first);
  });

  it('refuses metadata and targets that were altered on the way', async () => {
    const unavailable = { code: 'TUF_UNAVAILABLE' };
    serve(await repository(), (path, body) => (path.startsWith('/targets/') ? body.replace('sigstore', 'sigstoro') : body));
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject(unavailable);
    serve(await repository(), (path, body) => (path === '/timestamp.json' ? body.replace(/"sig":"3/, '"sig":"4') : body.replace('"version":1', '"version":2')));
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject(unavailable);
  });

  /** States of one repository, all signed with its keys. */
  async function statesOf(...changes: readonly ((timestamp: { version: number; expires: string }) => void)[]) {
    const keys = new KeyPair();
    const targets = [{ name: TARGET.name, content: Buffer.from(TARGET.content) }];
    const targetsMeta = createTargetsMeta(collectTargets(targets), keys);
    const snapshotMeta = createSnapshotMeta(targetsMeta, keys);
    const rootMeta = createRootMeta(keys);
    await writeFile(rootFile, JSON.stringify(rootMeta.toJSON()));
    return changes.map((change) => {
      const timestampMeta = createTimestampMeta(snapshotMeta, keys);
      change(timestampMeta.signed as unknown as { version: number; expires: string });
      timestampMeta.sign((data) => keys.sign(data), false);
      return { rootMeta, snapshotMeta, timestampMeta, targetsMeta, targets };
    });
  }

  it('refuses an older state than the one it has seen: genuine, but taken back', async () => {
    const [older, newer] = await statesOf(
      (timestamp) => (timestamp.version = 3),
      (timestamp) => (timestamp.version = 4),
    );
    if (older === undefined || newer === undefined) throw new Error('no states');
    const plan = { kind: 'tuf', mirror, rootFile, cacheDir: join(folder, 'cache') } as const;
    serve(newer);
    await expect(refreshRoot(plan, signal)).resolves.toMatchObject({ json: embedded.trustedRoot });
    serve(older);
    await expect(refreshRoot(plan, signal)).rejects.toMatchObject({ code: 'TUF_UNAVAILABLE' });
    // Without a memory nobody can tell.
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).resolves.toMatchObject({ json: embedded.trustedRoot });
  });

  it('refuses a state that has expired: a repository that is kept from growing', async () => {
    const [frozen] = await statesOf((timestamp) => (timestamp.expires = '2020-01-01T00:00:00Z'));
    if (frozen === undefined) throw new Error('no state');
    serve(frozen);
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject({ code: 'TUF_UNAVAILABLE' });
  });

  it('refuses a repository signed by somebody else', async () => {
    serve(await repository());
    await repository();
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject({ code: 'TUF_UNAVAILABLE' });
  });

  it('refuses a repository without a trusted root, or with a useless one', async () => {
    serve(await repository([{ name: 'other.json', content: '{}' }]));
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject({ code: 'TUF_UNAVAILABLE' });
    serve(await repository([{ name: TARGET.name, content: '{}' }]));
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
  });

  it('says that the repository cannot be reached', async () => {
    await repository();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject({
      code: 'TUF_UNAVAILABLE',
      message: expect.stringContaining(mirror),
      hint: expect.stringContaining('--trusted-root'),
    });
  });

  it('needs a TUF root for any mirror but the public one, and one that is there', async () => {
    await expect(refreshRoot({ kind: 'tuf', mirror }, signal)).rejects.toMatchObject({ code: 'ANCHORS_INVALID', hint: expect.stringContaining('--tuf-root') });
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile: join(folder, 'none') }, signal)).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
    for (const content of ['garbage', '{}', '{"signed":{"_type":"targets"}}']) {
      await writeFile(rootFile, content);
      await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, signal)).rejects.toMatchObject({ code: 'ANCHORS_INVALID' });
    }
  });

  it('stops when it is told to', async () => {
    serve(await repository());
    const controller = new AbortController();
    const reason = new AppError('CANCELLED', 'stopped');
    const running = refreshRoot({ kind: 'tuf', mirror, rootFile }, controller.signal);
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    await expect(refreshRoot({ kind: 'tuf', mirror, rootFile }, controller.signal)).rejects.toBe(reason);
  });
});
