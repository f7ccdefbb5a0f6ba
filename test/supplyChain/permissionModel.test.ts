// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { fileScratch } from '../support/fileScratch.ts';
import { type Files, KEYS, SMALL_MODEL, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { type Ended, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

// The pod option of docs/supply-chain.md, as a process: the same flags, with the paths of this machine.

const DIST = resolve(import.meta.dirname, '../../dist');
const tmp = fileScratch();
const files = signed(SMALL_MODEL);

/** The documented command, without the program it starts. */
function documentedFlags(): readonly string[] {
  const page = readFileSync(new URL('../../docs/supply-chain.md', import.meta.url), 'utf8');
  const [, yaml = ''] = /## Node's permission model[\s\S]*?```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const { command } = parse(yaml) as { command: readonly string[] };
  expect([command[0], command.at(-1)]).toEqual(['/nodejs/bin/node', '/app/dist/main.js']);
  return command.slice(1, -1);
}

/** Runs it with `keys` and `models` of this folder as those of the pod, and `message` as its termination log. */
async function underPermissions(folder: string, args: readonly string[], more: readonly string[] = []): Promise<Ended> {
  const here = (flag: string): string =>
    flag
      .replace('/dev/termination-log', `${folder}/message`)
      .replace('/app/', `${resolve(DIST, '..')}/`)
      .replace(/\/(keys|models)\//, `${folder}/$1/`);
  const [first = '', ...flags] = [...documentedFlags(), ...more].map(here);
  const trust = ['--public-key', `${folder}/keys/pub.pem`, '--termination-log', `${folder}/message`];
  // Node's flags stand where the program usually does. It is told to write nothing but the message.
  return runGate([...flags, `${DIST}/main.js`, ...args, ...trust], { entry: first, env: { MODEL_GATE_REPORT: '' } });
}

function folderWith(model: Files): string {
  const folder = tmp.fresh();
  writeTree(folder, {
    'keys/pub.pem': KEYS.publicPem,
    message: '',
    ...Object.fromEntries(Object.entries(model).map(([name, body]) => [`models/m/${name}`, body])),
  });
  return folder;
}

describe('verify with the documented permissions', () => {
  test('passes a good model and blocks a changed one', async () => {
    const good = folderWith(files);
    expect(await underPermissions(good, ['verify', `${good}/models/m`])).toMatchObject({ code: 0 });
    expect(readFileSync(`${good}/message`, 'utf8')).toContain('"verdict":"verified"');
    const bad = folderWith({ ...files, 'config.json': '{"hidden_size": 9}' });
    expect(await underPermissions(bad, ['verify', `${bad}/models/m`])).toMatchObject({ code: 1, stderr: expect.stringContaining('DIGEST_MISMATCH') });
  });

  test('reads nothing outside of what was named', async () => {
    const folder = folderWith(files);
    const other = folderWith(files);
    const ended = await underPermissions(folder, ['verify', `${other}/models/m`]);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toMatch(/not permitted|denied|restricted/i);
  });
});

test('pull does not work under them: it ends with IO and publishes nothing', async () => {
  const folder = folderWith(files);
  await using server = await serveModel(files);
  const ended = await underPermissions(folder, ['pull', server.url, `${folder}/models/to`], [`--allow-fs-write=${folder}/models/*`]);
  expect(ended).toMatchObject({ code: 4, stderr: expect.stringContaining('IO') });
  expect(treeOf(`${folder}/models/m`)).toEqual(treeFrom(files));
  expect(treeOf(`${folder}/models/to`)).toEqual({});
});
