// SPDX-License-Identifier: Apache-2.0
import type { Plan } from '../plan/plan.ts';
import type { Finding } from '../policy/evaluate.ts';
import { fileChecksOf, tolerates } from '../policy/files.ts';
import type { Rule } from '../policy/policy.ts';
import type { Source } from '../source/source.ts';
import type { GateDeps } from './gate.ts';
import type { Layer } from './layers.ts';
import type { Ruled } from './ruling.ts';

/** What a layer has against the request itself: options that weaken the check, servers it does not know. */
export async function requestFindings({ layer, rule, mode }: Ruled, source: Source, plan: Plan, deps: GateDeps): Promise<readonly Finding[]> {
  if (layer.kind === 'flags' || mode === 'off') return [];
  const denied = plan.relaxations.filter((option) => !isTolerated(option, layer, rule));
  const findings: Finding[] = denied.map((option) => ({
    code: 'POLICY_DENIED',
    message: `${option} makes the check weaker, which the ${layer.kind} does not tolerate`,
  }));
  const { endpoints } = layer.policy;
  if (endpoints === undefined || (source.kind !== 's3' && source.kind !== 'hf')) return findings;
  const host = await serverOf(source, deps.signal);
  if (host !== undefined && !isKnownServer(source.kind, host, endpoints))
    findings.push({
      code: 'POLICY_DENIED',
      message: `${source.displayUri} would be asked of ${host.origin}, which is not among the endpoints of the ${layer.kind}`,
    });
  return findings;
}

function isTolerated(option: string, { policy }: Layer, rule: Rule | undefined): boolean {
  const name = option === 'S3_VERIFY_SSL' ? 'insecure-skip-tls-verify' : option.replace(/^--/, '');
  switch (name) {
    // Only about the certificates of --ca; those of the policy are judged by the policy.
    case 'allow-expired-certificate':
      return true;
    case 'ignore-unsigned-files':
      return tolerates(fileChecksOf(policy, rule), 'unsigned', 'ignore');
    case 'allow-symlinks':
      return tolerates(fileChecksOf(policy, rule), 'symlinks', 'allow');
    default:
      return policy.relaxations.includes(name);
  }
}

/** Where the source really is, however that was configured. */
async function serverOf(source: Source, signal: AbortSignal): Promise<URL | undefined> {
  const locator = await source.locate({ kind: 'inside', path: 'model.sig' }, signal).catch(() => source.locate({ kind: 'self' }, signal));
  return locator.kind === 'http' ? new URL(locator.url) : undefined;
}

/** S3 of AWS, whatever the bucket is called; other hosts below amazonaws.com (API gateways, load balancers) are anybody's. */
const AWS_S3 = /(?:^|\.)s3(?:express)?(?:-[a-z0-9-]+)?(?:\.dualstack)?(?:\.[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com(?:\.cn)?$/;

function isKnownServer(kind: 's3' | 'hf', url: URL, endpoints: readonly string[]): boolean {
  if (endpoints.some((origin) => url.origin === origin || isBucketOf(url, new URL(origin)))) return true;
  if (url.protocol !== 'https:' || url.port !== '') return false;
  return kind === 'hf' ? url.hostname === 'huggingface.co' : AWS_S3.test(url.hostname);
}

/** bucket.minio.example.com of minio.example.com. */
function isBucketOf(url: URL, endpoint: URL): boolean {
  return url.protocol === endpoint.protocol && url.port === endpoint.port && url.hostname.endsWith(`.${endpoint.hostname}`);
}
