// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainJson } from '../../src/formats/json.ts';
import { readMembers } from '../../src/formats/jsonMembers.ts';
import { formatsOf, refusalsOf } from './look.ts';

type Told = { readonly depth: number; readonly members: { readonly [name: string]: string } };

function read(text: string | Buffer, ...names: readonly string[]): readonly Told[] {
  const told: Told[] = [];
  readMembers(Buffer.from(text), new Set(names), (members, depth) => {
    const shown = [...members].map(([name, { kind, isWithin, json }]) => [name, `${kind}${isWithin ? ' within' : ''} ${json()}`]);
    told.push({ depth, members: Object.fromEntries(shown) });
  });
  return told;
}

const isJson = (text: string): boolean => {
  try {
    read(text);
    return true;
  } catch {
    return false;
  }
};

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('members that are asked for', () => {
  it('are told of with their values, at the end of their object', () => {
    const text = '{"a" : "x", "other": {"b":[1, 2]}, "c":{"b":{}}, "d":-1.5e3,"e":NaN,"f": true, "g":[] }';
    expect(read(text, 'a', 'b', 'c', 'd', 'e', 'f', 'g')).toEqual([
      { depth: 1, members: { b: 'list [1, 2]' } },
      { depth: 1, members: { b: 'object {}' } },
      { depth: 0, members: { a: 'text "x"', c: 'object {"b":{}}', d: 'other -1.5e3', e: 'other null', f: 'other true', g: 'list []' } },
    ]);
  });

  it('are found in lists, and no other member, text or part of a name is taken for one', () => {
    expect(read('[[{"a":1}],"a",{"b":"a"},{"aa":1,"A":2,"":3}]', 'a')).toEqual([{ depth: 2, members: { a: 'other 1' } }]);
  });

  it('are found whatever escapes their name is written with', () => {
    const escaped = [...'auto_map'].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
    expect(escaped.length).toBe(48);
    for (const name of ['\\u0061uto_map', 'auto\\u005Fmap', 'auto\\u005fma\\u0070', escaped])
      expect(read(`{"x":{"${name}":1}}`, 'auto_map')).toEqual([{ depth: 1, members: { auto_map: 'other 1' } }]);
    expect(read('{"\\\\u0061uto_map":1,"\\nauto_map":2,"auto_map\\\\":3}', 'auto_map')).toEqual([]);
    expect(read('{"a\\/b":1,"\\u00e9":2}', 'a/b')).toEqual([{ depth: 0, members: { 'a/b': 'other 1' } }]);
  });

  it('tell when they stand in another of their name', () => {
    expect(read('{"a":{"b":{"a":1}},"b":{"a":2}}', 'a', 'b')).toEqual([
      { depth: 2, members: { a: 'other within 1' } },
      { depth: 1, members: { b: 'object {"a":1}' } },
      { depth: 1, members: { a: 'other 2' } },
      { depth: 0, members: { a: 'object {"b":{"a":1}}', b: 'object {"a":2}' } },
    ]);
  });

  it('are refused when an object has one of them twice, however it is written', () => {
    for (const text of ['{"a":1,"a":1}', '{"b":[{"a":1,"x":{"a":2},"\\u0061":3}]}']) expect(() => read(text, 'a')).toThrow('names ‘a’ twice');
    expect(read('{"b":1,"b":2}', 'a')).toEqual([]);
  });
});

describe('what is JSON', () => {
  it.each([
    ...['{}', ' [ ] ', '0', '-0', '10.5E+3', '1e9', '1E-9', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00eF"', 'true', 'false', 'null', '\t\r\n{"a":[[],{}]}\n'],
    ...['NaN', '[Infinity,-Infinity]', '\ufeff{}', '"\u007f😀"'],
  ])('%j is', (text) => {
    expect(isJson(text)).toBe(true);
  });

  it.each([
    ...[
      '',
      ' ',
      '{',
      '[',
      '[1',
      '[1,',
      '[1,]',
      '[,1]',
      '{,}',
      '{"a"',
      '{"a":',
      '{"a":1',
      '{"a":1,',
      '{"a":1,}',
      '{a:1}',
      '{1:1}',
      '{"a" 1}',
      '{"a":}',
      '[}',
      '{]',
    ],
    ...['{"a":1]', '[1}', '[1 2]', '{"a":1 "b":2}', '1 2', '[]]', '00', '01', '-', '-01', '+1', '.5', '1.', '1.e3', '1e', '1e+', '0x10', '1,', '- 1', '--1'],
    ...['"', '"a', '"\\', '"\\"', '"\\x"', '"\\u12"', '"\\u12g4"', '"\\u 123"', '"\t"', '"\n"', '"\u0000"', '"\u001f"', "'a'"],
    ...['tru', 'True', 'nul', 'nan', 'Infinit', '-NaN', '+Infinity', 'truefalse', 'undefined', '//', '[1]\u00a0', '\u2028[]', ' \ufeff[]'],
  ])('%j is not', (text) => {
    expect(isJson(text)).toBe(false);
  });

  it('is UTF-8', () => {
    expect(() => read(Buffer.from('"\xe9"', 'latin1'))).toThrow('is not valid UTF-8');
  });

  it('is nested no deeper than 1000 levels', () => {
    expect(read('{"b":['.repeat(500) + ']}'.repeat(500), 'b').length).toBe(500);
    expect(() => read(`[${'{"b":['.repeat(500)}${']}'.repeat(500)}]`)).toThrow('is nested deeper than 1000 levels');
    expect(() => read('['.repeat(5_000_000))).toThrow('is nested deeper than 1000 levels');
    expect(isJson(`[${'[[]],'.repeat(3000)}0]`)).toBe(true);
  });

  it('is what JSON.parse takes, when it has nothing that only Python reads', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom(...'{}[]",:\\u0 -.e1tn\n\x01é'), (text, place, other) => {
        const at = place % (text.length + 1);
        for (const one of [text, text.slice(0, at) + other + text.slice(at), text.slice(0, at) + other + text.slice(at + 1), text.slice(0, at)])
          if (!/NaN|Infinity/.test(one)) expect([one, isJson(one)]).toEqual([one, parses(one)]);
      }),
      { numRuns: 2000 },
    );
  });

  it('has the members that a tree of it has', () => {
    const names = ['a', 'bb', 'ccc', '😀'];
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.string(),
        fc.integer(),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 3 })), tie('tree'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        const expected: string[] = [];
        const walk = (one: unknown): void => {
          if (typeof one !== 'object' || one === null) return;
          for (const inner of Object.values(one)) walk(inner);
          if (Array.isArray(one)) return;
          for (const [name, inner] of Object.entries(one)) if (names.includes(name)) expected.push(`${name} ${JSON.stringify(inner)}`);
        };
        walk(value);
        const found: string[] = [];
        readMembers(Buffer.from(JSON.stringify(value)), new Set(names), (members) => {
          for (const [name, { json }] of members) found.push(`${name} ${JSON.stringify(JSON.parse(json()))}`);
        });
        expect(found.toSorted()).toEqual(expected.toSorted());
      }),
      { numRuns: 500 },
    );
  });
});

describe('a request for remote code', () => {
  const escaped = (text: string): string => [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

  it('is not hidden by escapes in its name, whatever was read before', async () => {
    // V8 13 takes what stands in the text for such a name, where objects that JSON.parse has seen before have led it to expect that.
    expect(await formatsOf(Buffer.from(String.raw`{"y":0,"\\u0061ut":1}`), 'first.json')).toEqual(['json']);
    for (const text of [String.raw`{"y":0,"\u0061uto_map":2}`, `{"${escaped('auto_map')}":{}}`, `{"x":"\\"","${escaped('auto_map')}" : {"y":NaN}}`])
      expect(await formatsOf(Buffer.from(text), 'config.json')).toEqual(['json', 'remote-code']);
  });

  it('is not hidden by a second member of its name', async () => {
    expect(await refusalsOf(Buffer.from('{"trust_remote_code":true,"trust_remote_code":false}'), 'config.json')).toEqual([
      expect.stringMatching(/^FORMAT_MALFORMED .*names ‘trust_remote_code’ twice/),
    ]);
  });

  it.each([
    ['{"deep":[{"auto_map":null}]}', 'has ‘auto_map’'],
    ['{"custom_pipeline":1}', 'has ‘custom_pipeline’'],
    ['{"custom_pipelines":1}', 'has ‘custom_pipelines’'],
    ['{"_target_":1}', 'has ‘_target_’'],
    ['{"trust_remote_code":"false"}', 'has ‘trust_remote_code’'],
    ['{"trust_remote_code":0}', 'has ‘trust_remote_code’'],
    ['{"_class_name":["pipeline","P"]}', 'has a pipeline of its own'],
    ['{"class_name":"Lambda"}', 'has a Keras layer of code'],
    ['{"class_name":"__l\\u0061mbda__"}', 'has a Keras layer of code'],
    ['{"parent_library":"os"}', 'imports os'],
    ['{"parent_library":"transformers"}', 'imports transformers'],
    ['{"chat_template":"{{ x.__class__ }}"}', 'has a chat template that reaches for Python'],
    ['{"chat_template":"{{ x.\\u005f_class__ }}"}', 'has a chat template that reaches for Python'],
    ['{"chat_template":[{"name":"a","template":"{{ x|attr(y) }}"}]}', 'has a chat template that reaches for Python'],
    ['{"type":{"chat_template":{"chat_template":"{{ x.__init__ }}"}}}', 'has a chat template that reaches for Python'],
    ['{"cells":[],"nbformat":4}', 'is a notebook'],
    ['[{"idx":0,"type":"evil.Module"}]', 'imports evil.Module'],
    ['{"type":"sentence_transformersx","idx":null}', 'imports sentence_transformersx'],
    ['{"module":"os","class_name":"System"}', 'imports os'],
    ['{"module":"keras.layers","class_name":"from_config"}', 'imports keras.layers'],
    ['{"module":"kerasx","class_name":"Dense"}', 'imports kerasx'],
  ])('is %s', async (text, detail) => {
    const { identify } = await import('../../src/formats/identify.ts');
    const { bufferSource } = await import('../../src/formats/byteSource.ts');
    expect(await identify(bufferSource(Buffer.from(text)), 'config.json')).toEqual([
      { kind: 'format', format: 'json' },
      { kind: 'format', format: 'remote-code', detail },
    ]);
  });

  it.each([
    '{"trust_remote_code":false}',
    '{"_class_name":"StableDiffusionPipeline"}',
    '{"class_name":"Dense"}',
    '{"class_name":["Lambda"]}',
    '{"parent_library":"transformers.models"}',
    '{"parent_library":["os"]}',
    '{"chat_template":"{{ message.content }}"}',
    '{"cells":[]}',
    '{"cells":1,"nbformat":2}',
    '{"idx":0,"type":"sentence_transformers.models.Pooling"}',
    '{"idx":312,"type":1234}',
    '{"type":"BPE"}',
    '{"module":"os"}',
    '{"module":"keras.layers","class_name":"Dense"}',
    '{"module":"builtins","class_name":"lower"}',
    '{"module":1,"class_name":"lower"}',
    '"auto_map"',
  ])('is not %s', async (text) => {
    expect(await formatsOf(Buffer.from(text), 'config.json')).toEqual(['json']);
  });
});

describe('the index of shards', () => {
  it('may not name files outside the model, however it is written', async () => {
    expect(await refusalsOf(Buffer.from('{"weight_map":{"a":"m-1.safetensors","b":"dir/m-2.safetensors"}}'), 'x.index.json')).toEqual([]);
    expect(await refusalsOf(Buffer.from('{"inner":{"weight_map":{"a":"../m"}},"weight_map":["../m"]}'), 'x.index.json')).toEqual([]);
    for (const text of ['{"weight_map":{"a":"m-1.safetensors","b":"../m"}}', '{"weight_m\\u0061p":{"a":"\\u002e./m"}}', '{"weight_map":{"a":1}}'])
      expect(await refusalsOf(Buffer.from(text), 'x.index.json')).toEqual([expect.stringMatching(/^FORMAT_MALFORMED /)]);
  });
});

describe('JSON that is plain', () => {
  it('of a value that was asked for is that of the value alone', () => {
    expect(plainJson(' [NaN]')).toBe(' [null]');
    expect(read('{ "a" :\n [ "\\u0061" ] , "b" : 1 }', 'a', 'b')).toEqual([{ depth: 0, members: { a: 'list [ "a" ]', b: 'other 1' } }]);
  });
});
