// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, test, vi } from 'vitest';
import { AppError, asVolumeError, serialiseError } from '../../src/base/errors.ts';
import { Dir } from '../../src/store/dir.ts';
import { scratch, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { pullHere, verifyHere } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const files = signed({ 'config.json': '{}', 'w.bin': 'weights' });

afterEach(() => {
  vi.restoreAllMocks();
});

/** As node:fs throws it. */
function failure(syscall: string): Error {
  return Object.assign(new Error(`EIO: i/o error, ${syscall}`), { code: 'EIO', errno: -5, syscall });
}

describe('a call on the volume that fails where nobody expects it', () => {
  test('is the volume’s failure and no defect of ours: IO, exit 4, and the next start goes on', async () => {
    await using server = await serveModel(files);
    using tmp = scratch();
    vi.spyOn(Dir.prototype, 'freeBytes').mockRejectedValueOnce(failure('statfs'));
    expect(await pullHere([server.url, tmp.at('models')])).toMatchObject({ reason: 'IO', exitCode: 4, error: { message: 'the volume failed at statfs: i/o error (EIO)' } });
    expect(treeOf(tmp.at('models'))).toEqual({});
    expect(await pullHere([server.url, tmp.at('models')])).toMatchObject({ reason: 'OK' });
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom(files));
  });

  test('also on a single file, and in another thread', async () => {
    await using server = await serveModel(files);
    using tmp = scratch();
    vi.spyOn(Dir.prototype, 'createFile').mockImplementation(async function (this: Dir) {
      throw failure('open');
    });
    expect(await pullHere([server.url, tmp.at('models')])).toMatchObject({ reason: 'IO', exitCode: 4 });
    vi.restoreAllMocks();
    vi.spyOn(Dir.prototype, 'openFile').mockRejectedValue(new SuppressedError(failure('close'), failure('fstat')));
    writeTree(tmp.at('claim'), files);
    expect(await verifyHere(tmp.at('claim'))).toMatchObject({ reason: 'IO', exitCode: 4 });
    expect(serialiseError(failure('fstat'))).toMatchObject({ code: 'IO' });
  });

  test('while things are closed never hides why they are', () => {
    const refused = new AppError('DIGEST_MISMATCH', 'Hash mismatch');
    expect(asVolumeError(new SuppressedError(failure('close'), refused))).toBe(refused);
    expect(asVolumeError(new SuppressedError(failure('close'), new SuppressedError(failure('close'), refused)))).toBe(refused);
  });

  test('but a mistake in the program stays one: INTERNAL, exit 70', async () => {
    await using server = await serveModel(files);
    using tmp = scratch();
    vi.spyOn(Dir.prototype, 'freeBytes').mockRejectedValueOnce(Object.assign(new TypeError('no'), { code: 'ERR_INVALID_ARG_TYPE' }));
    expect(await pullHere([server.url, tmp.at('models')])).toMatchObject({ reason: 'INTERNAL', exitCode: 70 });
  });
});
