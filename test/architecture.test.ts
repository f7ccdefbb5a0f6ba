// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');

/** Folder → folders it may import. Arrows point down only; see docs/explanation/how-it-works.md. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  archive: ['base'],
  oms: ['base', 'trust'],
  trust: ['base', 'oms'],
  formats: ['base'],
  policy: ['base', 'oms', 'trust', 'plan', 'formats'],
  plan: ['base', 'oms', 'source', 'formats'],
  anchors: ['base', 'oms', 'trust', 'plan'],
  source: ['base', 'oms', 'plan'],
  transfer: ['base', 'oms', 'source'],
  store: ['base', 'oms'],
  report: ['base', 'oms', 'trust'],
  sign: ['base', 'oms', 'trust'],
  serve: ['base', 'report'],
  pipeline: ['base', 'oms', 'trust', 'sign', 'policy', 'plan', 'anchors', 'source', 'transfer', 'store', 'report', 'archive', 'formats'],
  cli: ['base', 'oms', 'plan', 'policy', 'pipeline', 'report', 'anchors', 'source', 'transfer', 'serve'],
};

/** Between these folders only types may pass. */
const TYPES_ONLY = ['oms>trust', 'plan>source', 'policy>plan', 'transfer>source', 'report>trust', 'report>oms', 'source>plan', 'anchors>plan', 'cli>source'];

/** No file system, network, process or clock: everything comes in as an argument. */
const PURE = ['oms', 'trust', 'formats', 'policy', 'plan', 'sign'];
const IMPURE_MODULES = /^node:(fs|net|http|https|tls|dns|child_process|worker_threads|os|process)(\/|$)/;

type Import = { readonly file: string; readonly target: string; readonly typeOnly: boolean };

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(SRC, name), 'utf8') }));

const imports = files.flatMap(({ name, text }) =>
  [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^'";]*?from\s+'([^']+)'|(?<!typeof )import\('([^']+)'\)/gm)].map(
    ([, type, from, lazy]): Import => ({ file: name, target: from ?? lazy ?? '', typeOnly: type !== undefined }),
  ),
);

const folderOf = (file: string): string => file.split('/')[0] ?? '';

describe('the structure of src', () => {
  it('has imports that only point to folders the table allows', () => {
    const wrong = imports
      .filter(({ target }) => target.startsWith('.'))
      .map((entry) => ({ ...entry, from: folderOf(entry.file), to: folderOf(relative(SRC, resolve(SRC, entry.file, '..', entry.target))) }))
      .filter(({ file, from, to }) => file.includes('/') && from !== to && to !== '..')
      .filter(({ from, to, typeOnly }) => !ALLOWED[from]?.includes(to) || (TYPES_ONLY.includes(`${from}>${to}`) && !typeOnly))
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it('keeps the pure folders free of files, network, process and clock', () => {
    const wrong = files.filter(({ name }) => PURE.includes(folderOf(name)));
    expect(wrong.filter(({ text }) => /\bDate\.now\(|new Date\(\)|\bprocess\.|\bfetch\(/.test(text)).map(({ name }) => name)).toEqual([]);
    expect(
      imports.filter(({ file, target }) => PURE.includes(folderOf(file)) && IMPURE_MODULES.test(target)).map(({ file, target }) => `${file} imports ${target}`),
    ).toEqual([]);
  });

  it('loads packages that are written as CommonJS statically, from files that are themselves loaded lazily', () => {
    // The bundler gives a dynamically imported CommonJS package no named exports.
    const wrong = imports.filter(({ target }) => !target.startsWith('.') && !target.startsWith('node:'));
    const lazy = wrong.filter(({ file, target }) => new RegExp(`await import\\('${target}'\\)`).test(files.find(({ name }) => name === file)?.text ?? ''));
    expect(lazy.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('starts every file with its licence', () => {
    expect(files.filter(({ text }) => !text.includes('SPDX-License-Identifier: Apache-2.0')).map(({ name }) => name)).toEqual([]);
  });
});
