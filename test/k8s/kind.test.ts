// SPDX-License-Identifier: Apache-2.0
// test/e2e/kind.sh has no cluster here. With programs that only note how they were called it can be seen what it does in which order,
// and that it fails when any of its checks does. What a cluster would answer is not tested by that.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support/model.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Notes the call; fails for what FAIL matches; answers as a cluster would on which all is well. */
const PROGRAM = `#!/bin/sh
call="$(basename "$0") $*"
echo "$call" >>"$CALLS"
case "$call" in *"create --dry-run=server -f -"*) pod=$(cat) ;; esac
if [ -n "$FAIL" ] && echo "$call $pod" | grep -qE "$FAIL"; then
  echo 'something else went wrong' >&2
  exit 1
fi
case "$call $pod" in
  *'get deployment'*) echo '{"spec": {"template": {"metadata": {}, "spec": {}}}}' ;;
  *gateless*) [ -n "$ADMITTED" ] || { echo 'model-gate: the pod has no init container with an image of the list' >&2; exit 1; } ;;
  *'containerStatuses[0].started'*) echo "$STARTED" ;;
esac
`;

function play(env: { readonly FAIL?: string; readonly ADMITTED?: string; readonly STARTED?: string } = {}): {
  status: number | null;
  calls: readonly string[];
  stderr: string;
} {
  using folder = scratch();
  const copies = ['test/e2e/kind.sh', 'examples/quickstart/run.sh'];
  for (const file of copies) {
    mkdirSync(dirname(folder.at(file)), { recursive: true });
    cpSync(join(ROOT, file), folder.at(file));
  }
  symlinkSync(join(ROOT, 'k8s'), folder.at('k8s'));
  mkdirSync(folder.at('bin'));
  mkdirSync(folder.at('examples/workshop'));
  const programs = ['bin/docker', 'bin/kind', 'bin/kubectl', 'bin/sleep', 'examples/workshop/run.sh'];
  for (const program of programs) {
    writeFileSync(folder.at(program), PROGRAM);
    chmodSync(folder.at(program), 0o755);
  }
  const { status, stderr } = spawnSync('bash', [folder.at('test/e2e/kind.sh')], {
    env: {
      FAIL: '',
      ADMITTED: '',
      STARTED: '',
      ...env,
      CALLS: folder.at('calls'),
      PATH: `${folder.at('bin')}:${dirname(process.execPath)}:${process.env['PATH']}`,
    },
    encoding: 'utf8',
  });
  return { status, stderr, calls: readFileSync(folder.at('calls'), 'utf8').trim().split('\n') };
}

describe('test/e2e/kind.sh', () => {
  it('builds both images, makes the cluster, checks everything and removes the cluster', () => {
    const { status, calls, stderr } = play();
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const order = [
      /^docker build --tag model-gate:dev \.$/,
      /^docker build --tag model-gate-workshop-server:dev examples\/workshop\/server$/,
      /^kind create cluster --name model-gate-e2e --wait 180s$/,
      /^kind load docker-image model-gate:dev --name model-gate-e2e$/,
      /^kubectl apply -f quickstart\.yaml$/,
      /wait --for=condition=Ready pod\/model-server-genuine/,
      /wait .*exitCode.*=1 pod\/model-server-tampered/,
      /^run\.sh --cluster$/,
      /^kubectl apply --dry-run=server -k k8s\/overlays\/s3\/$/,
      /^kubectl apply --dry-run=server -k k8s\/job\/$/,
      /^kubectl apply -k k8s\/admission$/,
      /^kubectl apply -k k8s\/admission\/namespace$/,
      /^kubectl create --dry-run=server -f -$/,
      /^kind delete cluster --name model-gate-e2e$/,
    ];
    const places = order.map((wanted) => calls.findIndex((call) => wanted.test(call)));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(calls.at(-1)).toMatch(/^kind delete cluster/);
  });

  it.each([
    ['an image cannot be built', { FAIL: '^docker build --tag model-gate:dev' }],
    ['there is no cluster', { FAIL: '^kind create' }],
    ['the genuine model is not served', { FAIL: 'condition=Ready pod/model-server-genuine' }],
    ['the tampered model does not end with 1', { FAIL: 'pod/model-server-tampered' }],
    ['the server of the tampered model was started', { STARTED: 'true' }],
    ['an exercise goes wrong', { FAIL: '^run.sh --cluster' }],
    ['an overlay is not accepted', { FAIL: 'dry-run=server -k k8s/overlays/watch' }],
    ['the policies are not accepted', { FAIL: 'apply -k k8s/admission $' }],
    ['a pod without the gate is admitted', { ADMITTED: 'yes' }],
    ['a pod without the gate is refused for another reason', { FAIL: 'gateless' }],
    ['the pod with the gate is refused', { FAIL: 'with-gate' }],
  ])('fails, and removes the cluster, when %s', (_what, env) => {
    const { status, calls } = play(env);
    expect(status).not.toBe(0);
    expect(calls.at(-1)).toMatch(/^kind delete cluster --name model-gate-e2e$/);
  });
});
