// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { type Nginx, startNginx } from '../servers/nginx.ts';
import { BESIDE_FILES, MODEL_FILES, sourceContract } from '../source/contract.ts';

describe('nginx', () => {
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx();
    const model = Object.entries(MODEL_FILES).map(([name, body]) => [join('model', name), body] as const);
    for (const [name, body] of [...model, ...Object.entries(BESIDE_FILES)]) {
      mkdirSync(dirname(join(nginx.root, name)), { recursive: true });
      writeFileSync(join(nginx.root, name), body);
    }
  });
  afterAll(() => nginx[Symbol.asyncDispose]());

  sourceContract('http of nginx', async () => ({
    directory: parseSourceUri(`${nginx.origin}/model/`, '/'),
    single: parseSourceUri(`${nginx.origin}/single.bin`, '/'),
    async [Symbol.asyncDispose]() {},
  }));
});
