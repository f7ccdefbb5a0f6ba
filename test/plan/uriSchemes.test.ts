// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { redactUri } from '../../src/base/redact.ts';
import { parseSourceUri } from '../../src/plan/uri.ts';

const parse = (uri: string) => parseSourceUri(uri, '/mnt/pvc');

describe('oms+', () => {
  test.each(['s3://models/v1/', 'https://h/m/', 'http://h/m', 'file:///m', 'pvc://claim/m', 's3://models/v1/m?versionId=abc'])(
    'before %s changes nothing',
    (uri) => {
      expect(parse(`oms+${uri}`)).toEqual(parse(uri));
      expect(parse(`OMS+${uri}`)).toEqual(parse(uri));
    },
  );

  test.each(['oms+oms+s3://models/v1/', 'oms+://models', 'oms+oci://registry/m', 'oms+ftp://h/m'])('does not make a known scheme of %s', (uri) => {
    expect(() => parse(uri)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  test('without a scheme is a path', () => {
    expect(parse('oms+model/v1')).toEqual({ kind: 'file', path: 'oms+model/v1' });
  });

  test('hides no credentials', () => {
    for (const uri of ['oms+https://user:hunter2@h/m', 'oms+https:\\\\user:hunter2@h/m']) expect(redactUri(uri)).not.toContain('hunter2');
    expect(() => parse('oms+https://user:hunter2@h/m')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
  });
});

describe('hf://', () => {
  test.each([
    ['hf://org/model', 'main', ''],
    ['hf://org/model/', 'main', ''],
    ['hf://org/model@v1.0', 'v1.0', ''],
    ['hf://org/model:0123abc', '0123abc', ''],
    ['hf://org/model@refs/pr/7', 'refs/pr/7', ''],
    ['hf://org/model@refs/pr/7/sub/', 'refs/pr/7', 'sub/'],
    ['hf://org/model@feature%2Fx/m.gguf', 'feature/x', 'm.gguf'],
    ['oms+hf://org/model/sub dir/m.gguf', 'main', 'sub dir/m.gguf'],
  ])('%s is revision %s, path %j', (uri, revision, path) => {
    const directory = path === '' || path.endsWith('/');
    expect(parse(uri)).toEqual({ kind: 'hf', owner: 'org', name: 'model', revision, path, directory });
  });

  test.each([
    ...['hf://', 'hf://org', 'hf://org/', 'hf:///model', 'hf://../model', 'hf://org/..', 'hf://org/model@', 'hf://org/model:', 'hf://org/a@b@c'],
    ...['hf://org/model@..', 'hf://org/model@refs/pr/..', 'hf://org/model@a%2F..%2Fb', 'hf://user:pass@org/model', 'hf://org/model/../x', 'hf://org/model//x'],
    ...['hf://org/mo del', 'hf://org/model@a?b', 'hf://org/model@a#b', 'hf://datasets/org/data'],
  ])('%s is refused', (uri) => {
    expect(() => parse(uri)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

describe('?versionId=', () => {
  test('at the end of a key names one version of one object', () => {
    expect(parse('s3://models/v1/m.gguf?versionId=3L4kqtJl.x_y-Z')).toEqual({
      kind: 's3',
      bucket: 'models',
      key: 'v1/m.gguf',
      directory: false,
      versionId: '3L4kqtJl.x_y-Z',
    });
  });

  test.each(['v1/what?', 'v1/a?b=c', 'v1/a?versionId=', 'v1/a?versionId=x y', 'v1/a?versionId=x/b', 'v1/a?versionid=x', 'v1/a?x=1&versionId=x'])(
    'and nothing else is taken out of the key %s',
    (key) => {
      expect(parse(`s3://models/${key}`)).toMatchObject({ key });
      expect(parse(`s3://models/${key}`)).not.toHaveProperty('versionId');
    },
  );

  test.each(['s3://models/v1/?versionId=x', 's3://models/?versionId=x'])('of a directory is refused: %s', (uri) => {
    expect(() => parse(uri)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});
