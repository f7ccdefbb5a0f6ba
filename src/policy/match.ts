// SPDX-License-Identifier: Apache-2.0
import type { SourceSpec } from '../plan/uri.ts';
import { matchesComponent, matchesPath } from './glob.ts';

/**
 * A source under its one name, taken apart: no two spellings of one place differ here, and what has no such name matches nothing.
 * `host` is the bucket, the host (with its port, if it is not the scheme's), the hub's owner, the claim, or empty for paths.
 */
export type SourceName = { readonly scheme: Scheme; readonly host: string; readonly path: readonly string[] };

export type Scheme = 's3' | 'https' | 'http' | 'hf' | 'file' | 'pvc';
const SCHEMES: readonly Scheme[] = ['s3', 'https', 'http', 'hf', 'file', 'pvc'];

/** Where claims are mounted. Elsewhere a claim's name is only what the caller says, so it counts as a path. */
const PVC_ROOT = '/mnt/pvc/';

/** The name of a source; undefined when it has none. `realPath`: where a local source lies once links are followed. */
export function sourceName(spec: SourceSpec, realPath: string | undefined): SourceName | undefined {
  switch (spec.kind) {
    case 's3':
      return named('s3', spec.bucket, spec.key.split('/'));
    case 'http':
      return nameOfUrl(spec.url);
    case 'hf':
      // The hub takes names in any case.
      return named('hf', spec.owner.toLowerCase(), [`${spec.name.toLowerCase()}@${spec.revision.replaceAll('/', '%2F')}`, ...spec.path.split('/')]);
    case 'file':
      return realPath === undefined ? undefined : nameOfPath(realPath);
  }
}

export function showName({ scheme, host, path }: SourceName): string {
  return `${scheme}://${[host, ...path].join('/')}`;
}

/** A trailing slash says nothing about the place; any other empty component, `.` or `..` would be for the server to interpret. */
function named(scheme: Scheme, host: string, components: readonly string[]): SourceName | undefined {
  const path = components.at(-1) === '' ? components.slice(0, -1) : components;
  return path.some((component) => component === '' || component === '.' || component === '..') ? undefined : { scheme, host, path };
}

/** The URL parser has resolved dots, lower-cased the host and dropped the scheme's port. The query is no part of the name. */
function nameOfUrl(url: URL): SourceName | undefined {
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const components = url.pathname.split('/').slice(1).map(decodeComponent);
  return components.includes(undefined)
    ? undefined
    : named(
        scheme,
        url.host,
        components.filter((component) => component !== undefined),
      );
}

/** Undefined for what some servers take for a separator once they have decoded it, or would decode again. */
function decodeComponent(component: string): string | undefined {
  try {
    const decoded = decodeURIComponent(component);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
    return /[/\\%\u0000-\u001f]/.test(decoded) ? undefined : decoded;
  } catch {
    return undefined;
  }
}

function nameOfPath(path: string): SourceName | undefined {
  if (!path.startsWith(PVC_ROOT)) return named('file', '', path.split('/').slice(1));
  const [claim = '', ...rest] = path.slice(PVC_ROOT.length).split('/');
  return claim === '' ? undefined : named('pvc', claim, rest);
}

/** `**` stands for any number of components, `*` for any letters within one. */
export type SourcePattern = { readonly text: string; readonly scheme: Scheme | '*'; readonly host: string; readonly path: readonly string[] };

/** A pattern names scheme, host and path; each may be a wildcard, none may be left out. Text on failure: what is wrong. */
export function parseSourcePattern(text: string): SourcePattern | string {
  const [, scheme, rest] = /^([a-z0-9*]+):\/\/(.*)$/s.exec(text.replace(/^oms\+/, '')) ?? [];
  const known = scheme === '*' ? '*' : SCHEMES.find((one) => one === scheme);
  if (rest === undefined || known === undefined) return `must begin with a scheme: ${SCHEMES.join(', ')} or *, and ://`;
  if (text.length > 1000) return 'is longer than 1000 characters';
  const components = rest.replace(/\/$/, '').split('/');
  if (components.some((component) => component === '.' || component === '..' || (component.includes('**') && component !== '**')))
    return "has a component '.' or '..', or '**' together with something else";
  if (known === '*') {
    if (components.length !== 1 || components[0] !== '**') return "with any scheme must be '*://**'";
    return { text, scheme: '*', host: '**', path: [] };
  }
  const [host = '', ...path] = components;
  if (host === '**' && path.length === 0) return { text, scheme: known, host: '**', path: [] };
  if (known === 'file' ? host !== '' : host === '') return known === 'file' ? 'must be file:///path' : 'has no host or bucket';
  if (path.includes('')) return "has an empty component ('//')";
  if (host === '**') return "has '**' for the host; write *";
  // 'example.com*' would also be the hosts of somebody who owns example.com.evil.net.
  if ((known === 'https' || known === 'http') && !/^(?:\*|(?:\*\.)?[a-z0-9._-]+(?::\d+)?|(?:\*\.)?\[[0-9a-f:]+\](?::\d+)?)$/.test(host))
    return 'has a host that is not lower-case, or a wildcard that is not its first label';
  return { text, scheme: known, host: known === 'hf' ? host.toLowerCase() : host, path };
}

export function matchesSource(pattern: SourcePattern, name: SourceName): boolean {
  if (pattern.scheme !== '*' && pattern.scheme !== name.scheme) return false;
  if (pattern.host === '**') return true;
  if (!matchesComponent(pattern.host, name.host)) return false;
  if (name.scheme !== 'hf') return matchesPath(pattern.path, name.path);
  // A pattern without a revision means all of them.
  const [repository = '', ...rest] = pattern.path;
  const [actual = '', ...below] = name.path;
  if (repository === '**') return matchesPath(pattern.path, name.path);
  const wanted = repository.includes('@') ? actual : actual.slice(0, actual.indexOf('@'));
  const at = repository.indexOf('@');
  const lowered = at < 0 ? repository.toLowerCase() : repository.slice(0, at).toLowerCase() + repository.slice(at);
  return matchesComponent(lowered, wanted) && matchesPath(rest, below);
}
