// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';
import { globalCaBundle } from './caBundle.ts';
import { firstSet, isOff, isOn } from './environment.ts';
import type { Environment, SourceSettings } from './source.ts';

export type StaticKeys = { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };

/** How to talk to S3, flags and environment taken together. */
export type S3Options = {
  /** Absent: the profile's, else us-east-1. */
  readonly region?: string;
  readonly endpoint?: string;
  readonly addressing: 'path' | 'virtual';
  readonly accelerate: boolean;
  readonly requesterPays: boolean;
  readonly verifyTls: boolean;
  readonly caBundle?: { readonly path: string; readonly origin: string };
  /** `chain`: the SDK's default provider chain, which reads the process environment itself. */
  readonly credentials: { readonly kind: 'anonymous' } | { readonly kind: 'static'; readonly keys: StaticKeys } | { readonly kind: 'chain' };
};

/**
 * Explicit settings first, then the names that AWS tools and KServe's storage initializer use, odd spellings included. Empty values
 * count as unset.
 * @throws CONFIG_INVALID, PLAN_CONTRADICTION, CREDENTIALS_MISSING (half a key pair)
 */
export function s3Options(settings: SourceSettings['s3'], env: Environment): S3Options {
  // The JavaScript SDK does not read AWS_DEFAULT_REGION, the only name KServe sets.
  const region = settings.region ?? firstSet(env, 'AWS_REGION', 'AWS_DEFAULT_REGION');
  const endpoint = checkEndpoint(settings.endpoint ?? firstSet(env, 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'));
  const accelerate = settings.accelerate || isOn(env, 'S3_USE_ACCELERATE');
  const caBundle = caBundleOf(settings, env);
  const credentials = credentialsOf(settings, env);
  if (settings.requesterPays && credentials.kind === 'anonymous') {
    throw new AppError('PLAN_CONTRADICTION', '--s3-requester-pays needs credentials: nobody can be charged for an anonymous request');
  }
  return {
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    addressing: addressingOf(settings, env, endpoint, accelerate),
    accelerate,
    requesterPays: settings.requesterPays,
    verifyTls: settings.verifyTls && !isOff(env, 'S3_VERIFY_SSL'),
    ...(caBundle !== undefined && { caBundle }),
    credentials,
  };
}

function checkEndpoint(endpoint: string | undefined): string | undefined {
  if (endpoint === undefined) return undefined;
  const url = URL.parse(endpoint);
  const plain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!plain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new AppError('CONFIG_INVALID', `the S3 endpoint '${redactUri(endpoint)}' is not a plain http:// or https:// URL`, {
      hint: 'Write scheme, host and port, such as https://minio.example:9000.',
    });
  }
  return endpoint;
}

/** boto3's rule: path style for an endpoint of one's own, virtual-hosted for AWS; the SDK's own default would be virtual for both. */
function addressingOf(settings: SourceSettings['s3'], env: Environment, endpoint: string | undefined, accelerate: boolean): 'path' | 'virtual' {
  if (settings.addressing !== 'auto') return settings.addressing;
  if (isOn(env, 'S3_USER_VIRTUAL_BUCKET') || accelerate || endpoint === undefined) return 'virtual';
  // KServe writes this endpoint for AWS itself; path style there would reach buckets of us-east-1 only.
  return endpoint === 'https://s3.amazonaws.com' ? 'virtual' : 'path';
}

function caBundleOf(settings: SourceSettings['s3'], env: Environment): S3Options['caBundle'] {
  if (settings.caBundle !== undefined) return { path: settings.caBundle, origin: '--ca-bundle' };
  const own = firstSet(env, 'AWS_CA_BUNDLE');
  if (own !== undefined) return { path: own, origin: 'AWS_CA_BUNDLE' };
  const shared = globalCaBundle(env);
  return shared === undefined ? undefined : { path: shared, origin: 'CA_BUNDLE_CONFIGMAP_NAME' };
}

function credentialsOf(settings: SourceSettings['s3'], env: Environment): S3Options['credentials'] {
  if (settings.anonymous || isOn(env, 'awsAnonymousCredential')) return { kind: 'anonymous' };
  const accessKeyId = firstSet(env, 'AWS_ACCESS_KEY_ID');
  const secretAccessKey = firstSet(env, 'AWS_SECRET_ACCESS_KEY');
  const sessionToken = firstSet(env, 'AWS_SESSION_TOKEN');
  // Keys of the environment go before AWS_PROFILE, as in boto3; the JavaScript SDK has it the other way round.
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { kind: 'static', keys: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) } };
  }
  if (accessKeyId !== undefined || secretAccessKey !== undefined) {
    const [set, unset] = accessKeyId === undefined ? ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID'] : ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
    throw new AppError('CREDENTIALS_MISSING', `${set} is set, but ${unset} is not`, { context: { retry: 'no' } });
  }
  return { kind: 'chain' };
}
