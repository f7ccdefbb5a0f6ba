// SPDX-License-Identifier: Apache-2.0
// Part 1 of the workshop's guide: get a model, make a key, sign. Everything lands in work/, which git does not see.
import { appendFile, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../../../test/e2e/pods/process.ts';
import { makeToken, startSigstoreServer } from '../../../test/servers/sigstoreServer.ts';
import { makeKeys } from '../../../test/support/signer.ts';
import { WORKSHOP } from './exercise.ts';
import type { ConfigMaps } from './place.ts';

const WORK = join(WORKSHOP, 'work');
const PROGRAM = join(WORKSHOP, '../../dist/main.js');

/** The folder the exercises damage, as the workshop's guide calls it. */
export const MODEL = join(WORK, 'bert-base-uncased');

/** Signs the models of all exercises, and gives back what the pods are to trust. */
export async function makeModels(): Promise<ConfigMaps> {
  const downloaded = await download();
  await rm(WORK, { recursive: true, force: true, maxRetries: 3 });
  await mkdir(WORK, { recursive: true });
  const make = async (name: string, change: (folder: string) => Promise<void> = async () => undefined): Promise<string> => {
    const folder = join(WORK, name);
    await cp(downloaded, folder, { recursive: true });
    await change(folder);
    return folder;
  };
  const signer = makeKeys();
  const privateKey = join(WORK, 'signer.key');
  await writeFile(privateKey, signer.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const signed = (folder: string): Promise<string> => gate(['sign', 'key', folder, '--private-key', privateKey]);

  const digest = await signed(await make('signed'));
  await signed(await make('older', (folder) => appendFile(join(folder, 'config.json'), '\n')));
  await signed(await make('with-pickle', (folder) => writeFile(join(folder, 'pytorch_model.bin'), "cos\nsystem\n(S'echo I could be anything'\ntR.")));
  const trustedRoot = await signKeyless(await make('keyless'));

  return {
    'signer-key': { 'signer.pub': signer.publicPem },
    'stranger-key': { 'stranger.pub': makeKeys().publicPem },
    'model-pin': { digest: digest.trim() },
    'sigstore-trust': { 'trusted_root.json': trustedRoot },
  };
}

/** The folder of the exercises, as it was signed. */
export async function restoreModel(): Promise<void> {
  await rm(MODEL, { recursive: true, force: true });
  await cp(join(WORK, 'signed'), MODEL, { recursive: true });
}

export function attack(commands: string): Promise<string> {
  return must('sh', ['-euc', `cd "$1"; ${commands}`, 'attack', MODEL]);
}

/** The model's two files, out of the package that ships them. It is downloaded once. */
async function download(): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? '/tmp', '.cache'), 'model-gate-workshop');
  const folder = join(cache, 'magika-1.0.3');
  if ((await readdir(folder).catch(() => [])).length === 2) return folder;
  await rm(cache, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const any = ['--only-binary', ':all:', '--platform', 'manylinux_2_28_x86_64']; // the same file on every machine; nothing of it is run
  await must('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', ...any, '--dest', cache, '--require-hashes', '-r', join(WORKSHOP, 'model.txt')]);
  const wheel = (await readdir(cache)).find((name) => name.endsWith('.whl')) ?? '';
  await must('python3', ['-m', 'zipfile', '-e', join(cache, wheel), join(cache, 'package')]);
  const model = join(cache, 'package/magika/models/standard_v3_3');
  await copyFile(join(model, 'config.min.json'), join(folder, 'config.json'));
  await copyFile(join(model, 'model.onnx'), join(folder, 'model.onnx'));
  await rm(join(cache, 'package'), { recursive: true });
  await rm(join(cache, wheel));
  return folder;
}

/** Sigstore without its login and without the internet: an instance of our own, for as long as signing takes. */
async function signKeyless(folder: string): Promise<string> {
  await using sigstore = await startSigstoreServer();
  const trustConfig = join(WORK, 'trust-config.json');
  await writeFile(trustConfig, JSON.stringify(sigstore.trustConfig()));
  const SIGSTORE_ID_TOKEN = makeToken({ iss: 'https://accounts.example.com', email: 'you@example.com', email_verified: true });
  await gate(['sign', 'sigstore', folder, '--trust-config', trustConfig], { SIGSTORE_ID_TOKEN });
  return JSON.stringify(JSON.parse(await readFile(trustConfig, 'utf8')).trustedRoot);
}

function gate(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  return must(process.execPath, [PROGRAM, ...args], { env });
}
