// SPDX-License-Identifier: Apache-2.0
// The examples as pods on podman: each kustomization with the addresses and the trust of this run, first a good model, then bad ones.
// What is printed has to be what the example's README.md shows.
import { appendFile, chmod, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PatchOperation, render, type Trust } from '../../test/e2e/pods/manifests.ts';
import { observe, type Row } from '../../test/e2e/pods/observe.ts';
import type { Scenario, World } from '../../test/e2e/pods/scenarios.ts';
import { openWorld } from '../../test/e2e/pods/world.ts';
import { missingLines } from '../workshop/run/exercise.ts';

const IMAGES = { gate: process.env['E2E_IMAGE'] ?? 'model-gate:dev', server: process.env['E2E_SERVER_IMAGE'] ?? 'docker.io/library/busybox:1.37.0' };
const VERIFIED = { exitCode: 0, reason: 'verified' };
const COLUMNS = `${'example'.padEnd(40)} exit  ${'reason'.padEnd(18)} server`;
const CHANGED = { exitCode: 1, reason: 'DIGEST_MISMATCH' };

process.exitCode = (await main(process.argv[2] ?? '')) ? 0 : 1;

async function main(filter: string): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'model-gate-examples-'));
  const session = `mg-examples-${process.pid}`;
  const printed = new Map<string, readonly string[]>();
  let failed = 0;
  let passed = 0;
  try {
    await using world = await openWorld(folder, `${session}-claim`, IMAGES);
    const cache = join(folder, 'node');
    await mkdir(cache);
    await chmod(cache, 0o777); // for the gate's user
    const scenarios = examples(world, cache).filter(({ title }) => filter === '' || title.startsWith(`${filter}:`));
    console.log(COLUMNS);
    for (const [index, scenario] of scenarios.entries()) {
      const row = await observe(scenario, world, folder, `${session}-${index}`);
      const story = storyOf(row);
      console.log(story.join('\n'));
      for (const problem of row.problems) console.log(`  WRONG: ${problem}`);
      if (row.problems.length === 0) passed++;
      else console.log(row.log.replace(/^/gm, '    | '));
      failed += row.problems.length === 0 ? 0 : 1;
      const example = row.title.replace(/:.*/, '');
      printed.set(example, [...(printed.get(example) ?? [COLUMNS]), ...story]);
    }
    for (const [example, lines] of printed) {
      if (await shows(example, lines)) continue;
      console.log(`WRONG: examples/${example}/README.md shows something else`);
      failed++;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

/** The pod's row, and below it what the gate said of signer and outcome. */
function storyOf(row: Row): readonly string[] {
  const said = [...row.log.matchAll(/^\S+ (?:INFO |ERROR) ((?:signed by|Verification succeeded|BLOCKED| {2}what now).*)$/gm)].map(([, text]) => `  ${text}`);
  return [`${row.title.padEnd(40)} ${String(row.exitCode).padStart(4)}  ${row.reason.padEnd(18)} ${row.server}`, ...said];
}

/** Is the page's output what was printed? "…" in a page stands for anything. */
async function shows(example: string, printed: readonly string[]): Promise<boolean> {
  const page = await readFile(new URL(`../${example}/README.md`, import.meta.url), 'utf8');
  const lines = /^```text\n([\s\S]*?)\n```$/m.exec(page)?.[1]?.split('\n') ?? [];
  return lines.length === printed.length && missingLines(lines, printed.join('\n')).length === 0;
}

function examples(world: World, cache: string): readonly Scenario[] {
  const key: Trust = { kind: 'key', text: world.models.publicKey };
  const stranger: Trust = { kind: 'key', text: world.models.otherPublicKey };
  const certificate: Trust = { kind: 'certificate', text: world.anchors.ca };
  const sigstore: Trust = { kind: 'sigstore', text: world.anchors.trustedRoot };
  const pulled = (address: string): readonly string[] => ['pull', address, '/mnt/models/model'];
  const play = (
    example: string,
    what: string,
    args: readonly string[],
    trust: Trust,
    expect: Scenario['expect'],
    patch: readonly PatchOperation[] = [],
  ): Scenario => ({
    title: `${example}: ${what}`,
    source: example,
    trust: trust.kind,
    manifest: (folder, pod) => render(folder, { source: { example }, trust, args, patch }, world.images, pod),
    served: args[0] === 'verify' ? (args[1] ?? '').replace('/mnt/models/', '') : 'model',
    mode: args[0] === 'verify' ? 'verify' : 'pull',
    expect,
  });
  // Podman expands no $(VARIABLE) in arguments, and makes nothing of subPathExpr: the server sees the whole cache, on a kubelet the one model.
  const digest = world.models.goodDigest.replace('sha256:', '');
  const onNode: readonly PatchOperation[] = [
    { op: 'replace', path: '/spec/volumes/0/hostPath/path', value: cache },
    { op: 'remove', path: '/spec/initContainers/0/env/0' },
    { op: 'remove', path: '/spec/containers/0/env/0' },
  ];
  const cached = (what: string, model: string, before: () => Promise<void> = async () => undefined): Scenario => ({
    title: `node-cache: ${what}`,
    source: 's3',
    trust: key.kind,
    manifest: async (folder, pod) => {
      await before();
      const args = ['pull', `s3://models/${model}/`, `/mnt/models/${digest}`, `--expect-digest=sha256:${digest}`];
      return render(folder, { source: 'node-cache', trust: key, args, patch: onNode }, world.images, pod);
    },
    served: `model/${digest}`,
    mode: 'pull',
    expect: VERIFIED,
  });
  const claim = [{ op: 'replace', path: '/spec/volumes/1/persistentVolumeClaim/claimName', value: world.claim }] as const;
  return [
    play('s3', 'a good model', pulled('s3://models/good/'), key, VERIFIED),
    play('s3', 'one flipped byte', pulled('s3://models/tampered/'), key, CHANGED),
    play('http-key', 'a good model', pulled(`${world.nginx}/models/good/`), key, VERIFIED),
    play('http-key', 'one flipped byte', pulled(`${world.nginx}/models/tampered/`), key, CHANGED),
    play('http-key', "somebody else's key", pulled(`${world.nginx}/models/good/`), stranger, { exitCode: 1, reason: 'SIGNATURE_INVALID' }),
    play('pvc-certificate', 'a good model', ['verify', '/mnt/models/certified'], certificate, VERIFIED, claim),
    play('pvc-certificate', 'a changed file', ['verify', '/mnt/models/certified-changed'], certificate, CHANGED, claim),
    play('private-sigstore', 'a good model', pulled(`${world.nginx}/models/keyless/`), sigstore, VERIFIED),
    play('private-sigstore', 'a changed file', pulled(`${world.nginx}/models/keyless-changed/`), sigstore, CHANGED),
    cached('the first pod of a node', 'good'),
    cached('the second, bundle only', 'bundle', () => cp(join(world.models.shelf, 'good/model.sig'), join(world.models.shelf, 'bundle/model.sig'))),
    cached('changed on the node', 'good', () => appendFile(join(cache, digest, 'config.json'), 'BACKDOOR INJECTION\n')),
  ];
}
