// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { codeInTemplate, codeInYaml } from '../../src/formats/remoteCode.ts';

describe('a template', () => {
  it.each([
    ...['class', 'base', 'bases', 'mro', 'subclasses', 'init', 'globals', 'builtins', 'import', 'dict', 'self', 'func', 'code', 'call'],
    ...['getattribute', 'getitem', 'reduce', 'reduce_ex'],
  ])('reaches for Python by __%s__', (name) => {
    expect(codeInTemplate(`{{ x.__${name}__ }}`)).toBe('has a template that reaches for Python');
    expect(codeInTemplate(`{{ x.__${name} }}`)).toBeUndefined();
    expect(codeInTemplate(`{{ x.${name}__ }}`)).toBeUndefined();
  });

  it.each(['|attr(', '| attr(', '|\n  attr  (', '|\tattr\n('])('reaches for Python by the filter %j', (filter) => {
    expect(codeInTemplate(`{{ x${filter}'y') }}`)).toBe('has a template that reaches for Python');
  });

  const FILTERS = ['{{ message.content | trim }}', 'attr(x)', '{{ x | attribute(1) }}', '{{ x | attr }}', 'a|battr('];
  it.each(['', ...FILTERS, '__name__', '__basess__', '__ class __', '__CLASS__'])('reaches for nothing in %j', (template) => {
    expect(codeInTemplate(template)).toBeUndefined();
  });
});

describe('YAML', () => {
  const PYTHON = 'has tags for Python objects';
  const CALL = 'has tags that call something';
  const TARGET = 'has ‘_target_’';

  it.each([
    '!!python/object:x.Y',
    'a: !!python/name:os.system',
    'a:!!python/x',
    '[!!python/x]',
    '{!!python/x: 1}',
    '[a,!!python/x]',
    '-!!python/x',
    '- !!python/x',
    'a\n!!python/x',
    '!<tag:yaml.org,2002:python/object/apply:os.system>',
    'a: !<tag:yaml.org,2002:python/x>',
    '%TAG !p! tag:yaml.org,2002:python/\n--- \na: !p!object:x.Y',
    'a: 1\n%TAG ! tag:yaml.org,2002:python/',
  ])('has tags for Python objects, under any name: %j', (text) => {
    expect(codeInYaml(text, true)).toBe(PYTHON);
    expect(codeInYaml(text, false)).toBe(PYTHON);
  });

  it.each([
    'a!!python/x',
    '!python/x',
    '!!python',
    '!!pythonic/x',
    '!<tag:yaml.org,2002:str>',
    '!<tag:yaml-org,2002:python/x>',
    'see %TAG x python',
    '%TAGS python',
    '%TAG x\npython',
  ])('has none: %j', (text) => {
    expect(codeInYaml(text, true)).toBeUndefined();
  });

  it.each(['new', 'apply', 'name', 'module'])('of a configuration has the tag !%s:, that calls something', (tag) => {
    for (const before of ['', 'a: ', 'a:', '[', '{', '[a,', '-', '- ', 'a\n', 'a:\t']) expect(codeInYaml(`${before}!${tag}:x.Y`, true)).toBe(CALL);
    for (const before of ['a', '!', '"', '(']) expect(codeInYaml(`${before}!${tag}:x.Y`, true)).toBeUndefined();
    expect(codeInYaml(`a: !${tag} x`, true)).toBeUndefined();
    expect(codeInYaml(`a: !${tag}:x.Y`, false)).toBeUndefined();
  });

  const PLAIN = ['_target_: x', 'a:\n  _target_: x', '{_target_: x}', '{a: 1,_target_: x}', '_target_\t: x'];
  const QUOTED = ['"_target_": x', "'_target_' : x", '{"_target_":x}'];
  it.each([...PLAIN, ...QUOTED])('of a configuration names what is called: %j', (text) => {
    expect(codeInYaml(text, true)).toBe(TARGET);
    expect(codeInYaml(text, false)).toBeUndefined();
  });

  const OTHERS = ['my_target_: x', '_target_', '_target_s: x', '_target: x', 'a._target_: x', '[_target_]', '""_target_: x'];
  it.each(OTHERS)('names nothing: %j', (text) => {
    expect(codeInYaml(text, true)).toBeUndefined();
  });
});
