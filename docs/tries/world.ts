// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { issueServer, makeAuthority } from '../../test/servers/certificates.ts';
import { startHttpServer } from '../../test/servers/httpServer.ts';
import { startS3Server } from '../../test/servers/s3Server.ts';
import { makeToken, startSigstoreServer } from '../../test/servers/sigstoreServer.ts';
import { type Scratch, scratch, writeTree } from '../../test/support/model.ts';
import { runGate } from '../../test/support/run.ts';
import { type Keys, makeKeys, resourceOf, rootDigestOf, shardsOf, signDirectory, signPayload, signResources } from '../../test/support/signer.ts';
import { CODE_SIGNING, issue, keyPair, pem, root } from '../../test/trust/pki.ts';

/** A directory of models, keys and files as a user could have them, and servers on loopback that hold some of them. */
export type World = AsyncDisposable & {
  readonly cwd: string;
  /** What stands for an address or a digest in a try → what it is here. */
  readonly values: Readonly<Record<string, string>>;
};

const FILES = { 'config.json': '{"hidden_size": 8}\n', 'weights/model.bin': Buffer.alloc(20_000, 'weights') };
const DAY = 86_400_000;

export async function makeWorld(): Promise<World> {
  const space = scratch();
  const keys = makeKeys();
  writeKeys(space, keys);
  writeModels(space, keys);
  await writeCertificates(space);
  writeTufRoot(space);
  const digest = rootDigestOf(readFileSync(space.at('model/model.sig')));
  const stack = new AsyncDisposableStack();
  stack.defer(() => space[Symbol.dispose]());

  const authority = await makeAuthority();
  writeFileSync(space.at('server-ca.pem'), authority.certPem);
  const files = (name: string, from = name): Record<string, Buffer> =>
    Object.fromEntries(['config.json', 'weights/model.bin', 'model.sig'].map((file) => [`/${name}/${file}`, readFileSync(space.at(from, file))]));
  const web = stack.use(
    await startHttpServer({ files: { ...files('model'), ...files('changed'), ...without(files('model'), 'model', 'gone'), ...files('changing', 'model') } }),
  );
  web.always('/private/model.sig', { kind: 'status', status: 403 });
  web.always('/login/model.sig', { kind: 'status', status: 401 });
  web.always('/slow/model.sig', { kind: 'silence' });
  web.always('/down/model.sig', { kind: 'status', status: 503 });
  web.always('/loop/model.sig', { kind: 'redirect', location: '/loop/model.sig' });
  web.always('/changing/weights/model.bin', { kind: 'status', status: 412 });
  web.always('/moved/model.sig', { kind: 'redirect', location: 'http://169.254.169.254/latest/meta-data' });
  const tls = stack.use(await startHttpServer({ files: files('model'), tls: await issueServer(authority) }));
  const expired = stack.use(await startHttpServer({ files: files('model'), tls: await issueServer(authority, 'expired') }));
  const misnamed = stack.use(await startHttpServer({ files: files('model'), tls: await issueServer(authority, 'valid', 'models.example.com') }));
  const s3 = stack.use(await startS3Server({ buckets: { models: {} }, keys: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'right' }, missingKey: 'denied' }));
  const keyless = stack.use(await startSigstoreServer());
  await signKeyless(space, keyless.trustConfig());
  return {
    cwd: space.path,
    values: {
      '{web}': web.origin,
      '{tls}': tls.origin,
      '{expired}': expired.origin,
      '{misnamed}': misnamed.origin,
      '{s3}': s3.origin,
      '{sigstore}': keyless.origin,
      '{closed}': `http://127.0.0.1:${await closedPort()}`,
      '{digest}': digest,
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function writeKeys(space: Scratch, keys: Keys): void {
  writeFileSync(space.at('pub.pem'), keys.publicPem);
  writeFileSync(space.at('other.pem'), makeKeys().publicPem);
  writeFileSync(space.at('key.pem'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(space.at('locked.pem'), keys.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }));
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(space.at('rsa.pem'), rsa.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(space.at('rsa-key.pem'), rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

function writeModels(space: Scratch, keys: Keys): void {
  const model = (name: string, change: (at: (file: string) => string) => void = () => {}): void => {
    writeTree(space.at(name), FILES);
    writeFileSync(space.at(name, 'model.sig'), signDirectory(space.at(name), keys));
    change((file) => space.at(name, file));
  };
  model('model');
  model('changed', (at) => writeFileSync(at('weights/model.bin'), Buffer.alloc(20_000, 'weightz')));
  model('shorter', (at) => writeFileSync(at('weights/model.bin'), Buffer.alloc(19_000, 'weights')));
  model('missing', (at) => rmSync(at('weights/model.bin')));
  model('extra', (at) => writeFileSync(at('run.py'), 'import os\n'));
  model('linked', (at) => {
    rmSync(at('config.json'));
    symlinkSync('/etc/hostname', at('config.json'));
  });
  model('unsigned', (at) => rmSync(at('model.sig')));
  model('cut', (at) => writeFileSync(at('model.sig'), readFileSync(at('model.sig')).subarray(0, 400)));
  model('html', (at) => writeFileSync(at('model.sig'), '<!DOCTYPE html><title>Sign in</title>\n'));
  model('traversal', (at) =>
    writeFileSync(
      at('model.sig'),
      signDirectoryAs(at(''), keys, (text) => text.replace('config.json', '../../etc/cron.d/job')),
    ),
  );
  model('md5', (at) =>
    writeFileSync(
      at('model.sig'),
      signDirectoryAs(at(''), keys, (text) => text.replaceAll('"sha256",', '"md5",').replaceAll('"algorithm":"sha256"', '"algorithm":"md5"')),
    ),
  );
  model('pickled', (at) => {
    writeFileSync(
      at('weights/model.bin'),
      Buffer.from('\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.', 'latin1'),
    );
    writeFileSync(at('model.sig'), signDirectory(at(''), keys));
  });
  const inShards = (name: string, sizeBytes: number): void => {
    const whole = Buffer.from(FILES['weights/model.bin']);
    const ranges =
      sizeBytes === whole.length ? shardsOf('weights/model.bin', whole, 10_000) : [{ ...resourceOf('', ''), name: `weights/model.bin:0:${sizeBytes}` }];
    const resources = [...shardsOf('config.json', Buffer.from(FILES['config.json']), 10_000), ...ranges];
    model(name, (at) =>
      writeFileSync(
        at('model.sig'),
        signResources(resources, keys, { serialization: { method: 'shards', shard_size: ranges.length > 1 ? 10_000 : sizeBytes } }),
      ),
    );
  };
  inShards('sharded', 20_000);
  writeFileSync(space.at('sharded/weights/model.bin'), Buffer.alloc(19_000, 'weights'));
  inShards('huge', 2 ** 52);
  model('older/models', (at) => writeFileSync(at('weights/model.bin'), Buffer.alloc(20_000, 'older')));
  writeFileSync(space.at('older/models/notes.txt'), 'mine\n');
  mkdirSync(space.at('empty'));
  execFileSync('tar', ['-czf', space.at('whole.tgz'), '-C', space.at('unsigned'), '.']);
  writeFileSync(space.at('half.tgz'), readFileSync(space.at('whole.tgz')).subarray(0, 100));
  cpSync(space.at('half.tgz'), space.at('archives/half.tgz'));
  writeFileSync(space.at('archives/half.tgz.sig'), signDirectory(space.at('archives'), keys));
  writeTree(space.at('occupied'), { 'notes.txt': 'mine\n' });
  writeTree(space.at('broken'), { 'model.safetensors': Buffer.from('\x40\0\0\0\0\0\0\0{"weight":', 'latin1') });
  writeTree(space.at('latin1'), { 'config.json': '{}' });
  writeFileSync(Buffer.concat([Buffer.from(space.at('latin1', 'mod')), Buffer.from([0xe8]), Buffer.from('le.bin')]), 'weights');
  writeFileSync(space.at('config.yaml'), 'public-keys: [pub.pem]\n');
  writeFileSync(space.at('tabs.yaml'), 'public-key:\n\t- pub.pem\n');
  writeFileSync(space.at('policy.yaml'), 'apiVersion: model-gate/policy/v1\nrules:\n  - name: all\n    source: file:///elsewhere/**\n    require: release\n');
  writeFileSync(
    space.at('elsewhere.yaml'),
    'apiVersion: model-gate/policy/v1\nsigners:\n  release: { key: pub.pem }\nrules:\n  - name: production\n    source: s3://models/**\n    require: release\n',
  );
  const policy = (name: string, extra: string, require = 'release'): void =>
    writeFileSync(
      space.at(name),
      `apiVersion: model-gate/policy/v1\nsigners:\n  release: { key: pub.pem }\n  reviewer: { key: other.pem }\n${extra}rules:\n  - name: all\n    source: '*://**'\n    require: ${require}\n`,
    );
  policy('here.yaml', '');
  policy(
    'denied.yaml',
    `always: { digests: { deny: [{ digest: 'sha256:${rootDigestOf(readFileSync(space.at('model/model.sig')))}', reason: incident 12 }] } }\n`,
  );
  policy('dated.yaml', 'always: { requireTimestamp: true }\n');
  policy('two.yaml', '', '{ threshold: { atLeast: 2, of: [release, reviewer] } }');
  writeFileSync(space.at('report.json'), '{"verdict": "verified"}\n');
}

/** As signDirectory, with another text of the statement. */
function signDirectoryAs(dir: string, keys: Keys, edit: (text: string) => string): Buffer {
  const { payload } = (JSON.parse(signDirectory(dir, keys).toString()) as { dsseEnvelope: { payload: string } }).dsseEnvelope;
  return signPayload(Buffer.from(edit(Buffer.from(payload, 'base64').toString())), keys);
}

async function writeCertificates(space: Scratch): Promise<void> {
  const now = Date.now();
  const valid = { from: new Date(now - DAY), to: new Date(now + 365 * DAY) };
  const ca = await root({ subject: 'Example CA', ...valid });
  const stranger = await root({ subject: 'Another CA', ...valid });
  writeFileSync(space.at('ca.pem'), pem(ca));
  writeFileSync(space.at('other-ca.pem'), pem(stranger));
  const usage = { keyUsage: ['digitalSignature'] as const, purposes: [CODE_SIGNING] };
  for (const [name, dates] of [
    ['certified', valid],
    ['lapsed', { from: new Date('2024-01-01T00:00:00Z'), to: new Date('2025-01-01T00:00:00Z') }],
  ] as const) {
    const keys = keyPair('P-256');
    const leaf = await issue({ subject: 'ml-release@example.com', issuer: ca, key: keys, ...usage, ...dates });
    writeTree(space.at(name), FILES);
    writeFileSync(space.at(name, 'model.sig'), certificateBundle(space.at(name), keys.privateKey, leaf.der));
  }
}

function certificateBundle(dir: string, privateKey: Parameters<typeof sign>[2], der: Buffer): string {
  const bundle = JSON.parse(signDirectory(dir, makeKeys()).toString()) as {
    dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
  };
  const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64');
  const type = bundle.dsseEnvelope.payloadType;
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  bundle.dsseEnvelope.signatures = [{ sig: sign('sha256', signed, privateKey).toString('base64') }];
  return JSON.stringify({
    ...bundle,
    verificationMaterial: { x509CertificateChain: { certificates: [{ rawBytes: der.toString('base64') }] }, tlogEntries: [] },
  });
}

/** The public-good instance's first TUF root, as its mirrors would have it. */
function writeTufRoot(space: Scratch): void {
  const seeds = createRequire(import.meta.url)('@sigstore/tuf/seeds.json') as Record<string, { readonly 'root.json': string }>;
  const [first] = Object.values(seeds);
  writeFileSync(space.at('root.json'), Buffer.from(first?.['root.json'] ?? '', 'base64'));
}

async function signKeyless(space: Scratch, trustConfig: object): Promise<void> {
  writeTree(space.at('keyless'), FILES);
  writeFileSync(space.at('trust.json'), JSON.stringify(trustConfig));
  writeFileSync(space.at('token'), makeToken());
  writeFileSync(space.at('old-token'), makeToken({ exp: 1 }));
  const ended = await runGate(['sign', 'sigstore', 'keyless', '--trust-config', 'trust.json', '--identity-token-file', 'token'], { cwd: space.path });
  if (ended.code !== 0) throw new Error(ended.stderr);
}

function without(files: Record<string, Buffer>, from: string, to: string): Record<string, Buffer> {
  return Object.fromEntries(
    Object.entries(files)
      .filter(([path]) => !path.endsWith('.bin'))
      .map(([path, body]) => [path.replace(`/${from}/`, `/${to}/`), body]),
  );
}

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
