// SPDX-License-Identifier: Apache-2.0
import { GetObjectCommand, type GetObjectCommandInput, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { SourceSpec } from '../plan/uri.ts';
import { readCaBundle } from './caBundle.ts';
import { proxyFromEnvironment } from './environment.ts';
import { cannotLocate, nameComponents } from './objectName.ts';
import { type S3Options, s3Options } from './s3Options.ts';
import type { Environment, HttpSettings, Locator, ObjectRef, Source, SourceSettings } from './source.ts';

type S3Spec = Extract<SourceSpec, { kind: 's3' }>;

/** How long a signed URL may wait before it is used; the download itself may take longer. */
const URL_LIFETIME_SECONDS = 3600;
const DEFAULT_REGION = 'us-east-1';

/**
 * A bucket, through presigned GET URLs: the SDK finds credentials, region and endpoint and signs, but moves no model bytes and never
 * lists. Without static keys in `env` the SDK's default provider chain is asked, which reads the process environment and may call
 * STS (through the proxy and with the CA bundle), the Pod Identity agent or the instance metadata service (both directly).
 * @throws CONFIG_INVALID, CREDENTIALS_MISSING (half a key pair)
 */
export async function openS3(spec: S3Spec, settings: SourceSettings, env: Environment): Promise<Source> {
  const options = s3Options(settings.s3, env);
  const http = await httpSettings(options, settings, env);
  const displayUri = printable(`s3://${spec.bucket}/${spec.key}`);
  if (spec.key !== '') requirePlainKey(spec.key, displayUri);
  const client = await createClient(options, http);
  return {
    kind: 's3',
    displayUri,
    basename: spec.key.split('/').findLast((component) => component !== '') ?? spec.bucket,
    shape: spec.directory ? 'directory' : spec.versionId !== undefined ? 'object' : 'unknown',
    http,
    async locate(ref: ObjectRef, signal: AbortSignal): Promise<Locator> {
      signal.throwIfAborted();
      const object = objectOf(spec, ref, displayUri);
      if (options.credentials.kind === 'chain') await resolveCredentials(client);
      const url = await presign(client, { Bucket: spec.bucket, ...object, ...(options.requesterPays && { RequestPayer: 'requester' }) }, displayUri);
      return { kind: 'http', url: options.credentials.kind === 'anonymous' ? withoutSignature(url, object.VersionId) : url, headers: {} };
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

/** A version is one object's: what lies beside it (its bundle) is taken as it is now, and has to be signed like everything else. */
function objectOf(spec: S3Spec, ref: ObjectRef, displayUri: string): { readonly Key: string; readonly VersionId?: string } {
  if (spec.versionId !== undefined && ref.kind === 'inside') throw cannotLocate(ref, displayUri, 'is one version of one object');
  const Key = keyOf(spec.key, ref, displayUri);
  return spec.versionId !== undefined && ref.kind === 'self' ? { Key, VersionId: spec.versionId } : { Key };
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

async function createClient(options: S3Options, http: HttpSettings): Promise<S3Client> {
  const config: S3ClientConfig = {
    forcePathStyle: options.addressing === 'path',
    useAccelerateEndpoint: options.accelerate,
    // Without these, presigned URLs ask for checksums by a query parameter that S3-compatible servers reject or ignore.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Directory buckets would otherwise need a CreateSession call before each signature.
    disableS3ExpressSessionAuth: true,
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...explicitCredentials(options),
    // Only calls for credentials go through this; STS clients inherit it from here.
    requestHandler: await credentialRequests(http),
  };
  if (options.region !== undefined) return new S3Client({ ...config, region: options.region });
  const client = new S3Client(config);
  try {
    // The region of AWS_PROFILE or the config file, if there is one.
    await client.config.region();
    return client;
  } catch {
    client.destroy();
    // As boto3 does; a bucket elsewhere answers with its region, which the error then names.
    return new S3Client({ ...config, region: DEFAULT_REGION });
  }
}

function explicitCredentials(options: S3Options): Pick<S3ClientConfig, 'credentials'> {
  switch (options.credentials.kind) {
    case 'static':
      return { credentials: options.credentials.keys };
    case 'anonymous':
      // Placeholders: the signature made with them is cut off again, what stays is the address by the SDK's endpoint rules.
      return { credentials: { accessKeyId: 'anonymous', secretAccessKey: 'anonymous' } };
    case 'chain':
      return {};
  }
}

async function credentialRequests(http: HttpSettings): Promise<NonNullable<S3ClientConfig['requestHandler']>> {
  const [{ Agent: HttpAgent }, { Agent: HttpsAgent }, tls] = await Promise.all([import('node:http'), import('node:https'), import('node:tls')]);
  const { proxy, caPem } = http;
  const proxyEnv = { HTTP_PROXY: proxy?.http, HTTPS_PROXY: proxy?.https, NO_PROXY: proxy?.none };
  const ca = caPem === undefined ? {} : { ca: [...tls.getCACertificates('default'), caPem] };
  return {
    connectionTimeout: http.connectTimeoutMs,
    requestTimeout: http.stallTimeoutMs,
    throwOnRequestTimeout: true,
    httpAgent: new HttpAgent({ proxyEnv }),
    // Never off: whoever answers in the name of STS learns the service account's token. S3_VERIFY_SSL is about S3.
    httpsAgent: new HttpsAgent({ proxyEnv, rejectUnauthorized: true, ...ca }),
  };
}

/** Fills the client's own memory of credentials, so that their failures are told apart from those of signing. */
async function resolveCredentials(client: S3Client): Promise<void> {
  try {
    await client.config.credentials();
  } catch (cause) {
    throw credentialsError(cause);
  }
}

/** By name and code, never by text; the text may quote tokens and is left to the cause. */
function credentialsError(cause: unknown): AppError {
  const name = cause instanceof Error ? cause.name : 'unknown error';
  const code = systemErrorCode(cause);
  const network = name === 'TimeoutError' || (code !== undefined && /^(?:E[A-Z]+|UND_ERR_[A-Z_]+)$/.test(code) && code !== 'ENOENT' && code !== 'EACCES');
  if (network || isServerFault(cause)) {
    return new AppError('SOURCE_UNAVAILABLE', `the credentials service cannot be reached: ${printable(code ?? name)}`, {
      hint: 'Check network policy, proxy and DNS for STS, the Pod Identity agent or the metadata service.',
      context: { op: 'credentials', retry: 'relocate' },
      cause,
    });
  }
  return new AppError('CREDENTIALS_MISSING', `no usable S3 credentials were found (${printable(code ?? name)})`, {
    context: { op: 'credentials', retry: 'no' },
    cause,
  });
}

function isServerFault(cause: unknown): boolean {
  return typeof cause === 'object' && cause !== null && '$fault' in cause && cause.$fault === 'server';
}

async function presign(client: S3Client, object: GetObjectCommandInput, displayUri: string): Promise<string> {
  try {
    return await getSignedUrl(client, new GetObjectCommand(object), { expiresIn: URL_LIFETIME_SECONDS });
  } catch (cause) {
    // Credentials are resolved by now: what is left is an endpoint, region or addressing that the SDK's rules exclude.
    const problem = cause instanceof Error ? `${cause.name}: ${cause.message}` : 'unknown error';
    throw new AppError('CONFIG_INVALID', `no S3 address can be made for ${displayUri}: ${printable(problem)}`, {
      hint: 'Check region, endpoint and addressing style; transfer acceleration allows neither path style nor an endpoint of your own.',
      context: { uri: displayUri },
      cause,
    });
  }
}

function withoutSignature(url: string, versionId: string | undefined): string {
  const plain = new URL(url);
  plain.search = versionId === undefined ? '' : `?${new URLSearchParams({ versionId })}`;
  return plain.href;
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
