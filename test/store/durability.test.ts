// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, symlinkSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Dir } from '../../src/store/dir.ts';
import { scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { bindMount, CAN_MOUNT } from '../support/mounts.ts';
import { pullHere } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const files = signed({ 'a/b/c/deep.bin': 'deep', 'config.json': '{}' });

/** Which directories were synced, and when the bundle got its name. The order on a real trace of system calls is the business of npm run chaos. */
function record(): string[] {
  const seen: string[] = [];
  const [sync, moveTo] = [Dir.prototype.sync, Dir.prototype.moveTo];
  vi.spyOn(Dir.prototype, 'sync').mockImplementation(function (this: Dir) {
    seen.push(this.display);
    return sync.call(this);
  });
  vi.spyOn(Dir.prototype, 'moveTo').mockImplementation(function (this: Dir, name, target, targetName) {
    if (targetName === 'model.sig' && !target.display.includes('.model-gate-')) seen.push('the bundle');
    return moveTo.call(this, name, target, targetName);
  });
  return seen;
}
afterEach(() => {
  vi.restoreAllMocks();
});

describe('what a power loss must not undo', () => {
  test.runIf(CAN_MOUNT)('on a mount point: every directory that was made on the way is synced, and only then the bundle gets its name', async () => {
    await using server = await serveModel(files);
    using tmp = scratch();
    mkdirSync(tmp.at('volume'));
    const to = tmp.at('models');
    using _mount = bindMount(tmp.at('volume'), to);
    const seen = record();
    expect(await pullHere([server.url, to])).toMatchObject({ reason: 'OK' });
    expect(seen.slice(0, seen.indexOf('the bundle'))).toEqual(expect.arrayContaining([to, `${to}/a`, `${to}/a/b`, `${to}/a/b/c`]));
    expect(seen.slice(seen.indexOf('the bundle'))).toEqual(['the bundle', to]);
  });

  test('below parents that were missing: each is synced in the one above it, also through a link', async () => {
    await using server = await serveModel(files);
    using tmp = scratch();
    mkdirSync(tmp.at('real'));
    symlinkSync('real', tmp.at('link'));
    const seen = record();
    expect(await pullHere([server.url, tmp.at('link/x/y/models')])).toMatchObject({ reason: 'OK' });
    expect(seen).toEqual(expect.arrayContaining([tmp.at('real'), tmp.at('real/x'), tmp.at('real/x/y')]));
    expect(treeOf(tmp.at('real/x/y/models'))).toEqual(treeFrom(files));
  });
});
