// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createCipheriv, createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { S3_CREDENTIALS, startS3 } from '../e2e/pods/servers.ts';
import { resourceOf, signResources } from '../support/signer.ts';

export const PROGRAM = new URL('../../dist/main.js', import.meta.url).pathname;
export const BUCKET = 'models';

const MIB = 1024 * 1024;

export type WorkloadName = 'one' | 'shards' | 'many' | 'tiny' | 'eighths' | 'formats';
export type Workload = { readonly name: WorkloadName; readonly files: readonly { readonly name: string; readonly sizeBytes: number }[] };

/** Signed models below `root`/models, kept between runs: `root` is what versitygw serves, and nginx the bucket in it. */
export type Data = {
  readonly root: string;
  readonly publicKey: string;
  /** A bundle that lists 100,000 files. */
  readonly entriesBundle: string;
  folderOf(name: WorkloadName): string;
  workload(name: WorkloadName): Workload;
  /** Makes what is not there yet, and reads all of it into the page cache. */
  prepare(names: readonly WorkloadName[]): Promise<void>;
};

export function openData(size: 'full' | 'quick'): Data {
  const home = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'model-gate-bench', size);
  const data: Data = {
    root: join(home, 'buckets'),
    publicKey: join(home, 'key.pub'),
    entriesBundle: join(home, 'entries.sig'),
    folderOf: (name) => join(home, 'buckets', BUCKET, name),
    workload: (name) => ({ name, files: FILES[size][name] }),
    async prepare(names) {
      for (const name of names) {
        if (!existsSync(readyMark(home, name))) await make(data, name, home);
        for (const file of FILES[size][name]) await readThrough(join(data.folderOf(name), file.name));
      }
    },
  };
  mkdirSync(join(data.root, BUCKET), { recursive: true });
  if (!existsSync(join(home, 'key.pem'))) makeKeys(home);
  if (!existsSync(data.entriesBundle)) makeEntriesBundle(home, data.entriesBundle);
  return data;
}

const TINY = [1, 4, 16, 64, 256].map((kib, index) => ({ name: `part-${index}.json`, sizeBytes: kib * 1024 }));

/** What --allow-formats has to open and read: real headers of safetensors, and JSON. */
const CONFIGS = ['config.json', 'tokenizer.json'].map((name) => ({ name, sizeBytes: 2 * MIB }));

const FILES: Readonly<Record<'full' | 'quick', Readonly<Record<WorkloadName, Workload['files']>>>> = {
  full: { one: shards(1, 4096), shards: shards(4, 1024), many: shards(1000, 1), tiny: TINY, eighths: shards(8, 512), formats: [...CONFIGS, ...shards(4, 256)] },
  quick: { one: shards(1, 512), shards: shards(4, 128), many: shards(300, 1), tiny: TINY, eighths: shards(8, 64), formats: [...CONFIGS, ...shards(4, 64)] },
};

function shards(count: number, mib: number): Workload['files'] {
  return Array.from({ length: count }, (_, index) => ({ name: `model-${String(index + 1).padStart(4, '0')}.safetensors`, sizeBytes: mib * MIB }));
}

function readyMark(home: string, name: WorkloadName): string {
  return join(home, `${name}.ready`);
}

/** Objects are uploaded, not just laid there: only then does the server know an ETag for them, as any real one does. */
async function make(data: Data, name: WorkloadName, home: string): Promise<void> {
  console.error(`making ${data.folderOf(name)}`);
  rmSync(data.folderOf(name), { recursive: true, force: true });
  await using server = await startS3(data.root);
  const client = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    credentials: S3_CREDENTIALS,
  });
  const put = (file: string, body: Readable | Buffer, sizeBytes: number) =>
    client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${name}/${file}`, Body: body, ContentLength: sizeBytes }));
  for (const file of data.workload(name).files) await put(file.name, Readable.from(contentOf(name, file)), file.sizeBytes);
  const bundle = join(home, 'new.sig');
  execFileSync(process.execPath, [PROGRAM, 'sign', 'key', data.folderOf(name), '--private-key', join(home, 'key.pem'), '--signature', bundle]);
  await put('model.sig', readFileSync(bundle), readFileSync(bundle).length);
  client.destroy();
  writeFileSync(readyMark(home, name), '');
}

function contentOf(workload: WorkloadName, { name, sizeBytes }: Workload['files'][number]): Iterable<Buffer> {
  if (workload !== 'formats') return keystream(`${workload}/${name}`, sizeBytes);
  return name.endsWith('.json') ? [jsonOf(sizeBytes)] : safetensorsOf(`${workload}/${name}`, sizeBytes);
}

function jsonOf(sizeBytes: number): Buffer {
  const entries = Array.from({ length: Math.floor(sizeBytes / 32) }, (_, index) => `"token ${index}": ${index}`).join(', ');
  return Buffer.from(`{${entries.slice(0, entries.lastIndexOf(', ', sizeBytes - 2))}}`.padEnd(sizeBytes));
}

/** 512 tensors of the same length, as a real file of weights has them. */
function* safetensorsOf(seed: string, sizeBytes: number): Generator<Buffer> {
  const tensors = 512;
  const headerBytes = MIB - 8;
  const length = (sizeBytes - MIB) / tensors;
  const entries = Array.from({ length: tensors }, (_, n) => [`layer.${n}`, { dtype: 'U8', shape: [length], data_offsets: [n * length, (n + 1) * length] }]);
  const head = Buffer.alloc(MIB, ' ');
  head.writeBigUInt64LE(BigInt(headerBytes));
  head.write(JSON.stringify(Object.fromEntries(entries)), 8);
  yield head;
  yield* keystream(seed, sizeBytes - MIB);
}

/** Nothing can compress it, and it is the same on every machine. */
function* keystream(seed: string, sizeBytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(MIB);
  for (let made = 0; made < sizeBytes; made += MIB) yield cipher.update(zeros.subarray(0, Math.min(MIB, sizeBytes - made)));
}

async function readThrough(path: string): Promise<void> {
  for await (const _ of createReadStream(path, { highWaterMark: 4 * MIB }));
}

function makeKeys(home: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  writeFileSync(join(home, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(join(home, 'key.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
}

function makeEntriesBundle(home: string, path: string): void {
  const privateKey = createPrivateKey(readFileSync(join(home, 'key.pem')));
  const publicKey = createPublicKey(privateKey);
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const resources = Array.from({ length: 100_000 }, (_, index) => resourceOf(`layers/${index % 100}/tensor-${index}.bin`, `content ${index}`));
  writeFileSync(path, signResources(resources, { privateKey, publicKey, publicPem }));
}
