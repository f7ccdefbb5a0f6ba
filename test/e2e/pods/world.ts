// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startHub } from '../../servers/hubServer.ts';
import { freePort } from '../../support/freePort.ts';
import type { Images } from './manifests.ts';
import { makeModels } from './models.ts';
import { createClaim, createSecret, removeVolumes } from './podman.ts';
import { HUB_REVISION, type World } from './scenarios.ts';
import { S3_CREDENTIALS, startNginx, startS3 } from './servers.ts';
import { signOtherwise } from './signOtherwise.ts';

/** Models, good and bad, below `folder`; all that serves them: web server, S3, hub, a claim of that name; and the Secret of the manifests. */
export async function openWorld(folder: string, claim: string, images: Images): Promise<World & AsyncDisposable> {
  const shelf = join(folder, 'shelf');
  const models = await makeModels(folder);
  const anchors = await signOtherwise(models.shelf, folder);
  await using opened = new AsyncDisposableStack();
  const nginx = opened.use(await startNginx(join(folder, 'nginx'), shelf));
  const s3 = opened.use(await startS3(shelf));
  opened.defer(() => removeVolumes(claim));
  await createClaim(claim, models.shelf, join(folder, 'claim.tar'));
  opened.use(await createSecret('model-source', s3Secret(s3.url), join(folder, 'secret.json')));
  const hub = opened.use(await startHub({ repositories: await repositories(models.shelf, 'keyless', 'keyless-changed') }));
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const all = opened.move();
  return { models, images, nginx: nginx.url, s3: s3.url, nowhere, hub: hub.origin, claim, anchors, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** What the manifests' Secret holds. */
function s3Secret(endpoint: string): Record<string, string> {
  return { AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId, AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey, AWS_ENDPOINT_URL: endpoint };
}

/** The shelf's models as repositories of a hub. */
async function repositories(shelf: string, ...models: readonly string[]): Promise<Record<string, Record<string, Record<string, Buffer>>>> {
  const read = async (model: string) => {
    const entries = await readdir(join(shelf, model), { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const files = await Promise.all(paths.map(async (path) => [path.slice(join(shelf, model).length + 1), await readFile(path)] as const));
    return [`example-org/${model}`, { [HUB_REVISION]: Object.fromEntries(files) }] as const;
  };
  return Object.fromEntries(await Promise.all(models.map(read)));
}
