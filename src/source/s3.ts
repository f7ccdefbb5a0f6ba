// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { SourceSpec } from '../plan/uri.ts';
import { readCaBundle } from './caBundle.ts';
import { proxyFromEnvironment } from './environment.ts';
import { cannotLocate, nameComponents } from './objectName.ts';
import { type S3Options, type StaticKeys, s3Options } from './s3Options.ts';
import type { S3Account } from './s3Sdk.ts';
import { encodeRfc3986, presign } from './sigv4.ts';
import type { Environment, HttpSettings, Locator, ObjectRef, Source, SourceSettings } from './source.ts';

type S3Spec = Extract<SourceSpec, { kind: 's3' }>;

/** How long a signed URL may wait before it is used; the download itself may take longer. */
const URL_LIFETIME_SECONDS = 3600;

/**
 * A bucket, through presigned GET URLs: nothing is ever listed. The SDK is asked for credentials and addresses where they follow from
 * more than the settings at hand.
 * @throws CONFIG_INVALID, CREDENTIALS_MISSING (half a key pair)
 */
export async function openS3(spec: S3Spec, settings: SourceSettings, env: Environment): Promise<Source> {
  const options = s3Options(settings.s3, env);
  const http = await httpSettings(options, settings, env);
  const displayUri = printable(`s3://${spec.bucket}/${spec.key}`);
  if (spec.key !== '') requirePlainKey(spec.key, displayUri);
  let known: S3Account | undefined = accountOf(options, spec.bucket);
  const account = async (): Promise<S3Account> => {
    known ??= await (await import('./s3Sdk.ts')).askSdk(options, spec.bucket, http, displayUri);
    return known;
  };
  // What the SDK's rules exclude is wrong now, not with the first object.
  if (options.credentials.kind !== 'chain') await account();
  return {
    kind: 's3',
    displayUri,
    basename: spec.key.split('/').findLast((component) => component !== '') ?? spec.bucket,
    shape: spec.directory ? 'directory' : spec.versionId !== undefined ? 'object' : 'unknown',
    http,
    async locate(ref: ObjectRef, signal: AbortSignal): Promise<Locator> {
      signal.throwIfAborted();
      const { key, versionId } = objectOf(spec, ref, displayUri);
      const { base, region, keys } = await account();
      const url = new URL(base);
      url.pathname += key.split('/').map(encodeRfc3986).join('/');
      const query = { ...(versionId !== undefined && { versionId }), ...(options.requesterPays && { 'x-amz-request-payer': 'requester' }) };
      if (options.credentials.kind === 'anonymous') return { kind: 'http', url: withQuery(url, query), headers: {} };
      return {
        kind: 'http',
        url: presign({ url, query, region, keys: await keys(), now: new Date(), lifetimeSeconds: URL_LIFETIME_SECONDS }),
        headers: {},
      };
    },
    async [Symbol.asyncDispose]() {
      known?.close();
    },
  };
}

/** Where keys, region and an endpoint of one's own are given, there is nothing to ask. */
function accountOf({ endpoint, region, credentials, addressing, accelerate }: S3Options, bucket: string): S3Account | undefined {
  if (endpoint === undefined || region === undefined || accelerate || addressing === 'virtual' || credentials.kind === 'chain') return undefined;
  // What is more than a name (an ARN of an access point) is for the SDK.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) return undefined;
  const base = new URL(endpoint);
  base.pathname = `${base.pathname.replace(/\/+$/, '')}/${bucket}/`;
  const keys: StaticKeys = credentials.kind === 'static' ? credentials.keys : { accessKeyId: '', secretAccessKey: '' };
  return { region, base, keys: async () => keys, close() {} };
}

/** A version is one object's: what lies beside it (its bundle) is taken as it is now, and has to be signed like everything else. */
function objectOf(spec: S3Spec, ref: ObjectRef, displayUri: string): { readonly key: string; readonly versionId?: string } {
  if (spec.versionId !== undefined && ref.kind === 'inside') throw cannotLocate(ref, displayUri, 'is one version of one object');
  const key = keyOf(spec.key, ref, displayUri);
  return spec.versionId !== undefined && ref.kind === 'self' ? { key, versionId: spec.versionId } : { key };
}

function keyOf(base: string, ref: ObjectRef, displayUri: string): string {
  const name = base.replace(/\/+$/, '');
  switch (ref.kind) {
    case 'self':
      // A GET without a key would list the bucket.
      if (base === '') throw cannotLocate(ref, displayUri, 'is a whole bucket');
      return base;
    case 'beside':
      if (name === '') throw cannotLocate(ref, displayUri, 'is a whole bucket');
      return name + ref.suffix;
    case 'inside':
      return (base === '' || base.endsWith('/') ? base : `${base}/`) + nameComponents(ref.path).join('/');
  }
}

/** S3 allows `a/../b` as a key, but every URL parser on the way would make it `b`: signed for one object, sent for another. */
function requirePlainKey(key: string, displayUri: string): void {
  if (key.split('/').some((component) => component === '.' || component === '..') || !key.isWellFormed()) {
    throw new AppError('CONFIG_INVALID', `the key of ${displayUri} holds '.' or '..' as a component, which cannot be requested over HTTP`);
  }
}

function withQuery(url: URL, query: Readonly<Record<string, string>>): string {
  url.search = new URLSearchParams(query).toString();
  return url.href;
}

async function httpSettings(options: S3Options, settings: SourceSettings, env: Environment): Promise<HttpSettings> {
  const { connectTimeoutMs, stallTimeoutMs, reader } = settings.http;
  // Configured but missing is fatal here, as in KServe: going on could only fail later, as an untrusted server.
  const caPem = options.caBundle === undefined ? undefined : await readCaBundle(options.caBundle.path, options.caBundle.origin);
  const proxy = proxyFromEnvironment(env);
  return {
    connectTimeoutMs,
    stallTimeoutMs,
    ...(reader !== undefined && { reader }),
    verifyTls: options.verifyTls,
    ...(caPem !== undefined && { caPem }),
    ...(proxy !== undefined && { proxy }),
  };
}
