// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import type { Finding } from '../../src/formats/finding.ts';
import { identify } from '../../src/formats/identify.ts';

const look = (content: string | Buffer, name = 'x'): Promise<readonly Finding[]> => identify(bufferSource(Buffer.from(content)), name);
const UNKNOWN: readonly Finding[] = [{ kind: 'format', format: 'unknown' }];
const TEXT: readonly Finding[] = [{ kind: 'format', format: 'text' }];
const PYTHON: readonly Finding[] = [{ kind: 'format', format: 'python' }];
const SCRIPT: readonly Finding[] = [{ kind: 'format', format: 'script', detail: 'by its name' }];
const SHEBANG: readonly Finding[] = [{ kind: 'format', format: 'script', detail: 'begins with #!' }];
const MARKUP: readonly Finding[] = [{ kind: 'format', format: 'markup', detail: 'HTML, SVG or XML' }];
const MIB = 1024 * 1024;

describe('text is UTF-8', () => {
  it.each([0x00, 0x01, 0x07, 0x08, 0x0e, 0x0f, 0x1a, 0x1c, 0x1d, 0x1f])('without the control character %i', async (code) => {
    expect(await look(`hello ${String.fromCharCode(code)} you`)).toEqual(UNKNOWN);
  });

  it.each([0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x20, 0x7f])('also with the character %i', async (code) => {
    expect(await look(`hello ${String.fromCharCode(code)} you`)).toEqual(TEXT);
  });

  it.each<[string, Buffer]>([
    ['a byte that begins nothing', Buffer.from('hello \xff', 'latin1')],
    ['the end of a letter alone', Buffer.from('hello \xa9 you', 'latin1')],
    ['half a letter at the end', Buffer.from('hello \xc3', 'latin1')],
    ['a letter written too long', Buffer.from('hello \xc0\xaf', 'latin1')],
    ['half a pair of surrogates', Buffer.from('hello \xed\xa0\x80', 'latin1')],
    ['UTF-16', Buffer.from('\ufeffhello', 'utf16le')],
  ])('without %s', async (_what, content) => {
    expect(await look(content)).toEqual(UNKNOWN);
  });

  it('to its end, however long it is', async () => {
    const long = 'y'.repeat(MIB - 1);
    expect(await look(`${long}é`)).toEqual(TEXT);
    expect(await look(`${long}y\x01`)).toEqual(UNKNOWN);
    expect(await look(Buffer.concat([Buffer.from(`${long}yyyy`), Buffer.from([0xff])]))).toEqual(UNKNOWN);
    expect(await look(Buffer.concat([Buffer.from(long), Buffer.from([0xc3])]))).toEqual(UNKNOWN);
  });
});

describe('a script', () => {
  it('begins with #!, perhaps behind a byte order mark', async () => {
    expect(await look('#!/bin/sh\n')).toEqual(SHEBANG);
    expect(await look('\ufeff#!/bin/sh\n')).toEqual(SHEBANG);
    expect(await look('#!/usr/bin/python3\nimport os\n', 'x.py')).toEqual(SHEBANG);
  });

  it.each([' #!/bin/sh\n', '#\ufeff!/bin/sh\n', '# !/bin/sh\n', '!#/bin/sh\n'])('does not begin with %j', async (text) => {
    expect(await look(text)).toEqual(TEXT);
  });

  const ENDINGS = ['sh', 'bash', 'zsh', 'bat', 'cmd', 'ps1', 'psm1', 'vbs', 'js', 'mjs', 'cjs', 'lua', 'rb', 'pl', 'php', 'r'];

  it.each(ENDINGS)('is one by the name x.%s', async (ending) => {
    expect(await look('hello\n', `a/x.${ending}`)).toEqual(SCRIPT);
    expect(await look('hello\n', `X.${ending.toUpperCase()}`)).toEqual(SCRIPT);
    expect(await look('hello\n', ending)).toEqual(TEXT);
    expect(await look('hello\n', `x.${ending}.txt`)).toEqual(TEXT);
    expect(await look('hello\n', `x.${ending}x`)).toEqual(TEXT);
  });
});

describe('markup', () => {
  const TAGS = ['<p>', '<p class="x">', '<br/>', '<h1>', '<svg:rect >', '<my-tag\n', '<HTML>', '\n\t <p>', '\ufeff<p>'];
  it.each(['<!DOCTYPE html>', '<?xml version="1.0"?>', ...TAGS])('begins with %j', async (start) => {
    expect(await look(start)).toEqual(MARKUP);
    expect(await look(`${start}\nhello`)).toEqual(MARKUP);
  });

  it.each(['<', '< p>', '<3 you', '<1>', '<p', '<a.b>', '<->', 'see <p>', '# x\n<p>'])('does not begin with %j', async (text) => {
    expect(await look(text)).toEqual(TEXT);
  });
});

describe('Python', () => {
  it('is what is called so, whatever it holds', async () => {
    for (const name of ['x.py', 'x.pyw', 'a/x.PY', '.py']) expect(await look('hello\n', name)).toEqual(PYTHON);
    for (const name of ['py', 'xpy', 'x.pyi', 'x.py.txt', 'x.pywx']) expect(await look('hello\n', name)).toEqual(TEXT);
  });

  const IMPORTS = ['import os', 'import os.path', 'import os as o', 'import os, sys', 'import os,sys', 'import os as oo, sys', 'import os  '];
  const MORE_ON_THE_LINE = ['import os; x()', 'import os # x', 'from a.b import c', 'from a import *', 'from a import (', 'from __future__ import d'];
  const DEFINITIONS = ['def f(x):', 'async def func(x):', 'class A:', 'class Abc:', 'class Abc(B, c.D):', 'class A():'];
  const OTHERS = ['if __name__ == "__main__":', 'if __name__=="x":', '@a', '@a.b', '@a.b(c=1)', 'exec(x)', 'eval(x)'];

  it.each([...IMPORTS, ...MORE_ON_THE_LINE, ...DEFINITIONS, ...OTHERS])('has a line like %j', async (line) => {
    expect(await look(`${line}\n`)).toEqual(PYTHON);
    expect(await look(`hello\n${line}\nyou\n`)).toEqual(PYTHON);
    expect(await look(`hello\n ${line}\nyou\n`)).toEqual(TEXT);
    expect(await look(`hello\nx${line}\nyou\n`)).toEqual(TEXT);
  });

  const PROSE = ['import the thing', 'important', 'from here import', 'from here to there', 'def', 'define f(x)', 'def f', 'class action', 'class A'];
  const MORE_PROSE = ['class A(B)', 'if __name__', 'if name == 1', '@somebody hello', '@a(b', 'executive (x)', 'evaluate(x)', 'async f(x)'];

  it.each([...PROSE, ...MORE_PROSE])('has no line like %j', async (line) => {
    expect(await look(`Hello\n${line}\n`)).toEqual(TEXT);
  });

  it('has a statement among fifty lines that are not empty', async () => {
    expect(await look(`import os\n${'you\n'.repeat(49)}`)).toEqual(PYTHON);
    expect(await look(`import os\n${'you\n'.repeat(50)}`)).toEqual(TEXT);
    expect(await look(`import os\n${'you\n\n \n\t\n'.repeat(49)}`)).toEqual(PYTHON);
    expect(await look(`import os\nimport sys\n${'you\n'.repeat(98)}`)).toEqual(PYTHON);
    expect(await look('\n\n\n')).toEqual(TEXT);
  });
});

describe('examples in a text', () => {
  it.each([
    '```\nimport os\n```\n',
    '```python\nimport os\n```\n',
    '~~~\nimport os\n~~~\n',
    '  ```\nimport os\n\t```\n',
    'a\n```\nimport os\n```\nb\n~~~\nimport os\n~~~\n',
    '~~~\n```\nimport os\n~~~\n',
    '```\n~~~\nimport os\n```\n',
    '```\nimport os\n``` more\n',
  ])('are none of it, where they are examples: %j', async (text) => {
    for (const name of ['README', 'docs/readme.txt', 'x.md', 'X.MD', 'x.mdx', 'x.markdown', 'x.rst']) expect(await look(text, name)).toEqual(TEXT);
    for (const name of ['x', 'x.pth', 'x.txt', 'md', 'README/x', 'x.rst.bin']) expect(await look(text, name)).toEqual(PYTHON);
  });

  it.each([
    ['do not end', '```\nimport os\n'],
    ['end with another mark', '```\nimport os\n~~~\n'],
    ['have ended', '```\nx\n```\nimport os\n'],
    ['come after it', 'import os\n```\nx\n```\n'],
    ['begin within a line', 'x ```\nimport os\nx ```\n'],
    ['have two marks only', '``\nimport os\n``\n'],
    ['stand between two others', '```\nx\n```\nimport os\n```\nx\n```\n'],
  ])('are not what they seem when they %s', async (_what, text) => {
    expect(await look(text, 'README.md')).toEqual(PYTHON);
  });
});

describe('a configuration', () => {
  const code = (detail: string): readonly Finding[] => [...TEXT, { kind: 'format', format: 'remote-code', detail }];
  const TOO_LARGE: Finding = { kind: 'malformed', format: 'text', detail: 'larger than the 1048576 bytes that are searched for code' };

  it.each(['x.yaml', 'x.yml', 'X.YAML'])('in YAML is one by the name %s', async (name) => {
    expect(await look('a: !new:x.Y\n', name)).toEqual(code('has tags that call something'));
    expect(await look('_target_: x\n', name)).toEqual(code('has ‘_target_’'));
    expect(await look('a: 1\n', name)).toEqual(TEXT);
    // To PyYAML the marks are texts, and what stands between them is not.
    expect(await look('a: |\n  ```\nb: !!python/object/apply:os.system ["id"]\nc: |\n  ```\n', name)).toEqual(code('has tags for Python objects'));
  });

  it.each(['x', 'yaml', 'x.yaml.txt', 'x.yamlx', 'x.yaaml'])('in YAML is none by the name %s', async (name) => {
    expect(await look('a: !new:x.Y\n', name)).toEqual(TEXT);
  });

  it('asks for Python objects under any name', async () => {
    expect(await look('a: !!python/name:os.system\n', 'notes.txt')).toEqual(code('has tags for Python objects'));
  });

  it('is searched whole, or refused', async () => {
    const long = '#'.repeat(MIB);
    expect(await look(long, 'x.yaml')).toEqual(TEXT);
    expect(await look(`${long}#`, 'x.yaml')).toEqual([...TEXT, TOO_LARGE]);
    expect(await look(`${long}#`, 'x.txt')).toEqual(TEXT);
    expect(await look('_target_: x'.padStart(MIB), 'x.yaml')).toEqual(code('has ‘_target_’'));
  });

  it('is none in an example', async () => {
    expect(await look('# x\n```\na: !!python/name:os.system\n```\n', 'README.md')).toEqual(TEXT);
  });

  it.each(['x.jinja', 'x.jinja2', 'x.j2', 'X.JINJA'])('that is a template by the name %s is searched for Python', async (name) => {
    expect(await look('hello ``` {{ x.__class__ }} ```\n', name)).toEqual(code('has a template that reaches for Python'));
    expect(await look('```\n{{ x.__class__ }}\n```\n', name)).toEqual(code('has a template that reaches for Python'));
    expect(await look('hello {{ you }}\n', name)).toEqual(TEXT);
    expect(await look(`["{{ ''.__class__ }}"]`, name)).toEqual(code('has a template that reaches for Python'));
    expect(await look('<b>{{ x.__class__ }}</b>', name)).toEqual(code('has a template that reaches for Python'));
    expect(await look(`${'x'.repeat(MIB)}{{ x.__class__ }}`, name)).toEqual([...TEXT, TOO_LARGE]);
  });

  it.each([
    ['x.py', '[1]', 'python'],
    ['setup.sh', '{"a":1}', 'script'],
    ['x.js', '["id"]', 'script'],
    ['x.js', '<!-- x', 'script'],
  ])('%s is a program by its name, whatever it holds: %j', async (name, text, format) => {
    expect((await look(text, name)).map((finding) => 'format' in finding && finding.format)).toEqual([format]);
  });

  it.each(['x', 'j2', 'x.jinja.txt', 'x.jinja3', 'x.j2x', 'x.jinj'])('is no template by the name %s', async (name) => {
    expect(await look('hello {{ x.__class__ }}\n', name)).toEqual(TEXT);
  });
});
