// SPDX-License-Identifier: Apache-2.0
import { truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { byteSourceOf } from '../../src/pipeline/byteSource.ts';
import { scratch } from '../support/model.ts';

const never = new AbortController().signal;

it('gives exactly what was asked for, and less only at the end', async () => {
  using tmp = scratch();
  writeFileSync(tmp.at('f'), '0123456789');
  await using file = await open(tmp.at('f'));
  const source = byteSourceOf(file, 10, 'f', never);
  const text = async (position: number, length: number): Promise<string> => Buffer.from(await source.read(position, length)).toString();
  expect([await text(2, 3), await text(8, 5), await text(10, 1), await text(99, 1)]).toEqual(['234', '89', '', '']);
});

it('takes a file that has become shorter for an error, not for its end', async () => {
  using tmp = scratch();
  writeFileSync(tmp.at('f'), '0123456789');
  await using file = await open(tmp.at('f'));
  truncateSync(tmp.at('f'), 4);
  await expect(byteSourceOf(file, 10, 'f', never).read(0, 10)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
});

it('stops at a signal', async () => {
  using tmp = scratch();
  writeFileSync(tmp.at('f'), 'x');
  await using file = await open(tmp.at('f'));
  await expect(byteSourceOf(file, 1, 'f', AbortSignal.abort(new Error('stop'))).read(0, 1)).rejects.toThrow('stop');
});
