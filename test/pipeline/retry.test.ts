// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { KEYS, scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const files = signed({ 'big.bin': Buffer.alloc(9 * 1024 * 1024, 'block'), 'config.json': '{}' });
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };

// As a process, because it is about the built program: a bundler that rewrites `using` may carry the first attempt's error into the second.
describe('a file whose first attempt fails', () => {
  test.each([
    ['with another version between two ranges', { kind: 'etag', etag: '"older"' }],
    ['with a wrong bit', { kind: 'corrupt' }],
  ] as const)('%s is fetched once more, and that attempt counts', async (_, behaviour) => {
    await using server = await serveModel(files);
    server.next(server.pathOf('big.bin'), behaviour);
    using tmp = scratch();
    const ended = await runGate(['pull', server.url, tmp.at('models')], { env });
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'verified' } });
    expect(ended.stderr).toContain('big.bin: attempt 1 failed');
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom(files));
  });
});
