// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { matchesName } from '../../src/policy/glob.ts';
import { matchesSource, parseSourcePattern, sourceName } from '../../src/policy/match.ts';

function matches(pattern: string, uri: string, realPath?: string): boolean {
  const parsed = parseSourcePattern(pattern);
  if (typeof parsed === 'string') throw new Error(parsed);
  const spec = parseSourceUri(uri, '/mnt/pvc');
  const name = sourceName(spec, spec.kind === 'file' ? (realPath ?? spec.path) : undefined);
  return name !== undefined && matchesSource(parsed, name);
}

describe('a source pattern', () => {
  it.each([
    ['s3://models/llama/**', 's3://models/llama/v3/'],
    ['s3://models/llama/**', 's3://models/llama'],
    ['s3://models/llama/*', 's3://models/llama/v3/'],
    ['s3://models/*/v3', 's3://models/llama/v3'],
    ['s3://team-*/**', 's3://team-a/x'],
    ['s3://models/llama', 'oms+s3://models/llama/'],
    ['oms+s3://models/llama', 's3://models/llama'],
    ['https://models.example.com/**', 'https://MODELS.example.com:443/a/../b/'],
    ['https://*.example.com/**', 'https://a.example.com/m'],
    ['https://models.example.com:8443/**', 'https://models.example.com:8443/m'],
    ['https://models.example.com/a b/*', 'https://models.example.com/a%20b/c?token=1'],
    ['hf://meta/llama', 'hf://Meta/Llama@v1'],
    ['hf://meta/*', 'hf://meta/llama'],
    ['hf://meta/llama@main', 'hf://meta/llama'],
    ['hf://**', 'hf://meta/llama@refs/pr/1/sub/file.bin'],
    ['pvc://claim/models/**', 'pvc://claim/models/x'],
    ['file:///models/**', '/models/x'],
    ['*://**', 'http://anything.example/x'],
  ])('%s is about %s', (pattern, uri) => {
    expect(matches(pattern, uri)).toBe(true);
  });

  it.each([
    ['s3://models/llama/**', 's3://models/llama-evil/v3'],
    ['s3://models/llama/*', 's3://models/llama/v3/sub'],
    ['s3://models/llama', 's3://models/llama/v3'],
    ['s3://models/**', 's3://models-evil/x'],
    ['s3://models/**', 's3://Models/x'],
    ['s3://models/llama/**', 's3://models/llama//x'],
    ['s3://models/llama/**', 's3://models/llama/../secret'],
    ['s3://models/a b', 's3://models/a%20b'],
    ['https://models.example.com/**', 'http://models.example.com/m'],
    ['https://models.example.com/**', 'https://models.example.com.evil.net/m'],
    ['https://models.example.com/**', 'https://models.example.com:8443/m'],
    ['https://*.example.com/**', 'https://example.com/m'],
    ['https://models.example.com/a/**', 'https://models.example.com/a/%2e%2e/b'],
    ['https://models.example.com/a/**', 'https://models.example.com/a%2fb'],
    ['https://models.example.com/a/**', 'https://models.example.com/a/%252e%252e/b'],
    ['https://models.example.com/a/**', 'https://models.example.com/a/..%5cb'],
    ['hf://meta/llama@main', 'hf://meta/llama@v1'],
    ['hf://meta/llama', 'hf://meta/llama-evil'],
    ['s3://**', 'https://s3.amazonaws.com/models/x'],
  ])('%s is not about %s', (pattern, uri) => {
    expect(matches(pattern, uri)).toBe(false);
  });

  it('judges a local path by where it leads, and a claim only where claims are mounted', () => {
    expect(matches('file:///models/**', '/models/link', '/scratch/x')).toBe(false);
    expect(matches('pvc://claim/**', '/mnt/pvc/claim/x')).toBe(true);
    expect(matches('pvc://claim/**', 'pvc://claim/x', '/tmp/pvc/claim/x')).toBe(false);
    expect(matches('file:///mnt/pvc/**', '/mnt/pvc/claim/x')).toBe(false);
  });

  it.each([
    's3:models',
    'models/**',
    'ftp://x/**',
    's3://',
    's3:///x',
    's3://a/../b',
    's3://a//b',
    's3://a/b**',
    '*://x',
    'file://host/x',
    'https://Models.example.com/**',
    'https://example.com*/**',
    'https://**/x',
  ])('%s is refused', (text) => {
    expect(typeof parseSourcePattern(text)).toBe('string');
  });
});

describe('the text of a source pattern', () => {
  it.each([
    ['x://a', 'must begin with a scheme: s3, https, http, hf, file, pvc or *, and ://'],
    ['x s3://a', 'must begin with a scheme: s3, https, http, hf, file, pvc or *, and ://'],
    [`s3://${'a'.repeat(996)}`, 'is longer than 1000 characters'],
    ['s3://a/.', "has a component '.' or '..', or '**' together with something else"],
    ['*://**/x', "with any scheme must be '*://**'"],
    ['file://host/x', 'must be file:///path'],
    ['s3:///x', 'has no host or bucket'],
    ['s3://a//b', "has an empty component ('//')"],
    ['s3://**/x', "has '**' for the host; write *"],
    ['http://A.example.com/x', 'has a host that is not lower-case, or a wildcard that is not its first label'],
    ['https://[::1]evil/x', 'has a host that is not lower-case, or a wildcard that is not its first label'],
  ])('%s is told what is wrong', (text, problem) => {
    expect(parseSourcePattern(text)).toBe(problem);
  });

  it.each([
    ['*://**', { scheme: '*', host: '**', path: [] }],
    ['s3://**', { scheme: 's3', host: '**', path: [] }],
    ['s3://A/x/', { scheme: 's3', host: 'A', path: ['x'] }],
    ['hf://Meta/Llama', { scheme: 'hf', host: 'meta', path: ['Llama'] }],
    ['file:///a/b', { scheme: 'file', host: '', path: ['a', 'b'] }],
    ['https://*.[::1]:8443/x', { scheme: 'https', host: '*.[::1]:8443', path: ['x'] }],
    ['https://[fe80::1]/x', { scheme: 'https', host: '[fe80::1]', path: ['x'] }],
    ['http://*/x', { scheme: 'http', host: '*', path: ['x'] }],
    [`s3://${'a'.repeat(995)}`, { scheme: 's3', host: 'a'.repeat(995), path: [] }],
  ])('%s is taken apart', (text, parts) => {
    expect(parseSourcePattern(text)).toEqual({ text, ...parts });
  });
});

describe('a file glob', () => {
  it('without a slash is about the last component, and stars stay within one', () => {
    expect(matchesName('*.py', 'a/b/x.py')).toBe(true);
    expect(matchesName('code/*.py', 'code/sub/x.py')).toBe(false);
    expect(matchesName('code/**', 'code/sub/x.py')).toBe(true);
    expect(matchesName('**/x.?y', 'x.py')).toBe(true);
    expect(matchesName('*.py', '.py\n')).toBe(false);
  });

  it('takes no longer for many stars', () => {
    const start = performance.now();
    expect(matchesName(`${'*a'.repeat(100)}b`, 'a'.repeat(255))).toBe(false);
    expect(performance.now() - start).toBeLessThan(500);
  });
});
