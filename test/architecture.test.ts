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

/** What a hostile input could turn against us, and the places where it is allowed because of what is said there. */
const DANGERS: readonly { readonly what: string; readonly pattern: RegExp; readonly allowed: Readonly<Record<string, string>> }[] = [
  {
    what: 'JSON.parse, which has no limit of its own',
    pattern: /\bJSON\.parse\(/,
    allowed: {
      'oms/json.ts': 'counts values and depth first',
      'formats/json.ts': 'counts depth and length first',
      'formats/jsonMembers.ts': 'parts of a file of at most 64 MiB, of which it has read every byte',
      'report/read.ts': 'a report of at most 128 MiB that its user names',
      'store/owner.ts': 'at most 4096 bytes of a private directory',
      'source/secrets.ts': 'a variable of the environment',
      'plan/foreign.ts': 'variables of the environment',
      'plan/load.ts': 'a variable of the environment',
      'transfer/service.ts': 'the first 4 KiB of an answer of a signing service',
      'sign/rekor.ts': 'an answer of a signing service, capped by its caller',
      'sign/identityToken.ts': 'a token of at most 64 KiB',
      'anchors/refreshEmbeddedRoot.ts': 'maintenance, not part of the program',
    },
  },
  {
    what: 'the DER reader of @sigstore/core, which can take for ever',
    pattern: /^import (?!type)[^;]*from '@sigstore\/core'/m,
    allowed: { 'trust/sigstoreDer.ts': 'counts its steps first' },
  },
  {
    what: 'a path joined with a name from a manifest, an archive or a directory',
    pattern: /\b(?:join|resolve)\([^)]*(?:\bname\b|\.path\b|\bmember\b|\bentry\b)/,
    allowed: {
      'anchors/material.ts': 'names that readdir gave, in a directory that the caller named',
      'source/file.ts': 'the path that the caller named; names below it by nameComponents, for reading a link only',
      'store/output.ts': 'the file that the caller named',
      'transfer/fetchSmall.ts': 'the bundle’s own name: customary, or by a rule, never by a manifest',
      'pipeline/scan.ts': 'the path that the caller named',
      'pipeline/ruling.ts': 'the path that the caller named',
      'pipeline/measure.ts': 'the path that the caller named',
    },
  },
  {
    what: 'a regular expression made of text that is not written here',
    pattern: /\bnew RegExp\((?!String\.raw`)|(?<!\bnew )\bRegExp\(/,
    allowed: {
      'plan/make.ts': 'syntax check only: it is never tried on anything',
      'formats/hdf5.ts': 'made of a constant',
      'formats/tensorflow.ts': 'made of constants',
      'report/markup.ts': 'made of a constant',
      'transfer/httpErrors.ts': 'made of two constants',
    },
  },
  {
    what: 'code or a program that is made of text',
    pattern: /\beval\(|\bnew Function\(|\bchild_process\b|\bnode:vm\b|\bprocess\.binding\b|\bdlopen\b/,
    allowed: { 'anchors/refreshEmbeddedRoot.ts': 'maintenance, not part of the program' },
  },
];

function dangersIn(name: string, text: string): readonly string[] {
  const code = text.replace(/^\s*(?:\/\/|\*|\/\*\*?).*$/gm, '');
  return DANGERS.filter(({ pattern, allowed }) => pattern.test(code) && !Object.hasOwn(allowed, name)).map(({ what }) => `${name}: ${what}`);
}

describe('dangerous constructs', () => {
  it('stand only where it is said why they may', () => {
    expect(files.flatMap(({ name, text }) => dangersIn(name, text))).toEqual([]);
  });

  it('are not allowed where there are none any more', () => {
    const stale = DANGERS.flatMap(({ what, pattern, allowed }) =>
      Object.keys(allowed)
        .filter((name) => !pattern.test(files.find((file) => file.name === name)?.text ?? ''))
        .map((name) => `${name}: ${what}`),
    );
    expect(stale).toEqual([]);
  });

  it.each([
    ['const bundle = JSON.parse(bytes.toString());', /JSON\.parse/],
    ['const target = join(root, file.path);', /path joined/],
    ['await open(resolve(destination, name));', /path joined/],
    ['const matcher = new RegExp(policy.pattern);', /regular expression/],
    ["return RegExp('^' + identity).test(text);", /regular expression/],
    ["import { execFile } from 'node:child_process';", /code or a program/],
    ["const loaded = eval('x');", /code or a program/],
  ])('are found in a bad example: %s', (line, what) => {
    expect(dangersIn('pipeline/bad.ts', `// SPDX-License-Identifier: Apache-2.0\n${line}\n`)).toEqual([expect.stringMatching(what)]);
  });

  it('are not found in comments, nor in what only looks like them', () => {
    expect(
      dangersIn('pipeline/good.ts', "/** JSON.parse(x) */\n// eval(x)\nconst list = names.join(', ');\nconst one = parseStrictJson(bytes, 'it');\n"),
    ).toEqual([]);
  });
});
