// SPDX-License-Identifier: Apache-2.0
import { redactUri } from '../base/redact.ts';
import type { SourceSpec } from '../plan/uri.ts';
import { headersFor } from './authorization.ts';
import { globalCaBundle, readCaBundle, readCaBundleIfThere } from './caBundle.ts';
import { proxyFromEnvironment } from './environment.ts';
import { cannotLocate, nameComponents } from './objectName.ts';
import type { Environment, HttpSettings, Locator, ObjectRef, Source, SourceSettings } from './source.ts';

type HttpSpec = Extract<SourceSpec, { kind: 'http' }>;

/**
 * A web server, or one presigned URL. The query string of the base (a SAS token) goes along with every name below it.
 * @throws CONFIG_INVALID, PLAN_CONTRADICTION
 */
export async function openHttp(spec: HttpSpec, settings: SourceSettings, env: Environment): Promise<Source> {
  const headers = headersFor(spec.url, settings.http, env);
  return {
    kind: 'http',
    displayUri: redactUri(spec.url.href),
    basename: basenameOf(spec.url),
    shape: spec.presigned ? 'object' : spec.directory ? 'directory' : 'unknown',
    http: await httpSettings(settings, env),
    async locate(ref: ObjectRef, signal: AbortSignal): Promise<Locator> {
      signal.throwIfAborted();
      return { kind: 'http', url: urlOf(spec, ref), headers: await headers() };
    },
    async [Symbol.asyncDispose]() {},
  };
}

function urlOf(spec: HttpSpec, ref: ObjectRef): string {
  const displayUri = redactUri(spec.url.href);
  if (spec.presigned && ref.kind !== 'self') throw cannotLocate(ref, displayUri, 'is a presigned URL, good for one object only');
  const base = spec.url.pathname.replace(/\/+$/, '');
  switch (ref.kind) {
    case 'self':
      return spec.url.href;
    case 'beside':
      if (base === '') throw cannotLocate(ref, displayUri, 'has no name of its own');
      return withPath(spec.url, base + encodeURIComponent(ref.suffix));
    case 'inside':
      return withPath(spec.url, `${base}/${nameComponents(ref.path).map(encodeURIComponent).join('/')}`);
  }
}

/** The query string stays: it may hold the token that opens the whole directory. */
function withPath(base: URL, pathname: string): string {
  const url = new URL(base);
  url.pathname = pathname;
  return url.href;
}

/** For people and for the file name of a single-file model, so decoded only where that gives a plain name. */
function basenameOf(url: URL): string {
  const last = url.pathname.split('/').findLast((component) => component !== '');
  if (last === undefined) return url.hostname;
  try {
    const name = decodeURIComponent(last);
    return /[/\0]/.test(name) || name === '.' || name === '..' ? last : name;
  } catch {
    return last;
  }
}

/** TLS, proxies and times for a web server, from flags and environment. @throws CONFIG_INVALID */
export async function httpSettings(settings: SourceSettings, env: Environment): Promise<HttpSettings> {
  const { connectTimeoutMs, stallTimeoutMs, reader, caBundle, verifyTls } = settings.http;
  const shared = globalCaBundle(env);
  // KServe mounts the cluster-wide bundle everywhere and only warns when it is not there; a bundle of one's own has to exist.
  const caPem =
    caBundle !== undefined
      ? await readCaBundle(caBundle, '--ca-bundle')
      : shared === undefined
        ? undefined
        : await readCaBundleIfThere(shared, 'CA_BUNDLE_CONFIGMAP_NAME');
  const proxy = proxyFromEnvironment(env);
  return {
    connectTimeoutMs,
    stallTimeoutMs,
    verifyTls,
    ...(reader !== undefined && { reader }),
    ...(caPem !== undefined && { caPem }),
    ...(proxy !== undefined && { proxy }),
  };
}
