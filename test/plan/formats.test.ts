// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { formatPolicyOf, PLAIN_FORMATS } from '../../src/plan/formats.ts';

const of = (allow: string | undefined, ...format: string[]) => formatPolicyOf({ 'allow-formats': allow, format }, PLAIN_FORMATS);

describe('flags about formats', () => {
  test('allow a list, or else plain data, with a verdict for single ones', () => {
    expect(of(undefined)).toEqual({ allow: PLAIN_FORMATS, rules: {} });
    expect(of('safetensors, json', 'pickle=warn', 'pickle=warn', 'zip=deny')).toEqual({
      allow: ['safetensors', 'json'],
      rules: { pickle: 'warn', zip: 'deny' },
    });
  });

  test.each([
    ['safetensor', [], 'CONFIG_INVALID', /did you mean safetensors/],
    [undefined, ['pickle'], 'CONFIG_INVALID', /NAME=allow/],
    [undefined, ['pickle=perhaps'], 'CONFIG_INVALID', /NAME=allow/],
    [undefined, ['pikle=deny'], 'CONFIG_INVALID', /did you mean pickle/],
    [undefined, ['pickle=deny', 'pickle=allow'], 'PLAN_CONTRADICTION', /two things about pickle/],
  ] as const)('%s %j are refused', (allow, format, code, message) => {
    expect(() => of(allow, ...format)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
