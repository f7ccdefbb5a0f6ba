// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, test } from 'vitest';
import type { SourceSpec } from '../../src/plan/uri.ts';
import { openSource } from '../../src/source/open.ts';
import type { Environment, ObjectRef, Source, SourceSettings } from '../../src/source/source.ts';
import { readSmall } from '../../src/transfer/fetchSmall.ts';
import { codeOf } from './errors.ts';

export const SETTINGS: SourceSettings = {
  http: { connectTimeoutMs: 5000, stallTimeoutMs: 5000, headers: {}, verifyTls: true },
  s3: { addressing: 'auto', anonymous: false, accelerate: false, requesterPays: false, verifyTls: true },
  hf: { endpoint: 'https://huggingface.co' },
};

/** A place with two models: `model/` (the files of CONTRACT_FILES below it) and the single object `single.bin`, with files beside both. */
export type Place = { readonly directory: SourceSpec; readonly single: SourceSpec; readonly settings?: SourceSettings; readonly env?: Environment };

/** Names that are easy to get wrong on the way through a URL, and everything beside the models. */
export const MODEL_FILES: Readonly<Record<string, string>> = {
  'config.json': '{}',
  empty: '',
  'deep/er/weights-00001-of-00002.bin': 'weights',
  'with blank.txt': 'blank',
  'hash#question?percent%25.txt': 'reserved',
  'plus+and&equals=;:@$,.txt': 'sub-delims',
  "quotes'()*!~.txt": 'quotes',
  'back\\slash.txt': 'backslash',
  '.hidden': 'hidden',
  '...dots': 'dots',
  '%2e%2e': 'encoded dots',
  'ünïcödé-模型.txt': 'unicode',
};
export const BESIDE_FILES: Readonly<Record<string, string>> = {
  'single.bin': 'single',
  'single.bin.sig': 'signature of single',
  'model.sig': 'signature of model',
};

/** What every source must do, whatever it is made of. */
export function sourceContract(name: string, makePlace: () => Promise<Place & AsyncDisposable>): void {
  const opened: AsyncDisposable[] = [];
  const signal = AbortSignal.timeout(20_000);

  async function open(which: 'directory' | 'single'): Promise<Source> {
    const place = await makePlace();
    opened.push(place);
    const source = await openSource(place[which], place.settings ?? SETTINGS, place.env ?? {});
    opened.push(source);
    return source;
  }
  async function read(source: Source, ref: ObjectRef, maxBytes = 1000): Promise<string> {
    return (await readSmall(source.http, await source.locate(ref, signal), maxBytes, signal)).toString();
  }

  afterEach(async () => {
    for (const resource of opened.splice(0).reverse()) await resource[Symbol.asyncDispose]();
  });

  test(`${name}: finds every file inside a directory, however it is named`, async () => {
    const source = await open('directory');
    for (const [path, body] of Object.entries(MODEL_FILES)) expect(await read(source, { kind: 'inside', path }), path).toBe(body);
  });

  test(`${name}: finds a single object and the file beside it`, async () => {
    const source = await open('single');
    expect(await read(source, { kind: 'self' })).toBe('single');
    expect(await read(source, { kind: 'beside', suffix: '.sig' })).toBe('signature of single');
    expect(source.basename).toBe('single.bin');
  });

  test(`${name}: puts 'beside' next to a directory, not into it`, async () => {
    const source = await open('directory');
    expect(await read(source, { kind: 'beside', suffix: '.sig' })).toBe('signature of model');
    expect(source.basename).toBe('model');
    expect(source.shape).toBe('directory');
  });

  test(`${name}: says SOURCE_NOT_FOUND for what is not there`, async () => {
    const source = await open('directory');
    expect(await codeOf(read(source, { kind: 'inside', path: 'absent.bin' }))).toBe('SOURCE_NOT_FOUND');
  });

  test(`${name}: stops at the size limit`, async () => {
    const source = await open('directory');
    expect(await codeOf(read(source, { kind: 'inside', path: 'config.json' }, 1))).toBe('LIMIT_EXCEEDED');
  });

  test.each(['../single.bin', 'a/../../single.bin', './config.json', '', '/config.json', 'deep//x', 'a\0b', '\ud800'])(
    `${name}: never makes an address of the unsafe name %j`,
    async (path) => {
      const source = await open('directory');
      expect(await codeOf(source.locate({ kind: 'inside', path }, signal))).toBe('PATH_UNSAFE');
    },
  );

  test(`${name}: does not locate after an abort`, async () => {
    const source = await open('directory');
    await expect(source.locate({ kind: 'inside', path: 'config.json' }, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
  });
}
