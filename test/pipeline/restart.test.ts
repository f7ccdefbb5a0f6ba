// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, type Files, KEYS, leftovers, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { pullHere, runGate, startGate, until } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
});
afterAll(() => tmp[Symbol.dispose]());

let count = 0;
/** A parent of its own and the destination in it. */
const fresh = (): { parent: string; to: string } => {
  const parent = tmp.at(`t${++count}`);
  return { parent, to: `${parent}/models` };
};

const files = signed(SMALL_MODEL);
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };
const origins = (outcome: Awaited<ReturnType<typeof pullHere>>): Record<string, string> =>
  Object.fromEntries(outcome.evidence.models[0]?.files.map(({ path, origin }) => [path, origin]) ?? []);

describe('a start on a complete destination', () => {
  test('fetches the bundle only, keeps every file and ends 0', async () => {
    await using server = await serveModel(files);
    const { parent, to } = fresh();
    await pullHere([server.url, to]);
    server.seen.length = 0;
    const outcome = await pullHere([server.url, to]);
    expect(outcome.reason).toBe('OK');
    expect(server.asked()).toEqual(['model.sig']);
    expect(new Set(Object.values(origins(outcome)))).toEqual(new Set(['kept']));
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(leftovers(parent)).toEqual([]);
  });

  test('keeps signed files that git or the signer would have ignored', async () => {
    const model = { '.gitattributes': '*.bin lfs', 'cache/x': 'x', 'config.json': '{}' };
    const bundle = bundleOf(model, KEYS, { serialization: { ignore_paths: ['cache'] } });
    await using server = await serveModel({ ...model, 'model.sig': bundle });
    const { to } = fresh();
    const flags = { 'ignore-paths': ['cache'] };
    expect(await pullHere([server.url, to], { flags })).toMatchObject({ reason: 'OK' });
    server.seen.length = 0;
    expect(await pullHere([server.url, to], { flags })).toMatchObject({ reason: 'OK' });
    expect(server.asked()).toEqual(['model.sig']);
  });

  test('fetches a file that went missing, and nothing else', async () => {
    await using server = await serveModel(files);
    const { to } = fresh();
    await pullHere([server.url, to]);
    rmSync(`${to}/weights/part-1.bin`);
    server.seen.length = 0;
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(server.asked()).toEqual(['model.sig', 'weights/part-1.bin']);
    expect(treeOf(to)).toEqual(treeFrom(files));
  });

  test('heals a corrupted file and leaves nothing of the corrupted tree', async () => {
    await using server = await serveModel(files);
    const { parent, to } = fresh();
    await pullHere([server.url, to]);
    writeFileSync(`${to}/config.json`, '{"hidden_size": 6}');
    server.seen.length = 0;
    const outcome = await pullHere([server.url, to]);
    expect(outcome.reason).toBe('OK');
    expect(server.asked()).toEqual(['model.sig', 'config.json']);
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(readdirSync(parent)).toEqual(['models']);
  });

  test('heals a corrupted file without taking away what is not the model’s: ignored paths, another model, files that may be unsigned', async () => {
    await using server = await serveModel(files);
    for (const [extra, flags] of [
      ['notes/mine.txt', { 'ignore-paths': ['notes'] }],
      ['mine.txt', { 'ignore-unsigned-files': true }],
      ['.git/HEAD', {}],
    ] as const) {
      const { to } = fresh();
      await pullHere([server.url, to], { flags });
      writeTree(to, { [extra]: 'mine' });
      writeFileSync(`${to}/config.json`, 'broken');
      expect(await pullHere([server.url, to], { flags })).toMatchObject({ reason: 'OK' });
      expect(treeOf(to)).toEqual(treeFrom({ ...files, [extra]: 'mine' }));
    }
  });

  test('heals the outer of two nested models without taking away the inner one', async () => {
    await using server = await serveModel(files);
    const { to } = fresh();
    const pairs = [server.url, to, server.url, `${to}/lora`];
    expect(await pullHere(pairs)).toMatchObject({ reason: 'OK' });
    writeFileSync(`${to}/config.json`, 'broken');
    server.seen.length = 0;
    expect(await pullHere(pairs)).toMatchObject({ reason: 'OK' });
    expect(server.asked()).toEqual(['model.sig', 'config.json', 'model.sig']);
    const inner = Object.fromEntries(Object.entries(files).map(([name, body]) => [`lora/${name}`, body]));
    expect(treeOf(to)).toEqual(treeFrom({ ...files, ...inner }));
  });

  test('recognises nested models through a link among the parents', async () => {
    await using server = await serveModel(files);
    const { parent } = fresh();
    mkdirSync(`${parent}/real`, { recursive: true });
    symlinkSync('real', `${parent}/link`);
    const pairs = [server.url, `${parent}/link/m`, server.url, `${parent}/link/m/lora`];
    expect(await pullHere(pairs)).toMatchObject({ reason: 'OK' });
    expect(await pullHere(pairs)).toMatchObject({ reason: 'OK' });
  });

  test('changes to another version in one step where the directory can be renamed', async () => {
    const next = signed({ ...SMALL_MODEL, 'config.json': '{"hidden_size": 16}' });
    await using old = await serveModel(files);
    await using server = await serveModel(next);
    const { parent, to } = fresh();
    await pullHere([old.url, to]);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(next));
    expect(readdirSync(parent)).toEqual(['models']);
  });

  test('puts a file where another version had a directory, once that is pruned', async () => {
    await using old = await serveModel(signed({ 'tokenizer/vocab.txt': 'a', 'config.json': '{}' }));
    const next = signed({ tokenizer: 'b', 'config.json': '{}' });
    await using server = await serveModel(next);
    const { to } = fresh();
    await pullHere([old.url, to]);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'FILE_UNSIGNED' });
    expect(await pullHere([server.url, to], { flags: { prune: true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(next));
  });
});

describe('what an interrupted start leaves', () => {
  const BIG: Files = signed({ ...SMALL_MODEL, 'weights/last.bin': randomBytes(300_000) });

  /** Kills a start while last.bin hangs and everything else is staged. */
  async function interrupted(server: Awaited<ReturnType<typeof serveModel>>, to: string, parent: string, signal: NodeJS.Signals) {
    server.next(server.pathOf('weights/last.bin'), { kind: 'stall', bytes: 1000 });
    const gate = startGate(['pull', server.url, to], { env });
    await until(() => stagedNames(parent).length === 4, 'four staged files');
    expect(existsSync(to)).toBe(false);
    gate.kill(signal);
    const killed = performance.now();
    const ended = await gate.ended;
    return { ...ended, msToEnd: performance.now() - killed };
  }

  function stagedNames(parent: string): readonly string[] {
    const [staging] = leftovers(parent);
    return staging === undefined ? [] : Object.entries(treeOf(`${parent}/${staging}/tree`)).flatMap(([name, what]) => (what === 'directory' ? [] : [name]));
  }

  test('by kill -9: nothing under a final name; the next start fetches only what was not finished', async () => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    expect((await interrupted(server, to, parent, 'SIGKILL')).code).toBe('SIGKILL');
    expect(existsSync(to)).toBe(false);
    server.seen.length = 0;
    const outcome = await pullHere([server.url, to]);
    expect(outcome.reason).toBe('OK');
    expect(origins(outcome)).toEqual({
      'config.json': 'resumed',
      'empty.txt': 'resumed',
      'weights/last.bin': 'fetched',
      'weights/part-1.bin': 'resumed',
      'weights/part-2.bin': 'resumed',
    });
    expect(server.asked()).toEqual(['model.sig', 'weights/last.bin']);
    expect(treeOf(to)).toEqual(treeFrom(BIG));
    expect(readdirSync(parent)).toEqual(['models']);
  });

  test('is never believed: changed, added, linked and special content is found and thrown away', async () => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    await interrupted(server, to, parent, 'SIGKILL');
    const tree = `${parent}/${leftovers(parent)[0]}/tree`;
    writeFileSync(tmp.at('canary'), 'canary');
    writeFileSync(`${tree}/config.json`, '{"hidden_size": 6}');
    writeFileSync(`${tree}/extra.py`, 'import os');
    writeFileSync(`${tree}/new\nline\u001b[31m`, 'x');
    symlinkSync(tmp.at('canary'), `${tree}/linked`);
    symlinkSync(tmp.at('canary'), `${tree}/with\nnewline`);
    rmSync(`${tree}/weights/part-1.bin`);
    symlinkSync(tmp.at('canary'), `${tree}/weights/part-1.bin`);
    const outcome = await pullHere([server.url, to]);
    expect(outcome.reason).toBe('OK');
    expect(origins(outcome)).toMatchObject({ 'config.json': 'fetched', 'weights/part-1.bin': 'fetched', 'weights/part-2.bin': 'resumed' });
    expect(treeOf(to)).toEqual(treeFrom(BIG));
    expect(readFileSync(tmp.at('canary'), 'utf8')).toBe('canary');
  });

  test('is thrown away as a whole when it holds names that are not UTF-8', async () => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    await interrupted(server, to, parent, 'SIGKILL');
    writeFileSync(Buffer.concat([Buffer.from(`${parent}/${leftovers(parent)[0]}/tree/`), Buffer.from([0xff, 0xfe])]), 'x');
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(BIG));
    expect(readdirSync(to, { encoding: 'buffer' }).every((name) => name.every((byte) => byte < 0x80))).toBe(true);
  });

  test('does not stand in the way of a version that has a file where there was a directory', async () => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    await interrupted(server, to, parent, 'SIGKILL');
    const next = signed({ weights: 'now a file' });
    await using other = await serveModel(next);
    expect(await pullHere([other.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(next));
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('by %s within 2 s: exit %i, CANCELLED, verified files kept for the next start', async (signal, code) => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    const ended = await interrupted(server, to, parent, signal);
    expect(ended).toMatchObject({
      code,
      termination: { verdict: 'failed', reason: 'CANCELLED', exitCode: code },
      report: { verdict: 'failed', exitCode: code },
    });
    expect(ended.stderr).toContain(`CANCELLED (exit ${code})`);
    expect(ended.msToEnd).toBeLessThan(2000);
    expect(existsSync(to)).toBe(false);
    expect(Object.keys(treeOf(`${parent}/${leftovers(parent)[0]}/tree`)).sort()).toEqual(
      ['config.json', 'empty.txt', 'weights', 'weights/part-1.bin', 'weights/part-2.bin'].sort(),
    );
    expect(readdirSync(`${parent}/${leftovers(parent)[0]}`)).toEqual(['tree']);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(leftovers(parent)).toEqual([]);
  });

  test('by --timeout: exit 3 by then, verified files kept', async () => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    server.always(server.pathOf('weights/last.bin'), { kind: 'stall', bytes: 1000 });
    const ended = await runGate(['pull', server.url, to, '--timeout', '1500ms'], { env });
    expect(ended).toMatchObject({ code: 3, termination: { reason: 'SOURCE_TIMEOUT' } });
    expect(ended.ms).toBeLessThan(5000);
    expect(leftovers(parent).length).toBe(1);
  });

  test('by a source that fails stays, by a refusal goes', async () => {
    await using server = await serveModel(BIG);
    const { parent, to } = fresh();
    server.always(server.pathOf('weights/last.bin'), { kind: 'status', status: 403 });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'SOURCE_DENIED', exitCode: 3 });
    expect(stagedNames(parent).length).toBeGreaterThan(0);
    server.files.set(server.pathOf('weights/last.bin'), Buffer.from('tampered'));
    server.always(server.pathOf('weights/last.bin'), { kind: 'ignoreRange' });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'DIGEST_MISMATCH', exitCode: 1 });
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe('staging directories of others', () => {
  const DAY_MS = 24 * 60 * 60 * 1000;

  test('are removed after 24 hours without a heartbeat, and left alone before', async () => {
    await using server = await serveModel(files);
    const { parent, to } = fresh();
    for (const [name, ageMs] of [
      ['.model-gate-gone-pod-0123456789ab', DAY_MS + 60_000],
      ['.model-gate-busy-pod-0123456789ab', DAY_MS - 3_600_000],
      ['.model-gate-beating-pod-0123456789ab', 2 * DAY_MS],
    ] as const) {
      writeTree(`${parent}/${name}`, { 'tree/f': 'x', owner: '{}' });
      const then = new Date(Date.now() - ageMs);
      if (!name.includes('beating')) utimesSync(`${parent}/${name}/owner`, then, then);
      utimesSync(`${parent}/${name}`, then, then);
    }
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(readdirSync(parent).sort()).toEqual(['.model-gate-beating-pod-0123456789ab', '.model-gate-busy-pod-0123456789ab', 'models']);
  });

  test('that were on their way out when their start died are removed at once', async () => {
    await using server = await serveModel(files);
    const { parent, to } = fresh();
    writeTree(`${parent}/.model-gate-removed-0123456789ab`, { 'tree/f': 'x', 'part/1': 'x', owner: '{}' });
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(readdirSync(parent)).toEqual(['models']);
  });

  test('are not followed where they are links, and what a link leads to is not removed', async () => {
    await using server = await serveModel(files);
    const { parent, to } = fresh();
    writeTree(`${parent}/precious`, { file: 'x' });
    symlinkSync('precious', `${parent}/.model-gate-link-0123456789ab`);
    writeTree(`${parent}/.model-gate-old-0123456789ab`, { 'tree/f': 'x' });
    symlinkSync('../../precious', `${parent}/.model-gate-old-0123456789ab/tree/link`);
    const then = new Date(Date.now() - 2 * DAY_MS);
    utimesSync(`${parent}/.model-gate-old-0123456789ab`, then, then);
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(`${parent}/precious`)).toEqual(treeFrom({ file: 'x' }));
    expect(existsSync(`${parent}/.model-gate-old-0123456789ab`)).toBe(false);
  });

  test('that somebody else made under our name are not used: other modes, links, plain files', async () => {
    await using server = await serveModel(files);
    const { parent, to } = fresh();
    // The name is predictable on purpose (the next start has to find it), so it can be squatted.
    await pullHere([server.url, `${parent}/probe`]).catch(() => {});
    server.always(server.pathOf('config.json'), { kind: 'status', status: 403 });
    await pullHere([server.url, to]);
    const [name = ''] = leftovers(parent);
    expect(name).toContain(hostname().slice(0, 20));
    server.always(server.pathOf('config.json'), { kind: 'ignoreRange' });

    rmSync(`${parent}/${name}`, { recursive: true });
    writeTree(`${parent}/${name}`, { 'tree/config.json': 'theirs' });
    chmodSync(`${parent}/${name}`, 0o777);
    writeTree(`${parent}/elsewhere`, { 'tree/config.json': 'theirs' });
    symlinkSync('elsewhere', `${parent}/${name}-2`);
    writeFileSync(`${parent}/${name}-3`, 'a file');
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toEqual(treeFrom(files));
    expect(treeOf(`${parent}/elsewhere`)).toEqual(treeFrom({ 'tree/config.json': 'theirs' }));
    expect(treeOf(`${parent}/${name}`)).toEqual(treeFrom({ 'tree/config.json': 'theirs' }));
  });
});

describe('several models in one call', () => {
  test('all pass or the call fails: the first stays, the second that is refused leaves nothing, the third is not looked at', async () => {
    await using good = await serveModel(files);
    await using bad = await serveModel({ ...files, 'config.json': 'tampered' });
    const { parent } = fresh();
    const outcome = await pullHere([good.url, `${parent}/a`, bad.url, `${parent}/b`, good.url, `${parent}/c`]);
    expect(outcome).toMatchObject({ reason: 'DIGEST_MISMATCH', exitCode: 1 });
    expect(outcome.evidence.models.map(({ verdict }) => verdict)).toEqual(['verified', 'refused']);
    expect(readdirSync(parent)).toEqual(['a']);
    expect(treeOf(`${parent}/a`)).toEqual(treeFrom(files));
  });

  test('may be nested, outer first or inner first', async () => {
    await using server = await serveModel(files);
    const { parent } = fresh();
    for (const pairs of [
      [`${parent}/x`, `${parent}/x/lora`],
      [`${parent}/y/lora`, `${parent}/y`],
    ]) {
      expect(await pullHere(pairs.flatMap((to) => [server.url, to]))).toMatchObject({ reason: 'OK' });
      for (const to of pairs) expect(treeOf(to)).toMatchObject(treeFrom(files));
    }
  });

  test('may not be nested where a signed file of one lies in the destination of another', async () => {
    await using server = await serveModel(files);
    const { parent } = fresh();
    const outcome = await pullHere([server.url, `${parent}/x`, server.url, `${parent}/x/weights`]);
    expect(outcome).toMatchObject({ reason: 'PLAN_CONTRADICTION', exitCode: 2 });
    expect(existsSync(parent)).toBe(false);
  });
});
