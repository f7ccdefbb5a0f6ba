// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { issueServer, makeAuthority } from '../servers/certificates.ts';
import { startHttpServer, type TestServer } from '../servers/httpServer.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, signed, treeOf, writeTree } from '../support/model.ts';
import { type Outcome, pullHere } from '../support/run.ts';

// A policy by URI: whoever can answer for that name decides what may be served.

const indent = (text: string): string => text.trim().replaceAll('\n', '\n        ');
const POLICY = `apiVersion: model-gate/policy/v1\nrules:\n  - name: remote\n    source: '*://**'\n    require:\n      key: |\n        ${indent(KEYS.publicPem)}\n`;

let space: Scratch;
let secure: TestServer;
let plain: TestServer;
beforeAll(async () => {
  space = scratch();
  const authority = await makeAuthority();
  writeFileSync(space.at('ca.pem'), authority.certPem);
  writeTree(space.at('model'), signed(SMALL_MODEL));
  const files = { '/policy.yaml': POLICY, '/large.yaml': `${POLICY}#${'x'.repeat(300_000)}`, '/broken.yaml': 'rules: 1' };
  secure = await startHttpServer({ tls: await issueServer(authority), files });
  plain = await startHttpServer({ files });
});
afterAll(async () => {
  await secure[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  space[Symbol.dispose]();
});
let count = 0;
beforeEach(() => void count++);

async function pull(policy: string, flags: Readonly<Record<string, unknown>> = { 'ca-bundle': space.at('ca.pem') }): Promise<Outcome> {
  return pullHere([space.at('model'), space.at(`out-${count}`)], { flags: { policy, ...flags } });
}
const landed = (): object => treeOf(space.at(`out-${count}`));

describe('a policy by URI', () => {
  test('decides like one in a file, and is in the evidence by its digest', async () => {
    const outcome = await pull(`${secure.origin}/policy.yaml`);
    expect(outcome.reason).toBe('OK');
    const sha256 = createHash('sha256').update(POLICY).digest('hex');
    expect(outcome.evidence.policies).toEqual([{ layer: 'policy', name: `${secure.origin}/policy.yaml`, sha256 }]);
  });

  test.each([
    ['is larger than 256 KiB', (): string => `${secure.origin}/large.yaml`, undefined, /^(POLICY_INVALID|ANCHORS_UNREACHABLE)$/],
    ['is not there', (): string => `${secure.origin}/none.yaml`, undefined, /^ANCHORS_UNREACHABLE$/],
    ['is no policy', (): string => `${secure.origin}/broken.yaml`, undefined, /^POLICY_INVALID$/],
    ['comes from a server that nobody knows', (): string => `${secure.origin}/policy.yaml`, {}, /^ANCHORS_UNREACHABLE$/],
    [
      'comes from such a server though the model may',
      (): string => `${secure.origin}/policy.yaml`,
      { 'insecure-skip-tls-verify': true },
      /^ANCHORS_UNREACHABLE$/,
    ],
    ['comes over plain http', (): string => `${plain.origin}/policy.yaml`, undefined, /^ANCHORS_UNPINNED$/],
    ['is not what its pin says', (): string => `${plain.origin}/policy.yaml#sha256=${'0'.repeat(64)}`, undefined, /^(POLICY_INVALID|ANCHORS_INVALID)$/],
  ])('that %s stops everything', async (_what, uri, flags, reason) => {
    const outcome = await (flags === undefined ? pull(uri()) : pull(uri(), flags));
    expect(outcome.reason).toMatch(reason);
    expect([2, 3]).toContain(outcome.exitCode);
    expect(landed()).toEqual({});
  });

  test('is not taken from where a redirect gives encryption up', async () => {
    plain.seen.length = 0;
    secure.next('/moved.yaml', { kind: 'redirect', location: `${plain.origin}/policy.yaml` });
    expect((await pull(`${secure.origin}/moved.yaml`)).reason).toBe('ANCHORS_UNREACHABLE');
    expect(plain.seen.some(({ url }) => url === '/policy.yaml')).toBe(false);
  });

  test('sends none of the credentials for the model', async () => {
    secure.seen.length = 0;
    await pull(`${secure.origin}/policy.yaml`, { 'ca-bundle': space.at('ca.pem'), header: ['X-Token: secret'] });
    expect(secure.seen.length).toBeGreaterThan(0);
    expect(JSON.stringify(secure.seen)).not.toContain('secret');
  });

  test('over plain http is taken when its pin holds', async () => {
    const pin = createHash('sha256').update(POLICY).digest('hex');
    expect((await pull(`${plain.origin}/policy.yaml#sha256=${pin}`)).reason).toBe('OK');
  });
});
