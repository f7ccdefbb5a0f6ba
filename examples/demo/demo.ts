// SPDX-License-Identifier: Apache-2.0
// `npm run demo`: a model store on loopback, a signed model, and three things that can happen to it.
// Everything below runs the built program, dist/main.js, as a pod would.
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { makeKeys, rootDigestOf, signDirectory } from '../../test/support/signer.ts';

const PROGRAM = new URL('../../dist/main.js', import.meta.url).pathname;
const colour = process.stdout.isTTY && !process.env['NO_COLOR'];
const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
const say = (text = ''): void => console.log(text);

const home = mkdtempSync(join(tmpdir(), 'model-gate-demo-'));
const store = join(home, 'store');
const keys = makeKeys();
const keyFile = join(home, 'publisher.pub');
writeFileSync(keyFile, keys.publicPem);

const server = createServer((request, response) => {
  const path = join(store, normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)));
  if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
  response.writeHead(200, { 'content-length': statSync(path).size });
  createReadStream(path).pipe(response);
});
server.listen(0, '127.0.0.1', () => void main());

/** A small sample model; every version differs in its weights. */
function publish(name: string, version: number): string {
  const dir = join(store, name);
  mkdirSync(join(dir, 'tokenizer'), { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ architectures: ['Demo'], version }));
  writeFileSync(join(dir, 'tokenizer', 'vocab.txt'), 'hello\nworld\n');
  writeFileSync(join(dir, 'model.safetensors'), Buffer.alloc(4 * 1024 * 1024, version));
  const bundle = signDirectory(dir, keys);
  writeFileSync(join(dir, 'model.sig'), bundle);
  return rootDigestOf(bundle);
}

async function main(): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  say(paint(1, 'model-gate demo'));
  say(`  model store   ${base}`);
  say('  publisher     a P-256 key made just now; the pod knows its public half');
  publish('chat-v1', 1);
  const wanted = publish('chat-v2', 2);

  const results = [
    await act('1  A signed model', 'The bundle is checked first, then every byte on its way in.', `${base}/chat-v2/`, [], 0),
    await act(
      '2  Poisoned weights: one byte flipped in the store',
      'The signature still holds; the file is not what was signed.',
      `${base}/chat-v2/`,
      [],
      1,
      () => flipByte('chat-v2/model.safetensors'),
    ),
    await act(
      '3  A swapped model: the older version, genuinely signed, in place of the new one',
      'Every signature is right. Only the pin knows which version was meant.',
      `${base}/chat-v1/`,
      ['--expect-digest', `sha256:${wanted}`],
      1,
    ),
    await act('4  The bundle removed', 'Unsigned is not the same as unchecked: there is no mode that lets it through.', `${base}/chat-v1/`, [], 1, () =>
      rmSync(join(store, 'chat-v1/model.sig')),
    ),
  ];
  say(paint(1, 'What a pod would have done'));
  for (const { title, code } of results) say(`  ${code === 0 ? paint(32, 'server starts     ') : paint(31, 'server never runs ')} exit ${code}  ${title}`);
  server.close();
  rmSync(home, { recursive: true });
  process.exitCode = results.every((result) => result.asExpected) ? 0 : 1;
}

type Result = { readonly title: string; readonly code: number; readonly asExpected: boolean };

async function act(title: string, lesson: string, source: string, flags: readonly string[], expected: number, prepare?: () => void): Promise<Result> {
  prepare?.();
  const destination = join(home, `volume-${title[0]}`);
  say();
  say(paint(1, title));
  say(paint(2, `   ${lesson}`));
  say(paint(2, `   $ model-gate pull ${source} ${destination.replace(home, '')} --public-key publisher.pub ${flags.join(' ')}`));
  const code = await run(['pull', source, destination, '--public-key', keyFile, '--log-format', 'human', ...flags]);
  const left = existsSync(destination) ? readdirSync(destination, { recursive: true }).length : 0;
  say(`   exit ${code}; ${left === 0 ? 'nothing reached the volume' : `${left} entries on the volume, all verified`}`);
  say();
  const clean = expected === 0 ? left > 0 && sameFiles(destination) : left === 0;
  return { title: title.slice(3), code, asExpected: code === expected && clean };
}

function run(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'inherit', 'pipe'],
      env: { ...process.env, MODEL_GATE_TERMINATION_LOG: join(home, 'termination') },
    });
    child.stderr.on('data', (text: Buffer) => process.stdout.write(text.toString().replace(/^(?=.)/gm, '   ')));
    child.on('close', (code) => resolve(code ?? -1));
  });
}

function flipByte(name: string): void {
  const path = join(store, name);
  const bytes = readFileSync(path);
  bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function sameFiles(destination: string): boolean {
  return ['config.json', 'tokenizer/vocab.txt', 'model.safetensors', 'model.sig'].every((name) =>
    readFileSync(join(destination, name)).equals(readFileSync(join(store, 'chat-v2', name))),
  );
}
