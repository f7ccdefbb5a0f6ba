// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Inputs, type Resolved, resolveOptions, suggest } from '../../src/plan/load.ts';
import { type Command, envName, OPTION_NAMES, type OptionName, optionOf } from '../../src/plan/options.ts';
import { refused } from '../oms/payload.ts';

function resolve(inputs: Partial<Inputs>, command: Command = 'pull'): Resolved {
  return resolveOptions(command, { flags: {}, env: {}, file: undefined, ...inputs });
}

const invalid = (message?: RegExp): unknown => refused('CONFIG_INVALID', message);
const value = (name: OptionName, inputs: Partial<Inputs>): unknown => resolve(inputs).values[name];
const fromEnv = (name: OptionName, text: string): unknown => value(name, { env: { [envName(name)]: text } });
const fromFile = (name: OptionName, written: unknown): unknown => value(name, { file: { [name]: written } });

/** For every kind of option: three ways to write different values, and what they become. */
const KINDS: readonly { name: OptionName; flag: unknown; env: string; file: unknown; values: readonly [unknown, unknown, unknown, unknown] }[] = [
  { name: 'bundle', flag: 'a.sig', env: 'b.sig', file: 'c.sig', values: ['a.sig', 'b.sig', 'c.sig', undefined] },
  { name: 'pvc-root', flag: '/a', env: '/b', file: '/c', values: ['/a', '/b', '/c', '/mnt/pvc'] },
  { name: 'public-key', flag: ['a', 'b'], env: 'c\nd', file: ['e', 'f'], values: [['a', 'b'], ['c', 'd'], ['e', 'f'], []] },
  { name: 'prune', flag: false, env: 'true', file: true, values: [false, true, true, false] },
  { name: 'keep-bundle', flag: true, env: 'false', file: false, values: [true, false, false, true] },
  { name: 'connections', flag: '2', env: '3', file: 4, values: [2, 3, 4, 16] },
  { name: 'max-bundle-size', flag: '1KiB', env: '2k'.toUpperCase(), file: 3000, values: [1024, 2000, 3000, 64 * 1024 * 1024] },
  { name: 'connect-timeout', flag: '1s', env: '2m', file: '500ms', values: [1000, 120_000, 500, 10_000] },
  { name: 'timeout', flag: '1h30m', env: '2h', file: '3s', values: [5_400_000, 7_200_000, 3000, undefined] },
  { name: 's3-addressing', flag: 'path', env: 'virtual', file: 'path', values: ['path', 'virtual', 'path', 'auto'] },
];

describe('an option', () => {
  it.each(KINDS)('$name comes from flag over environment over file over default', ({ name, flag, env, file, values }) => {
    const all = { flags: { [name]: flag }, env: { [envName(name)]: env }, file: { [name]: file } };
    const steps: readonly Partial<Inputs>[] = [all, { ...all, flags: {} }, { ...all, flags: {}, env: {} }, {}];
    const origins = ['flag', 'environment', 'file', 'default'];
    for (const [i, inputs] of steps.entries()) {
      const resolved = resolve(inputs);
      expect(resolved.values[name]).toEqual(values[i]);
      expect(resolved.origins[name]).toBe(origins[i]);
    }
  });

  it('is unset in the environment when it is empty or blank there', () => {
    for (const empty of ['', ' ', '\n', ' \n\t']) {
      for (const { name, values } of KINDS) {
        const resolved = resolve({ env: { [envName(name)]: empty } });
        expect(resolved.values[name]).toEqual(values[3]);
        expect(resolved.origins[name]).toBe('default');
      }
    }
    expect(resolve({ env: { MODEL_GATE_BUNDLE: undefined }, file: { bundle: 'c.sig' } }).values.bundle).toBe('c.sig');
  });

  it('that is a list is taken whole from one place', () => {
    expect(value('public-key', { flags: { 'public-key': ['a'] }, env: { MODEL_GATE_PUBLIC_KEY: 'b' }, file: { 'public-key': ['c'] } })).toEqual(['a']);
  });

  it('has a name that gives its variable', () => {
    expect(envName('public-key')).toBe('MODEL_GATE_PUBLIC_KEY');
    expect(new Set(OPTION_NAMES.map(envName)).size).toBe(OPTION_NAMES.length);
    expect(OPTION_NAMES.every((name) => /^[a-z][a-z0-9-]*$/.test(name))).toBe(true);
  });

  it('has no meaning for a command that does not know it: as a flag that is an error, elsewhere it waits for its command', () => {
    const pullOnly = OPTION_NAMES.filter((name) => !optionOf(name).commands.includes('verify'));
    expect(pullOnly).toContain('replace');
    expect(() => resolve({ flags: { replace: true } }, 'verify')).toThrow(refused('USAGE', /--replace is an option of pull, not of verify/));
    expect(resolve({ env: { MODEL_GATE_REPLACE: 'true' }, file: { prune: true } }, 'verify').values).toMatchObject({ replace: false, prune: false });
  });

  it('has a default that its own rules accept', () => {
    for (const command of ['pull', 'verify'] as const) expect(Object.values(resolve({}, command).origins).every((origin) => origin === 'default')).toBe(true);
  });
});

describe('a list in the environment', () => {
  const PEM = '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n';

  it('is one value per line, blank ones left out', () => {
    expect(fromEnv('ignore-paths', 'a\n\n  b c \r\n d,e\n')).toEqual(['a', 'b c', 'd,e']);
  });

  it('may be a JSON array', () => {
    expect(fromEnv('identity', '["a@example.com", "b\\nc"]')).toEqual(['a@example.com', 'b\nc']);
    expect(fromEnv('identity', ' [\n  "a"\n]\n')).toEqual(['a']);
    expect(fromEnv('identity', '[]')).toEqual([]);
  });

  it('that begins like a JSON array must be one, of texts', () => {
    for (const text of ['["a"', '["a",]', '["a"] x', '["a" "b"]'])
      expect(() => fromEnv('identity', text)).toThrow(invalid(/^MODEL_GATE_IDENTITY begins like a JSON array/));
    for (const text of ['["a", 1]', '["a", null]', '["a", ["b"]]', '["", "a"]'])
      expect(() => fromEnv('identity', text)).toThrow(invalid(/^MODEL_GATE_IDENTITY must/));
  });

  it('may begin with the bracket of a glob', () => {
    expect(fromEnv('include', '[ab]*.bin\n*.json')).toEqual(['[ab]*.bin', '*.json']);
    expect(fromEnv('include', '[0-9]*.bin')).toEqual(['[0-9]*.bin']);
  });

  it('that holds PEM blocks is one value, whole, however many blocks there are', () => {
    expect(fromEnv('public-key', PEM)).toEqual([PEM]);
    expect(fromEnv('ca', `comment\n${PEM}${PEM}`)).toEqual([`comment\n${PEM}${PEM}`]);
    expect(fromEnv('public-key', JSON.stringify([PEM, '/keys/b.pub']))).toEqual([PEM, '/keys/b.pub']);
  });

  it('gives its lines back, whatever they hold', () => {
    const line = fc.string({ minLength: 1 }).filter((s) => s.trim() === s && s !== '' && !/^\[\s*["\]]|-----BEGIN |\n/.test(s));
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 5 }), (lines) => {
        expect(fromEnv('include', lines.join('\n'))).toEqual(lines);
      }),
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ minLength: 1 }).filter((s) => s.trim() !== ''),
          { minLength: 1 },
        ),
        (items) => {
          expect(fromEnv('include', JSON.stringify(items))).toEqual(items);
        },
      ),
    );
  });
});

describe('a value that does not fit', () => {
  it('of a list is refused', () => {
    expect(fromFile('issuer', 'one')).toEqual(['one']);
    for (const wrong of [1, true, null, {}, [1], ['a', null], '', [' '], ['a', '']])
      expect(() => fromFile('issuer', wrong)).toThrow(invalid(/'issuer' in the configuration file must/));
  });

  it('of a flag is refused', () => {
    for (const [text, expected] of [
      ['true', true],
      ['1', true],
      ['false', false],
      ['0', false],
    ] as const)
      expect(fromEnv('prune', text)).toBe(expected);
    for (const text of ['yes', 'no', 'on', 'TRUE', '2', 'true '])
      expect(() => fromEnv('prune', text)).toThrow(invalid(/MODEL_GATE_PRUNE must be true or false/));
    for (const wrong of [1, 0, null, [], 'x']) expect(() => fromFile('prune', wrong)).toThrow(invalid());
    expect(() => value('prune', { flags: { prune: [true, false] } })).toThrow(invalid(/--prune must/));
  });

  it('of a text is refused, also when a flag is given twice', () => {
    expect(() => value('bundle', { flags: { bundle: ['a', 'b'] } })).toThrow(invalid(/--bundle may be given only once/));
    expect(() => value('bundle', { flags: { bundle: '' } })).toThrow(invalid(/--bundle must be a text/));
    for (const wrong of [1, true, null, {}]) expect(() => fromFile('bundle', wrong)).toThrow(invalid());
  });

  it('of a choice is refused, and the choices are told', () => {
    expect(() => fromEnv('s3-addressing', 'Path')).toThrow(invalid(/must be one of auto, path, virtual/));
    expect(() => fromFile('log-format', ['json'])).toThrow(invalid());
  });

  it('of a whole number is refused', () => {
    expect(fromEnv('max-entries', '007')).toBe(7);
    for (const text of ['0', '-1', '1.5', '1e3', '0x10', ' 5', 'five', '9'.repeat(16)])
      expect(() => fromEnv('max-entries', text)).toThrow(invalid(/whole number from 1/));
    for (const wrong of [0, -1, 1.5, null, true, [5], Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
      expect(() => fromFile('max-entries', wrong)).toThrow(invalid());
  });

  it.each([
    ['1', 1],
    ['64MiB', 64 * 2 ** 20],
    ['64 MiB', 64 * 2 ** 20],
    ['64Mi', 64 * 2 ** 20],
    ['10G', 10e9],
    ['10GB', 10e9],
    ['2TiB', 2 * 2 ** 40],
    ['5B', 5],
    ['3K', 3000],
  ])('of a size is not %s: that is %i bytes', (text, bytes) => {
    expect(fromEnv('max-file-size', text)).toBe(bytes);
    expect(fromFile('max-file-size', text)).toBe(bytes);
  });

  it.each(['0', '-5', '1.5G', '1e9', '5 X', '5m', 'GiB', '', '1,000', '9999999999999', '999999999999TiB', 'Infinity', '5PiB'])(
    'of a size is refused: %j',
    (text) => {
      expect(() => value('max-file-size', { flags: { 'max-file-size': text } })).toThrow(invalid(/--max-file-size must be a size/));
    },
  );

  it.each([
    ['1ms', 1],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1h30m', 5_400_000],
    ['1m500ms', 60_500],
  ])('of a duration is not %s: that is %i ms', (text, ms) => {
    expect(fromEnv('stall-timeout', text)).toBe(ms);
  });

  it.each(['0s', '30', 30, '1.5s', '-1s', 's', '1 s', '1d', '30s ', 'x30s', '30sx', '600h', '999999999h', '1S'])('of a duration is refused: %j', (text) => {
    expect(() => value('stall-timeout', { flags: { 'stall-timeout': text } })).toThrow(invalid(/--stall-timeout must be a duration/));
  });
});

describe('a name nobody knows', () => {
  it('in the configuration file is an error with a suggestion', () => {
    expect(() => resolve({ file: { 'public-keys': ['a'] } })).toThrow(invalid(/unknown key 'public-keys'; did you mean 'public-key'\?/));
    expect(() => resolve({ file: { public_key: 'a' } })).toThrow(invalid(/did you mean 'public-key'/));
    expect(() => resolve({ file: { xyzzy: 1 } })).toThrow(invalid(/^the configuration file has the unknown key 'xyzzy'$/));
    expect(() => resolve({ file: { '\u001b[2J': 1 } })).toThrow(invalid(/\\u001b/));
    expect(() => resolve({ file: JSON.parse('{"__proto__": {"prune": true}}') })).toThrow(invalid(/unknown key '__proto__'/));
    for (const name of ['constructor', 'toString', 'hasOwnProperty']) expect(() => resolve({ file: { [name]: 1 } })).toThrow(invalid(/unknown key/));
  });

  it('in the configuration file is also one that only makes sense outside it', () => {
    for (const name of ['config', 'dry-run']) expect(() => resolve({ file: { [name]: 'x' } })).toThrow(invalid(/unknown key/));
  });

  it('in the environment is an error with a suggestion when it has our prefix', () => {
    expect(() => resolve({ env: { MODEL_GATE_PUBLIC_KEYS: 'a' } })).toThrow(
      invalid(/unknown variable MODEL_GATE_PUBLIC_KEYS; did you mean MODEL_GATE_PUBLIC_KEY\?/),
    );
    expect(() => resolve({ env: { MODEL_GATE_EXPECT_DIGESTS: 'a' } })).toThrow(invalid(/MODEL_GATE_EXPECT_DIGEST\?/));
    expect(() => resolve({ env: { MODEL_GATE_QQQQQQQQQQQQQQQQQQQQQQQ: 'a' } })).toThrow(invalid(/unknown variable MODEL_GATE_Q+$/));
    expect(resolve({ env: { MODEL_GATES: 'a', model_gate_x: 'a', PATH: '/', MODEL_GATE_PUBLIC_KEYS: '' } }).values['public-key']).toEqual([]);
  });

  it('in the environment may be one that Kubernetes makes for a Service', () => {
    const service = (prefix: string): Record<string, string> => ({
      [`${prefix}_SERVICE_HOST`]: '10.0.0.1',
      [`${prefix}_SERVICE_PORT`]: '80',
      [`${prefix}_SERVICE_PORT_HTTP`]: '80',
      [`${prefix}_PORT`]: 'tcp://10.0.0.1:80',
      [`${prefix}_PORT_80_TCP`]: 'tcp://10.0.0.1:80',
      [`${prefix}_PORT_80_TCP_PROTO`]: 'tcp',
      [`${prefix}_PORT_80_TCP_PORT`]: '80',
      [`${prefix}_PORT_80_TCP_ADDR`]: '10.0.0.1',
    });
    expect(() => resolve({ env: { ...service('MODEL_GATE'), ...service('MODEL_GATE_METRICS'), ...service('MODEL_GATE_REPORT_2') } })).not.toThrow();
    for (const env of [{ MODEL_GATE_PORT: '80' }, { MODEL_GATE_RE_PORT: 'report.json' }, { MODEL_GATE_SERVICE: 'x' }, { MODEL_GATE_PORT_80: 'x' }]) {
      expect(() => resolve({ env })).toThrow(invalid(/unknown variable/));
    }
  });

  it('gets the nearest known name suggested, if one is near', () => {
    expect(suggest('public-kye', ['public-key', 'prune'])).toBe('public-key');
    expect(suggest('prun', ['public-key', 'prune'])).toBe('prune');
    expect(suggest('completely-different', ['public-key', 'prune'])).toBeUndefined();
    expect(suggest('x'.repeat(100_000), ['public-key'])).toBeUndefined();
    expect(suggest('a', [])).toBeUndefined();
  });
});

describe('the configuration file', () => {
  it.each(['text', 1, true, [], [{ bundle: 'x' }]])('holds a mapping, not %j', (file) => {
    expect(() => resolve({ file })).toThrow(invalid(/does not hold a mapping/));
  });

  it('may be empty', () => {
    expect(resolve({ file: null }).values).toEqual(resolve({}).values);
    expect(resolve({ file: {} }).values).toEqual(resolve({}).values);
  });
});

it.each([{ toString: 1, valueOf: 2 }, { toString: null }, Object.create(null), ['5'], true, null])(
  'a size or a duration in a file is a text or a number, not %j',
  (written) => {
    for (const name of ['max-file-size', 'stall-timeout'] as const) expect(() => fromFile(name, written)).toThrow(invalid(/must be a/));
  },
);
