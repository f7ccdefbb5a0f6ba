// SPDX-License-Identifier: Apache-2.0
// The workshop's runner for clusters, with a kubectl that only notes how it was called and shows pods as a kubelet reports them:
// which commands it gives, in which order, and that it tells what a pod did, not what was expected of it.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Outcome } from '../../examples/workshop/run/exercise.ts';
import { findCluster, onCluster } from '../../examples/workshop/run/onCluster.ts';
import { type Scratch, scratch } from '../support/model.ts';

const IMAGES = { gate: 'model-gate:dev', server: 'server:dev', busybox: 'docker.io/library/busybox:1', s3: 'docker.io/versity/versitygw:v1' };
const PROGRAM = `#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$*" in
  'config current-context') [ -n "$CONTEXT" ] && echo "$CONTEXT" ;;
  *'get pod ml-workload -o json') cat "$POD" ;;
  *'logs ml-workload -c model-validation') echo 'said by the gate' ;;
  'image inspect docker.io/versity'*) exit 1 ;;
esac
`;
let bin: Scratch;

beforeEach(() => {
  bin = scratch();
  for (const name of ['kubectl', 'kind', 'docker']) {
    writeFileSync(bin.at(name), PROGRAM);
    chmodSync(bin.at(name), 0o755);
  }
  vi.stubEnv('PATH', `${bin.path}:${process.env['PATH']}`);
  vi.stubEnv('CALLS', bin.at('calls'));
  vi.stubEnv('POD', bin.at('pod'));
  vi.stubEnv('CONTEXT', 'kind-ml-workshop');
  vi.spyOn(console, 'log').mockReturnValue();
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  bin[Symbol.dispose]();
});

function calls(): readonly string[] {
  return readFileSync(bin.at('calls'), 'utf8').trim().split('\n');
}

describe("the workshop's cluster", () => {
  it('is the one kubectl points at when it is of kind, or when it was asked for', async () => {
    expect(await findCluster(false)).toEqual({ context: 'kind-ml-workshop' });
    vi.stubEnv('CONTEXT', 'production');
    expect(await findCluster(false)).toBeUndefined();
    expect(await findCluster(true)).toEqual({ context: 'production' });
    vi.stubEnv('CONTEXT', '');
    await expect(findCluster(true)).rejects.toThrow('no cluster');
  });

  it('gets all images, the namespace with what pods trust, the model, and then the commands of the page', async () => {
    await using place = await onCluster({ context: 'kind-ml-workshop' }, IMAGES);
    await place.prepare({ 'signer-key': { 'signer.pub': 'PEM' } });
    await place.fill('/models/bert-base-uncased');
    await place.execute('kubectl apply -k 01-good-model');
    expect(calls().map((call) => call.replace(/ \S*\/examples/, ' examples'))).toEqual([
      'docker image inspect model-gate:dev',
      'docker image inspect server:dev',
      'docker image inspect docker.io/library/busybox:1',
      'docker image inspect docker.io/versity/versitygw:v1',
      'docker pull --quiet docker.io/versity/versitygw:v1',
      'kind load docker-image model-gate:dev server:dev docker.io/library/busybox:1 docker.io/versity/versitygw:v1 --name ml-workshop',
      'kubectl apply -f examples/workshop/cluster.yaml',
      'kubectl -n ml-workshop delete configmap signer-key --ignore-not-found',
      'kubectl -n ml-workshop create configmap signer-key --from-literal=signer.pub=PEM',
      'kubectl -n ml-workshop wait --for=condition=Ready pod/model-helper --timeout=180s',
      'kubectl -n ml-workshop delete pod ml-workload model-source --ignore-not-found --wait --timeout=60s',
      'kubectl -n ml-workshop exec model-helper -- rm -rf /data/bert-base-uncased',
      'kubectl cp /models/bert-base-uncased ml-workshop/model-helper:/data/bert-base-uncased',
      'kubectl -n ml-workshop delete pod ml-workload --ignore-not-found --wait --timeout=60s',
      'kubectl apply -k 01-good-model',
    ]);
  });

  const refused = { exitCode: 1, message: '{"verdict":"refused","reason":"DIGEST_MISMATCH"}' };
  const away = { exitCode: 3, message: '{"verdict":"failed","reason":"SOURCE_UNAVAILABLE"}' };
  const verified = { exitCode: 0, message: '{"verdict":"verified"}' };
  const waiting = { waiting: { reason: 'CrashLoopBackOff' } };
  const pod = (gate: unknown, started: boolean, ready: boolean): unknown => ({
    status: {
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      initContainerStatuses: [
        { name: 'model-validation', ...(gate as object) },
        { name: 'model-watch', state: { running: {} } },
      ],
      containerStatuses: [{ name: 'inference', started }],
    },
  });
  const good: Outcome = { pod: 'Running', exitCode: 0, reason: 'verified', server: 'answers' };
  const blocked: Outcome = { pod: 'Init:Error', exitCode: 1, reason: 'DIGEST_MISMATCH', server: 'no answer' };

  it.each([
    ['a server that runs', pod({ state: { terminated: verified } }, true, true), { pod: 'Running', exitCode: 0, reason: 'verified' }],
    ['a pod taken out of its Services', pod({ state: { terminated: verified } }, true, false), { pod: 'Running, not ready', exitCode: 0, reason: 'verified' }],
    ['a gate that refused, for good', pod({ state: { terminated: refused } }, false, false), { pod: 'Init:Error', exitCode: 1, reason: 'DIGEST_MISMATCH' }],
    [
      'a gate that will be tried again',
      pod({ state: waiting, lastState: { terminated: away } }, false, false),
      { pod: 'Init:Error', exitCode: 3, reason: 'SOURCE_UNAVAILABLE' },
    ],
    ['a gate that said nothing', pod({ state: { terminated: { exitCode: 137 } } }, false, false), { pod: 'Init:Error', exitCode: 137, reason: 'nothing' }],
  ])('shows %s, whatever was expected', async (_what, found, seen) => {
    writeFileSync(bin.at('pod'), JSON.stringify(found));
    await using place = await onCluster({ context: 'other' }, IMAGES, 0);
    for (const expected of [good, blocked]) {
      expect(await place.observe(expected)).toEqual({ ...seen, log: expect.stringContaining('said by the gate') });
    }
  });

  it('shows that a pod did not get as far as the gate', async () => {
    writeFileSync(bin.at('pod'), JSON.stringify({ status: {} }));
    await using place = await onCluster({ context: 'other' }, IMAGES, 0);
    expect(await place.observe(blocked)).toMatchObject({ exitCode: -1, reason: 'nothing' });
  });
});
