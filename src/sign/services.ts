// SPDX-License-Identifier: Apache-2.0
import { type Service, type ServiceConfiguration, ServiceSelector, SigningConfig } from '@sigstore/protobuf-specs';
import { isNonEmpty, type NonEmpty } from '../base/brands.ts';
import { AppError } from '../base/errors.ts';
import { serviceUrl } from '../base/service.ts';

/** Versions of Rekor's interface that rekor.ts speaks. */
export type LogVersion = 1 | 2;

/** Whom a keyless signer asks. */
export type SigningServices = {
  readonly fulcio: URL;
  readonly logs: NonEmpty<{ readonly url: URL; readonly version: LogVersion }>;
  readonly timestampAuthorities: readonly URL[];
};

const MEDIA_TYPE = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
/** ALL must not turn a file into a flood. */
const MAX_SERVICES = 8;

/**
 * The services of a SigningConfig v0.2, chosen as the Sigstore clients do: in service now, of a version we speak, one for each operator,
 * the highest version and the newest first; then as many as the selector says. @throws CONFIG_INVALID
 */
export function readSigningConfig(json: unknown, name: string, now: Date): SigningServices {
  const config = parse(json, name);
  if (config.mediaType !== MEDIA_TYPE) throw invalid(`${name} is not a signing configuration of version 0.2`);
  const [authority] = eligible(config.caUrls, [1], now);
  if (authority === undefined) throw invalid(`${name} names no certificate authority that is in service`);
  const logs = select(eligible(config.rekorTlogUrls, [1, 2], now), config.rekorTlogConfig, `${name}: transparency logs`);
  const authorities = select(eligible(config.tsaUrls, [1], now), config.tsaConfig, `${name}: timestamp authorities`);
  const urls = logs.map(({ url, majorApiVersion }) => ({
    url: serviceUrl(url, `the log of ${name}`, 'nothing secret'),
    version: majorApiVersion === 2 ? (2 as const) : (1 as const),
  }));
  if (!isNonEmpty(urls)) throw invalid(`${name} names no transparency log that is in service`);
  return {
    fulcio: serviceUrl(authority.url, `the certificate authority of ${name}`, 'secret'),
    logs: urls,
    timestampAuthorities: authorities.map(({ url }) => serviceUrl(url, `the timestamp authority of ${name}`, 'nothing secret')),
  };
}

function parse(json: unknown, name: string): SigningConfig {
  try {
    return SigningConfig.fromJSON(json);
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', `${name} is not a usable signing configuration`, { cause });
  }
}

function eligible(services: readonly Service[], versions: readonly number[], now: Date): readonly Service[] {
  const usable = services.filter(
    ({ majorApiVersion, validFor: period }) =>
      versions.includes(majorApiVersion) && (period?.start === undefined || period.start <= now) && (period?.end === undefined || now <= period.end),
  );
  const start = ({ validFor }: Service): number => validFor?.start?.getTime() ?? 0;
  const sorted = usable.toSorted((a, b) => b.majorApiVersion - a.majorApiVersion || start(b) - start(a));
  return sorted.filter(({ operator }, i) => sorted.findIndex((other) => other.operator === operator) === i);
}

function select(services: readonly Service[], config: ServiceConfiguration | undefined, what: string): readonly Service[] {
  const wanted = countOf(services, config, what);
  if (wanted > MAX_SERVICES) throw invalid(`${what}: ${wanted} are to be used, at most ${MAX_SERVICES} are supported`);
  if (services.length < wanted) throw invalid(`${what}: ${wanted} of different operators are to be used, ${services.length} are in service`);
  return services.slice(0, wanted);
}

function countOf(services: readonly Service[], config: ServiceConfiguration | undefined, what: string): number {
  switch (config?.selector) {
    case ServiceSelector.ALL:
      return services.length;
    case ServiceSelector.EXACT:
      if (config.count < 1) throw invalid(`${what}: the selector EXACT has no count`);
      return config.count;
    default:
      return Math.min(1, services.length);
  }
}

function invalid(message: string): AppError {
  return new AppError('CONFIG_INVALID', message, { hint: 'Take the signing configuration from the operator of the Sigstore instance.' });
}
