// SPDX-License-Identifier: Apache-2.0
import { GetObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { AppError, systemErrorCode } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { S3Options, StaticKeys } from './s3Options.ts';
import type { HttpSettings } from './source.ts';

const DEFAULT_REGION = 'us-east-1';
const PROBE = 'k';

/** What the SDK finds out: where a bucket is, and who may read it. */
export type S3Account = {
  readonly region: string;
  /** Address of the bucket, with a slash at its end; keys follow it. */
  readonly base: URL;
  /** Fresh ones where they expire. @throws CREDENTIALS_MISSING, SOURCE_UNAVAILABLE */
  keys(): Promise<StaticKeys>;
  close(): void;
};

/**
 * Asks the SDK, which knows the endpoint rules of AWS and its provider chain. The chain reads the process environment and may call STS
 * (through the proxy and with the CA bundle), the Pod Identity agent or the instance metadata service (both directly).
 * @throws CONFIG_INVALID, CREDENTIALS_MISSING, SOURCE_UNAVAILABLE
 */
export async function askSdk(options: S3Options, bucket: string, http: HttpSettings, displayUri: string): Promise<S3Account> {
  const client = await createClient(options, http);
  const keys = async (): Promise<StaticKeys> => {
    const { accessKeyId, secretAccessKey, sessionToken } = await resolveCredentials(client);
    return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
  };
  await keys();
  const signed = new URL(await presignProbe(client, bucket, displayUri));
  return {
    region: await client.config.region(),
    base: new URL(signed.origin + signed.pathname.slice(0, -PROBE.length)),
    keys,
    close: () => client.destroy(),
  };
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
async function resolveCredentials(client: S3Client): ReturnType<S3Client['config']['credentials']> {
  try {
    return await client.config.credentials();
  } catch (cause) {
    throw credentialsError(cause);
  }
}

/** By name and code, never by text; the text may quote tokens and is left to the cause. */
function credentialsError(cause: unknown): AppError {
  const name = cause instanceof Error ? cause.name : 'unknown error';
  const code = systemErrorCode(cause);
  // What build/credentialProcess.js throws: the bundle has no code that could run the program.
  if (name === 'CredentialProcessRefused') {
    return new AppError('CREDENTIALS_MISSING', 'the AWS profile asks for a credential_process, and model-gate runs no programs', {
      hint: 'Serve the credentials over HTTP (AWS_CONTAINER_CREDENTIALS_FULL_URI, EKS Pod Identity) or use a web identity (IRSA) or keys.',
      context: { op: 'credentials', retry: 'no' },
      cause,
    });
  }
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

async function presignProbe(client: S3Client, bucket: string, displayUri: string): Promise<string> {
  try {
    return await getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key: PROBE }));
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
