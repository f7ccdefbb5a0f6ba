// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../support/freePort.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, signed, writeTree } from '../support/model.ts';
import { type Ended, type Running, runGate, startGate } from '../support/run.ts';
import { makeKeys } from '../support/signer.ts';

// Real processes: what probes, metrics and signals see is what a pod would.

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');

let space: Scratch;
let model: string;
let running: Running | undefined;

beforeEach(() => {
  space = scratch();
  model = space.at('model');
  writeTree(model, signed(SMALL_MODEL));
  writeFileSync(space.at('key.pub'), KEYS.publicPem);
});
afterEach(async () => {
  running?.kill('SIGKILL');
  await running?.ended;
  running = undefined;
  space[Symbol.dispose]();
});

type Watched = { readonly process: Running; readonly port: number; get(path: string): Promise<{ readonly status: number; readonly body: string }> };

/** Starts a watch that only changes and the given flags wake up. */
async function watching(args: readonly string[] = [], key = space.at('key.pub')): Promise<Watched> {
  const port = await freePort();
  const flags = ['--health-port', `${port}`, '--health-address', '127.0.0.1', '--public-key', key];
  running = startGate(['watch', model, ...flags, ...args]);
  return watched(running, port);
}

function watched(process: Running, port: number): Watched {
  return {
    process,
    port,
    async get(path) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return { status: response.status, body: await response.text() };
    },
  };
}

/** The status of a path, once it is the wanted one; 0: nobody answers. */
async function becomes(watch: Watched, path: string, status: number, limitMs = 15_000): Promise<string> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await watch.get(path).catch(() => ({ status: 0, body: '' }));
    if (found.status === status) return found.body;
    if (performance.now() > deadline) throw new Error(`${path} is ${found.status}, never ${status}: ${watch.process.stderrSoFar()}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

async function stop(watch: Watched, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  watch.process.kill(signal);
  return watch.process.ended;
}

/** Writes as an attacker would who restores what he can: the same length and modification time. */
function tamper(name: string): void {
  const path = join(model, name);
  const { mtime, atime, size } = statSync(path);
  writeFileSync(path, Buffer.alloc(size, 'X'));
  utimesSync(path, atime, mtime);
}

describe('watch', () => {
  test('starts, is ready, shows metrics and the page of the report, and ends with 0 for SIGTERM', async () => {
    const watch = await watching();
    await becomes(watch, '/ready', 200);
    expect(await watch.get('/startup')).toEqual({ status: 200, body: 'started\n' });
    expect(await watch.get('/healthz')).toEqual({ status: 200, body: 'ok\n' });
    const metrics = (await watch.get('/metrics')).body;
    expect(metrics).toContain('\nmodel_gate_verified 1\n');
    expect(metrics).toContain('\nmodel_gate_checks_total{trigger="start",verdict="verified"} 1\n');
    expect(metrics).toContain('\nmodel_gate_hashed_bytes_total 110019\n');
    expect(metrics).toMatch(/\nmodel_gate_signer_info\{method="key",signer="[^"]+",digest="sha256:[0-9a-f]{64}"\} 1\n/);
    expect(metrics).not.toContain('model_gate_failure_info{');
    const page = (await watch.get('/')).body;
    expect(page).toContain('<h1>Verified</h1>');
    expect(page).toContain('weights/part-1.bin');
    const ended = await stop(watch);
    expect(ended).toMatchObject({ code: 0, termination: { verdict: 'verified', exitCode: 0 }, report: { command: 'watch', verdict: 'verified' } });
  });

  test('sees content changed behind the same length and modification time, tells everywhere, and is ready again when it is restored', async () => {
    const original = readFileSync(join(model, 'config.json'));
    const watch = await watching();
    await becomes(watch, '/ready', 200);
    tamper('config.json');
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: DIGEST_MISMATCH\n');
    expect((await watch.get('/startup')).status).toBe(200);
    const metrics = (await watch.get('/metrics')).body;
    expect(metrics).toContain('\nmodel_gate_verified 0\n');
    expect(metrics).toContain('\nmodel_gate_failure_info{reason="DIGEST_MISMATCH"} 1\n');
    expect(metrics).toContain('\nmodel_gate_last_check_exit_code 1\n');
    expect((await watch.get('/')).body).toContain('<h1>Refused</h1>');
    expect(watch.process.stderrSoFar()).toContain('BLOCKED DIGEST_MISMATCH');
    writeFileSync(join(model, 'config.json'), original);
    await becomes(watch, '/ready', 200);
    // After a refusal nothing that was known before counts.
    expect((await watch.get('/metrics')).body).toMatch(/\nmodel_gate_last_check_hashed_bytes 110019\n/);
    expect((await stop(watch)).code).toBe(0);
  });

  test.each<[string, string, () => void]>([
    ['FILE_UNSIGNED', 'a file that nobody signed', () => writeFileSync(join(model, 'extra.py'), 'x')],
    ['FILE_MISSING', 'a file that went away', () => rmSync(join(model, 'weights/part-2.bin'))],
    ['UNSIGNED', 'a bundle that went away', () => rmSync(join(model, 'model.sig'))],
    ['MODEL_NOT_FOUND', 'a model that went away', () => renameSync(model, space.at('elsewhere'))],
    [
      'FILE_TYPE',
      'a link in place of a file',
      () => {
        renameSync(join(model, 'config.json'), space.at('config.json'));
        symlinkSync(space.at('config.json'), join(model, 'config.json'));
      },
    ],
  ])('withdraws readiness at once with %s for %s, and does not end with 0 then', async (reason, _what, change) => {
    const watch = await watching();
    await becomes(watch, '/ready', 200);
    change();
    expect(await becomes(watch, '/ready', 503)).toBe(`not ready: ${reason}\n`);
    expect((await stop(watch)).code).toBe(143);
  });

  test('reads only what has changed, and by the clock everything', async () => {
    const watch = await watching(['--interval', '1h']);
    await becomes(watch, '/ready', 200);
    writeFileSync(join(model, 'config.json'), '{"hidden_size": 8}');
    await metric(watch, 'model_gate_checks_total{trigger="change",verdict="verified"}', '1');
    await metric(watch, 'model_gate_last_check_hashed_bytes', '18');
    await stop(watch);
    const clock = await watching(['--interval', '300ms']);
    await metric(clock, 'model_gate_checks_total{trigger="interval",verdict="verified"}', '1');
    await metric(clock, 'model_gate_last_check_hashed_bytes', '110019');
  });

  test('takes turns with a share, and lists what it did not read as unchanged', async () => {
    const watch = await watching(['--interval', '200ms', '--share', '1/4']);
    await becomes(watch, '/ready', 200);
    await metric(watch, 'model_gate_last_check_hashed_bytes', '70001');
    const { report, code } = await stop(watch);
    expect(code).toBe(0);
    const files = (report as { models: { fileCount: number; files: { origin: string }[] }[] }).models[0];
    expect(files?.fileCount).toBe(4);
    expect(files?.files.map((file) => file.origin)).toContain('unchanged');
  });

  test('sees by polling what the kernel does not report', async () => {
    // The kernel tells of what happens in watched directories. A linked file is written to elsewhere, as on a network file system.
    renameSync(join(model, 'weights/part-1.bin'), space.at('part-1.bin'));
    symlinkSync(space.at('part-1.bin'), join(model, 'weights/part-1.bin'));
    const watch = await watching(['--poll-interval', '300ms', '--allow-symlinks']);
    await becomes(watch, '/ready', 200);
    tamper('weights/part-1.bin');
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: DIGEST_MISMATCH\n');
  });

  test('follows a key that Kubernetes swaps, and refuses what the new one did not sign', async () => {
    mount('first', KEYS.publicPem);
    const watch = await watching([], space.at('mounted', 'pub.pem'));
    await becomes(watch, '/ready', 200);
    swap('second', makeKeys().publicPem);
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: SIGNATURE_INVALID\n');
    swap('third', 'no key');
    await metric(watch, 'model_gate_failure_info{reason="ANCHORS_INVALID"}', '1');
    expect((await watch.get('/ready')).status).toBe(503);
    swap('fourth', KEYS.publicPem);
    await becomes(watch, '/ready', 200);
  });

  test('follows a policy that Kubernetes swaps, with every kind of verdict, and judges files anew that have not changed', async () => {
    const policy = (more: string): string =>
      `apiVersion: model-gate/policy/v1\nrules:\n  - name: served\n    source: '*://**'\n    require: { key: '${space.at('key.pub')}' }\n${more}`;
    mount('first', policy(''), 'policy.yaml');
    const port = await freePort();
    running = startGate(['watch', model, '--health-port', `${port}`, '--health-address', '127.0.0.1', '--policy', space.at('mounted', 'policy.yaml')]);
    const watch = watched(running, port);
    await becomes(watch, '/ready', 200);
    swap('second', policy('    formats: { deny: [json] }\n'), 'policy.yaml');
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: FORMAT_DENIED\n');
    swap('third', policy(`    digests: { allow: ["sha256:${'0'.repeat(64)}"] }\n`), 'policy.yaml');
    await metric(watch, 'model_gate_failure_info{reason="DIGEST_NOT_PINNED"}', '1');
    expect((await watch.get('/ready')).status).toBe(503);
    swap('fourth', policy('    formats: { deny: [json] }\n    mode: warn\n'), 'policy.yaml');
    await becomes(watch, '/ready', 200);
    expect((await watch.get('/metrics')).body).toContain('\nmodel_gate_waived_findings{reason="FORMAT_DENIED"} 1\n');
    swap('fifth', 'rules: []', 'policy.yaml');
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: POLICY_INVALID\n');
    swap('sixth', policy(''), 'policy.yaml');
    await becomes(watch, '/ready', 200);
    expect((await stop(watch)).code).toBe(0);
  });

  test('is ready for ever only where the policy tolerates that', async () => {
    const policy = (more: string): string =>
      `apiVersion: model-gate/policy/v1\n${more}rules:\n  - { name: served, source: '*://**', require: { key: '${space.at('key.pub')}' } }\n`;
    writeFileSync(space.at('policy.yaml'), policy(''));
    const port = await freePort();
    const flags = ['--health-port', `${port}`, '--health-address', '127.0.0.1', '--policy', space.at('policy.yaml'), '--sticky-readiness'];
    running = startGate(['watch', model, ...flags]);
    const watch = watched(running, port);
    await metric(watch, 'model_gate_failure_info{reason="POLICY_DENIED"}', '1');
    await expect.poll(() => watch.get('/ready')).toEqual({ status: 503, body: 'not ready: POLICY_DENIED\n' });
    writeFileSync(space.at('policy.yaml'), policy('relaxations: [sticky-readiness]\n'));
    await becomes(watch, '/ready', 200);
    tamper('config.json');
    await metric(watch, 'model_gate_failure_info{reason="DIGEST_MISMATCH"}', '1');
    await metric(watch, 'model_gate_verified', '0');
    expect((await watch.get('/ready')).status).toBe(200);
  });

  test('follows a key that only the policy names', async () => {
    mount('first', KEYS.publicPem);
    const port = await freePort();
    writeFileSync(
      space.at('policy.yaml'),
      `apiVersion: model-gate/policy/v1\nrules:\n  - { name: served, source: '*://**', require: { key: '${space.at('mounted', 'pub.pem')}' } }\n`,
    );
    running = startGate(['watch', model, '--health-port', `${port}`, '--health-address', '127.0.0.1', '--policy', space.at('policy.yaml')]);
    const watch = watched(running, port);
    await becomes(watch, '/ready', 200);
    swap('second', makeKeys().publicPem);
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: SIGNATURE_INVALID\n');
  });

  test.skipIf(process.getuid?.() !== 0)('trouble with the volume counts only when the grace is over', async () => {
    const port = await freePort();
    const flags = ['--health-port', `${port}`, '--public-key', space.at('key.pub'), '--interval', '500ms', '--grace', '2s'];
    running = startGate(['watch', model, ...flags], { uid: 65_534, gid: 65_534 });
    const watch = watched(running, port);
    await becomes(watch, '/ready', 200);
    const before = performance.now();
    const { chmodSync } = await import('node:fs');
    chmodSync(join(model, 'config.json'), 0);
    await metric(watch, 'model_gate_failure_info{reason="IO"}', '1');
    expect((await watch.get('/ready')).status).toBe(200);
    expect(await becomes(watch, '/ready', 503)).toBe('not ready: IO\n');
    expect(performance.now() - before).toBeGreaterThan(2_000);
    chmodSync(join(model, 'config.json'), 0o644);
    await becomes(watch, '/ready', 200);
  });

  test('--on-failure exit ends with the exit code of the reason, and its termination message', async () => {
    const watch = await watching(['--on-failure', 'exit']);
    await becomes(watch, '/ready', 200);
    tamper('config.json');
    expect(await watch.process.ended).toMatchObject({ code: 1, termination: { verdict: 'refused', exitCode: 1, reason: 'DIGEST_MISMATCH' } });
  });

  test('--max-failures has a refusal confirmed first', async () => {
    const watch = await watching(['--on-failure', 'exit', '--max-failures', '3', '--interval', '200ms']);
    await becomes(watch, '/ready', 200);
    rmSync(join(model, 'model.sig'));
    const ended = await watch.process.ended;
    expect(ended).toMatchObject({ code: 1, termination: { reason: 'UNSIGNED' } });
    // The last one is told once more, as the end.
    expect(ended.stderr.match(/BLOCKED UNSIGNED/g)).toHaveLength(4);
  });

  test('--gate-file is there only while the model is verified', async () => {
    const gate = space.at('verified');
    writeFileSync(gate, 'left by an earlier process');
    // The endpoints tell first: nothing that a volume does may hold them up.
    const follows = (there: boolean) => expect.poll(() => existsSync(gate)).toBe(there);
    tamper('config.json');
    const watch = await watching(['--on-failure', 'gate-file', '--gate-file', gate]);
    await metric(watch, 'model_gate_checks_total{trigger="start",verdict="refused"}', '1');
    expect(existsSync(gate)).toBe(false);
    writeFileSync(join(model, 'config.json'), SMALL_MODEL['config.json'] ?? '');
    await becomes(watch, '/ready', 200);
    await follows(true);
    const facts = JSON.parse(readFileSync(gate, 'utf8')) as { digest: string; until: string };
    expect(facts.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(Date.parse(facts.until)).toBeGreaterThan(Date.now() + 600_000);
    tamper('config.json');
    await becomes(watch, '/ready', 503);
    await follows(false);
    writeFileSync(join(model, 'config.json'), SMALL_MODEL['config.json'] ?? '');
    await becomes(watch, '/ready', 200);
    await follows(true);
    expect((await stop(watch)).code).toBe(0);
    expect(existsSync(gate)).toBe(false);
  });

  test('a model that is wrong from the start is never started, and a signal does not make it a success', async () => {
    tamper('config.json');
    const watch = await watching();
    expect(await becomes(watch, '/startup', 503)).toMatch(/^not started: /);
    await metric(watch, 'model_gate_checks_total{trigger="start",verdict="refused"}', '1');
    expect(await watch.get('/startup')).toEqual({ status: 503, body: 'not started: DIGEST_MISMATCH\n' });
    expect(await stop(watch)).toMatchObject({ code: 143, termination: { verdict: 'refused', reason: 'DIGEST_MISMATCH' } });
  });

  test('a signal ends a check that is running', async () => {
    const watch = await watching(['--max-rate', '10K']);
    await becomes(watch, '/healthz', 200);
    const ended = await stop(watch);
    expect(ended.code).toBe(143);
    expect(ended.ms).toBeLessThan(8_000);
  });

  test('--max-rate holds reading back', async () => {
    const start = performance.now();
    const watch = await watching(['--max-rate', '50K']);
    await becomes(watch, '/ready', 200);
    expect(performance.now() - start).toBeGreaterThan(1_500);
  });

  test.each<[string, readonly string[], string]>([
    ['no path', [], 'USAGE'],
    ['a share that is none', ['MODEL', '--share', '3/2'], 'CONFIG_INVALID'],
    ['a gate file that nobody asked for', ['MODEL', '--gate-file', '/x'], 'PLAN_CONTRADICTION'],
    ['a gate file without a name', ['MODEL', '--on-failure', 'gate-file'], 'CONFIG_INVALID'],
    ['a gate file inside the model, where nobody signed it', ['MODEL', '--on-failure', 'gate-file', '--gate-file', 'MODEL/gate'], 'PLAN_CONTRADICTION'],
    ['a port that is none', ['MODEL', '--health-port', '70000'], 'CONFIG_INVALID'],
  ])('refuses to start with %s', async (_what, args, reason) => {
    const ended = await runGate(['watch', ...args.map((arg) => arg.replace('MODEL', model)), '--public-key', space.at('key.pub')]);
    expect(ended).toMatchObject({ code: 2, termination: { reason } });
  });

  test('refuses to start where another one listens', async () => {
    const first = await watching();
    await becomes(first, '/ready', 200);
    const second = await runGate(['watch', model, '--public-key', space.at('key.pub'), '--health-port', `${first.port}`, '--health-address', '127.0.0.1']);
    expect(second).toMatchObject({ code: 2, termination: { reason: 'CONFIG_INVALID', message: expect.stringContaining('EADDRINUSE') } });
  });

  /** As the kubelet mounts a ConfigMap. */
  function mount(version: string, text: string, name = 'pub.pem'): void {
    const folder = space.at('mounted');
    mkdirSync(join(folder, `..${version}`), { recursive: true });
    writeFileSync(join(folder, `..${version}`, name), text);
    symlinkSync(`..${version}`, join(folder, '..data'));
    symlinkSync(`..data/${name}`, join(folder, name));
  }

  function swap(version: string, text: string, name = 'pub.pem'): void {
    const folder = space.at('mounted');
    mkdirSync(join(folder, `..${version}`));
    writeFileSync(join(folder, `..${version}`, name), text);
    symlinkSync(`..${version}`, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  }

  async function metric(watch: Watched, name: string, value: string): Promise<void> {
    const deadline = performance.now() + 15_000;
    for (let found = ''; !found.includes(`\n${name} ${value}\n`); ) {
      if (performance.now() > deadline) throw new Error(`${name} is never ${value}:\n${found}\n${watch.process.stderrSoFar()}`);
      await new Promise((wake) => setTimeout(wake, 50));
      found = (await watch.get('/metrics').catch(() => ({ body: '' }))).body;
    }
  }
});

describe('validation-agent with an interval', () => {
  async function agent(env: Record<string, string> = {}, flags: readonly string[] = []): Promise<Watched> {
    const port = await freePort();
    symlinkSync(MAIN, space.at('validation-agent'));
    const verify = ['verify', 'key', `--signature=${model}/model.sig`, '--public_key', space.at('key.pub'), model];
    running = startGate(['--interval=1m', '--health-port', `${port}`, ...flags, ...verify], { entry: space.at('validation-agent'), env });
    return watched(running, port);
  }

  test('is ready for ever after the first success, as the operator expects, and ends with 0', async () => {
    const watch = await agent();
    await becomes(watch, '/ready', 200);
    tamper('config.json');
    const deadline = performance.now() + 15_000;
    while (!watch.process.stderrSoFar().includes('DIGEST_MISMATCH')) {
      if (performance.now() > deadline) throw new Error(watch.process.stderrSoFar());
      await new Promise((wake) => setTimeout(wake, 50));
    }
    expect((await watch.get('/ready')).body).toBe('ready\n');
    expect((await watch.get('/metrics')).body).toContain('\nmodel_gate_verified 0\n');
    const ended = await stop(watch);
    expect(ended.code).toBe(0);
    for (const line of ended.stderr.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('level');
  });

  test('withdraws readiness where the environment says so', async () => {
    const watch = await agent({ MODEL_GATE_STICKY_READINESS: 'false' });
    await becomes(watch, '/ready', 200);
    tamper('config.json');
    await becomes(watch, '/ready', 503);
    // Stopped in order all the same: nothing waits for the end of an agent that goes on for ever.
    expect((await stop(watch)).code).toBe(0);
  });

  test('ends with 1 where the environment asks for an end', async () => {
    const watch = await agent({ MODEL_GATE_ON_FAILURE: 'exit' });
    await becomes(watch, '/ready', 200);
    tamper('config.json');
    expect((await watch.process.ended).code).toBe(1);
  });

  test('checks also when told to skip the first check: readiness is never given away', async () => {
    tamper('config.json');
    const watch = await agent({}, ['--skip-initial', '--watch']);
    await becomes(watch, '/healthz', 200);
    const deadline = performance.now() + 15_000;
    while (!watch.process.stderrSoFar().includes('DIGEST_MISMATCH') && performance.now() < deadline) await new Promise((wake) => setTimeout(wake, 50));
    expect((await watch.get('/ready')).status).toBe(503);
    expect((await stop(watch, 'SIGINT')).code).toBe(0);
  });
});
