// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { readForeign } from '../../src/plan/foreign.ts';

const SECRET = { type: 's3', access_key_id: 'AKIA', secret_access_key: 'hunter2', endpoint_url: 'http://minio:9000', region: 'eu-west-1', bucket: 'models' };
const read = (env: Readonly<Record<string, string>>) => readForeign('pull', env);

function failureOf(env: Readonly<Record<string, string>>): AppError {
  try {
    read(env);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('STORAGE_CONFIG', () => {
  test('of type s3 sets the variables of the S3 source, over what stands there', () => {
    const { env } = read({
      STORAGE_CONFIG: JSON.stringify({ ...SECRET, ca_bundle: '/ca.crt', verify_ssl: '1', anonymous: 'false' }),
      AWS_REGION: 'us-west-2',
      AWS_ENDPOINT_URL_S3: 'https://elsewhere',
      AWS_ACCESS_KEY_ID: 'other',
      AWS_SESSION_TOKEN: 'of the other key',
    });
    expect(env).toMatchObject({
      AWS_ENDPOINT_URL: 'http://minio:9000',
      AWS_ENDPOINT_URL_S3: 'http://minio:9000',
      AWS_ACCESS_KEY_ID: 'AKIA',
      AWS_SECRET_ACCESS_KEY: 'hunter2',
      AWS_SESSION_TOKEN: undefined,
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_CA_BUNDLE: '/ca.crt',
      S3_VERIFY_SSL: '1',
      awsAnonymousCredential: 'false',
    });
  });

  test('is overridden member by member by STORAGE_OVERRIDE_CONFIG', () => {
    const { env } = read({ STORAGE_CONFIG: JSON.stringify(SECRET), STORAGE_OVERRIDE_CONFIG: '{"region":"us-east-2","anonymous":"true"}' });
    expect(env).toMatchObject({ AWS_DEFAULT_REGION: 'us-east-2', awsAnonymousCredential: 'true', AWS_ENDPOINT_URL: 'http://minio:9000' });
  });

  test('may come from the override alone, and counts as unset when empty or null', () => {
    expect(read({ STORAGE_OVERRIDE_CONFIG: '{"type":"s3","region":"x"}' }).env['AWS_REGION']).toBe('x');
    expect(read({ STORAGE_CONFIG: '{}', STORAGE_OVERRIDE_CONFIG: 'null', AWS_REGION: 'kept' }).env['AWS_REGION']).toBe('kept');
  });

  test('leaves alone what it gives as an empty text, and members that are the webhook’s', () => {
    const { env } = read({ STORAGE_CONFIG: '{"type":"s3","region":"","default_bucket":"b","cabundle_configmap":"c"}', AWS_REGION: 'kept' });
    expect(env['AWS_REGION']).toBe('kept');
  });

  test('shows in the notes without keys and without the credentials of an endpoint', () => {
    const { notes } = read({ STORAGE_CONFIG: JSON.stringify({ ...SECRET, endpoint_url: 'http://user:hunter2@minio' }) });
    expect(JSON.stringify(notes)).not.toMatch(/AKIA|hunter2/);
    expect(notes).toContainEqual({ variable: 'STORAGE_CONFIG', meaning: 'region = eu-west-1, as AWS_DEFAULT_REGION' });
  });

  test.each(['{"type":"hdfs","namenode":"n"}', '{"type":"gcs"}', '{"type":3}', '{"region":"x"}'])('of another type is refused: %s', (text) => {
    expect(failureOf({ STORAGE_CONFIG: text }).code).toBe('CONFIG_INVALID');
  });

  test.each(['{"type":"s3","secret_access_key":"hunter2"', '["hunter2"]', '"hunter2"', '{"type":"s3","secret_access_key":["hunter2"]}'])(
    'that is no JSON object of texts is refused without its content: %s',
    (text) => {
      const failure = failureOf({ STORAGE_CONFIG: text });
      expect(failure.code).toBe('CONFIG_INVALID');
      expect(`${failure.message}${failure.hint}${JSON.stringify(failure.context)}${failure.cause}`).not.toContain('hunter2');
    },
  );
});

describe('S3_VERIFY_SSL', () => {
  test('switched off, by itself or by the storage secret, is a relaxation', () => {
    expect(read({ S3_VERIFY_SSL: '0' }).relaxations).toEqual(['S3_VERIFY_SSL']);
    expect(read({ STORAGE_CONFIG: '{"type":"s3","verify_ssl":"false"}' }).relaxations).toEqual(['S3_VERIFY_SSL']);
    expect(read({ S3_VERIFY_SSL: '1' }).relaxations).toEqual([]);
    expect(readForeign('verify', { S3_VERIFY_SSL: '0' }).relaxations).toEqual(['S3_VERIFY_SSL']);
  });
});

describe('patterns', () => {
  test.each([
    ['["*.json","tokenizer*"]', ['*.json', 'tokenizer*']],
    ['*.json, tokenizer*,', ['*.json', 'tokenizer*']],
    ['[a-z]*.bin', ['[a-z]*.bin']],
    ['[]', []],
    [' ', []],
  ])('are a JSON array or a list with commas: %s', (text, expected) => {
    expect(read({ STORAGE_ALLOW_PATTERNS: text, STORAGE_IGNORE_PATTERNS: text }).patterns).toEqual({ allow: expected, ignore: expected });
  });

  test.each(['["*.json"', '["*.json", 1]', '[""]'])('that are neither are refused: %s', (text) => {
    expect(failureOf({ STORAGE_ALLOW_PATTERNS: text }).code).toBe('CONFIG_INVALID');
  });
});

describe('VERIFICATION_DIGEST', () => {
  test('is a SHA-256, with or without its name', () => {
    const hex = 'ab'.repeat(32);
    for (const text of [hex, `sha256:${hex}`, `SHA256:${hex.toUpperCase()}`]) expect(read({ VERIFICATION_DIGEST: text }).objectDigest).toBe(hex);
    expect(read({ VERIFICATION_DIGEST: '' }).objectDigest).toBeUndefined();
  });

  test.each(['sha256:abc', `sha512:${'ab'.repeat(32)}`, 'ab'.repeat(64)])('of another form is refused: %s', (text) => {
    expect(failureOf({ VERIFICATION_DIGEST: text }).code).toBe('CONFIG_INVALID');
  });
});

describe('CONFIDENTIAL_ENABLED', () => {
  test.each(['true', 'TRUE', '1', 'yes'])('%s is refused', (value) => {
    expect(failureOf({ CONFIDENTIAL_ENABLED: value }).code).toBe('CONFIG_INVALID');
  });

  test.each(['', 'false', 'False', '0'])('%j is as good as unset', (value) => {
    expect(read({ CONFIDENTIAL_ENABLED: value }).notes).toEqual([]);
  });
});

describe('tuning', () => {
  test('means the options that do the same, unless those are set', () => {
    const { env } = read({ S3_MAX_FILE_CONCURRENCY: '8', S3_CONNECT_TIMEOUT: '15', S3_READ_TIMEOUT: '2.5', MODEL_GATE_CONNECT_TIMEOUT: '1s' });
    expect(env).toMatchObject({ MODEL_GATE_CONNECTIONS: '8', MODEL_GATE_CONNECT_TIMEOUT: '1s', MODEL_GATE_STALL_TIMEOUT: '2500ms' });
  });

  test('that is no number is refused', () => {
    expect(failureOf({ S3_READ_TIMEOUT: 'soon' }).code).toBe('CONFIG_INVALID');
  });
});

test('verify is not concerned with what KServe says of downloads', () => {
  const env = { CONFIDENTIAL_ENABLED: 'true', STORAGE_CONFIG: 'no JSON', VERIFICATION_DIGEST: 'x' };
  expect(readForeign('verify', env)).toMatchObject({ env, notes: [], relaxations: [] });
});
