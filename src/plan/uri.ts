// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { redactUri } from '../base/redact.ts';

/** A source URI, taken apart. `directory` says that the URI ends in a slash. */
export type SourceSpec =
  | { readonly kind: 's3'; readonly bucket: string; readonly key: string; readonly directory: boolean; readonly versionId?: string }
  | { readonly kind: 'http'; readonly url: URL; readonly directory: boolean; readonly presigned: boolean }
  | { readonly kind: 'hf'; readonly owner: string; readonly name: string; readonly revision: string; readonly path: string; readonly directory: boolean }
  | { readonly kind: 'file'; readonly path: string; readonly claim?: string; readonly hubCache?: boolean };

/** Query parameters that make a URL good for one object only. */
const PRESIGNED = ['X-Amz-Signature', 'X-Goog-Signature'];
/** S3 makes version ids of these letters; a key that ends like this by itself can only be reached through its directory. */
const VERSION = /\?versionId=([A-Za-z0-9._~+=-]{1,1024})$/;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;

/**
 * s3://bucket/prefix (an object also with ?versionId=…), http(s)://…, file:///path, pvc://claim/path (= <pvcRoot>/claim/path) or a plain path.
 * hf://owner/name, with @revision or :revision (default: main), and below it a directory or one file.
 * `oms+` before a scheme changes nothing: with it, KServe's storage containers tell our URIs from others.
 * @throws CONFIG_INVALID
 */
export function parseSourceUri(uri: string, pvcRoot: string): SourceSpec {
  if (uri === '') throw invalid(uri, 'is empty');
  if (uri.includes('\0')) throw invalid(uri, 'holds a NUL byte');
  const prefixed = /^oms\+(?=[a-z][a-z0-9.-]*:\/\/)/i.exec(uri)?.[0];
  return parseScheme(prefixed === undefined ? uri : uri.slice(prefixed.length), pvcRoot);
}

function parseScheme(uri: string, pvcRoot: string): SourceSpec {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return { kind: 'file', path: uri };
    case 's3':
      return parseS3(uri);
    case 'http':
    case 'https':
      return parseHttp(uri);
    case 'hf':
      return parseHf(uri);
    case 'file':
      return parseFile(uri);
    case 'pvc':
      return parsePvc(uri, pvcRoot);
    default:
      throw invalid(uri, `has the unknown scheme ${scheme}://; known are s3, https, http, hf, file, pvc and plain paths`);
  }
}

/** Keys are taken as written: in s3:// URIs percent signs, question marks and blanks are ordinary, except for ?versionId=… at the end. */
function parseS3(uri: string): SourceSpec {
  const rest = uri.slice('s3://'.length);
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? '' : rest.slice(slash + 1).replace(/^\/+/, '');
  const versionId = VERSION.exec(path)?.[1];
  const key = versionId === undefined ? path : path.replace(VERSION, '');
  if (!BUCKET.test(bucket)) throw invalid(uri, 'has no valid bucket name');
  const directory = key === '' || key.endsWith('/');
  if (versionId === undefined) return { kind: 's3', bucket, key, directory };
  if (directory) throw invalid(uri, 'gives a version to a directory; only single objects have versions');
  return { kind: 's3', bucket, key, directory, versionId };
}

function parseHttp(uri: string): SourceSpec {
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    throw invalid(uri, 'is not a valid URL');
  }
  if (url.username !== '' || url.password !== '') throw invalid(uri, 'holds credentials; give them with --header or --bearer-token-file');
  url.hash = '';
  return { kind: 'http', url, directory: url.pathname.endsWith('/'), presigned: PRESIGNED.some((name) => url.searchParams.has(name)) };
}

const HF_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?$/;
/** One component. Slashes stand as they are in refs/pr/1, as %2F in names of branches. */
const HF_REVISION = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,250}$/;

function parseHf(uri: string): SourceSpec {
  const parts = /^([^/@:]*)\/([^/@:]*)(?:[@:]((?:refs\/[a-z]+\/)?[^/]*))?(?:\/(.*))?$/s.exec(uri.slice('hf://'.length));
  const [, owner = '', name = '', revision = 'main', path = ''] = parts ?? [];
  if (!HF_NAME.test(owner) || !HF_NAME.test(name)) throw invalid(uri, 'is not hf://owner/name, with @revision if need be');
  if (['datasets', 'spaces', 'models', 'buckets'].includes(owner)) throw invalid(uri, 'names no model repository; write hf://owner/name');
  const decoded = revision.replace(/%2f/gi, '/');
  if (!decoded.split('/').every((component) => HF_REVISION.test(component))) throw invalid(uri, 'has no valid revision');
  const components = path.replace(/\/+$/, '').split('/');
  if (path !== '' && components.some((component) => ['', '.', '..'].includes(component))) throw invalid(uri, 'has a path that leads elsewhere');
  return { kind: 'hf', owner, name, revision: decoded, path, directory: path === '' || path.endsWith('/') };
}

function parseFile(uri: string): SourceSpec {
  const path = uri.slice('file://'.length);
  if (!path.startsWith('/')) throw invalid(uri, 'names a host; write file:///path');
  return { kind: 'file', path };
}

function parsePvc(uri: string, pvcRoot: string): SourceSpec {
  const [claim = '', ...rest] = uri.slice('pvc://'.length).split('/');
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(claim)) throw invalid(uri, 'has no valid claim name');
  if (rest.includes('..')) throw invalid(uri, 'leaves the claim');
  return { kind: 'file', path: [pvcRoot.replace(/\/+$/, ''), claim, ...rest].join('/'), claim };
}

function invalid(uri: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', `the source URI '${redactUri(uri)}' ${problem}`, { context: { uri: redactUri(uri) } });
}
