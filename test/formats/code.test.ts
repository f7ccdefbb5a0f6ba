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
    'a!!python/x',
    '"\x85!!python/x',
  ])('has tags for Python objects, under any name: %j', (text) => {
    expect(codeInYaml(text, true)).toBe(PYTHON);
    expect(codeInYaml(text, false)).toBe(PYTHON);
  });

  // PyYAML took each of them for a Python object, or for !new: or the like.
  it.each([
    '%TAG !p! tag:yaml.org,2002:python/\n--- \na: !p!object:x.Y',
    '%TAG !p! tag:yaml.org,2002:\n---\na: !p!python/object/apply:os.getcwd []',
    '%TAG !p! tag:yaml.org,2002:pyth\n---\na: !p!on/object/apply:os.getcwd []',
    '%TAG  !  tag:yaml.org,2002:%70ython/\n---\na: !object/apply:os.getcwd []',
    '# a\x85%TAG !p! tag:x\n---\na: 1',
    'a: 1\n%TAG ! tag:yaml.org,2002:python/',
    'a: !!pyth%6fn/object/apply:os.getcwd []',
    'a: !<tag:yaml.org,2002:pyth%6Fn/object/apply:os.getcwd> []',
    'a: !n%65w:x',
  ])('has tags that are not written out, under any name: %j', (text) => {
    expect(codeInYaml(text, true)).toBe('has tags that are not written out');
    expect(codeInYaml(text, false)).toBe('has tags that are not written out');
  });

  it.each([
    '![shield](https://example.org/a%20b)',
    'great! 100%25',
    'a: 50%',
    '!python/x',
    '!!python',
    '!!pythonic/x',
    '!<tag:yaml.org,2002:str>',
    '!<tag:yaml-org,2002:python/x>',
    'see %TAG x python',
    '%TAGS python',
    ' %TAG x',
  ])('has none: %j', (text) => {
    expect(codeInYaml(text, true)).toBeUndefined();
  });

  it.each(['new', 'apply', 'name', 'module'])('of a configuration has the tag !%s:, that calls something', (tag) => {
    for (const before of ['', 'a: ', 'a:', '[', '{', '[a,', '-', '- ', 'a\n', 'a:\t']) expect(codeInYaml(`${before}!${tag}:x.Y`, true)).toBe(CALL);
    for (const before of ['a', '!', '"', '(', '[\x85']) expect(codeInYaml(`${before}!${tag}:x.Y`, true)).toBe(CALL);
    expect(codeInYaml(`a: !${tag} x`, true)).toBeUndefined();
    expect(codeInYaml(`a: !${tag}:x.Y`, false)).toBeUndefined();
  });

  const PLAIN = ['_target_: x', 'a:\n  _target_: x', '{_target_: x}', '{a: 1,_target_: x}', '_target_\t: x'];
  const ELSEWHERE = ['_target_', 'a: [_target_: x]', '? _target_ # x\n: x', 'k: &k _target_\na: {*k : x}', 'a: 1\x85_target_: os.getcwd', 'a._target_: x'];
  const ESCAPED = ['"_targ\\u0065t_": x', '"\\x5Ftarget_": x', '"_targ\\U00000065t_": x', '"_tar\\\n   get_": x', '"_tar\\\r\nget_": x'];
  const QUOTED = ['"_target_": x', "'_target_' : x", '{"_target_":x}'];
  it.each([...PLAIN, ...QUOTED, ...ELSEWHERE, ...ESCAPED])('of a configuration names what is called: %j', (text) => {
    expect(codeInYaml(text, true)).toBe(TARGET);
    expect(codeInYaml(text, false)).toBeUndefined();
  });

  const OTHERS = ['my_target_: x', '_target_s: x', '_target: x', '"_targ\\u0065_": x', '_tar\nget_: x'];
  it.each(OTHERS)('names nothing: %j', (text) => {
    expect(codeInYaml(text, true)).toBeUndefined();
  });
});
