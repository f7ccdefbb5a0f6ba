// SPDX-License-Identifier: Apache-2.0
// Somebody on the same volume who changes names into links while we publish. RACES=10000 is the full run; see docs/threat-model.md.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Scratch, scratch, signed, snapshot, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { pullHere } from '../support/run.ts';

const TRIES = Number(process.env['RACES'] ?? 60);
const MODEL = signed({ 'config.json': 'genuine', 'weights/a.bin': 'genuine a', 'weights/deep/b.bin': 'genuine b' });
const THEIRS = ['.flip', '.aside', '.theirs'];

/**
 * Swaps what stands at a name for a link to the victim and back, as fast as one process can: a directory of the model, one below it, a file,
 * and our own staging; and takes files away, so that there is something to publish. It never acts through its own links: what happens to the
 * victim is our doing.
 */
const FLIPPER = `
const fs = require('node:fs');
const [to, victim] = process.argv.slice(1);
const attempt = (work) => { try { return work(); } catch {} };
const isLink = (path) => attempt(() => fs.lstatSync(path).isSymbolicLink()) === true;
const names = ['weights', 'weights/deep', 'config.json', 'weights/a.bin', 'model.sig'];
let flips = 0;
for (let round = 0; ; round++) {
  if (round % 50 === 0) fs.writeSync(1, flips + '\\n');
  const name = names[round % names.length];
  if (name.includes('/') && attempt(() => fs.lstatSync(to + '/weights').isDirectory()) !== true) continue;
  attempt(() => fs.symlinkSync(name.includes('.') ? victim + '/file' : victim, to + '/.flip'));
  attempt(() => fs.renameSync(to + '/' + name, to + '/.aside'));
  attempt(() => { fs.renameSync(to + '/.flip', to + '/' + name); flips++; });
  if (isLink(to + '/' + name)) attempt(() => fs.unlinkSync(to + '/' + name));
  if (round % 3 > 0) attempt(() => fs.renameSync(to + '/.aside', to + '/' + name));
  for (const left of ['/.flip', '/.aside']) attempt(() => fs.rmSync(to + left, { recursive: true, force: true }));
  for (const entry of round % 2003 === 0 ? fs.readdirSync(to) : []) {
    if (!entry.startsWith('.model-gate-')) continue;
    attempt(() => { fs.renameSync(to + '/' + entry, to + '/.theirs'); fs.symlinkSync(victim, to + '/' + entry); });
    if (isLink(to + '/' + entry)) attempt(() => fs.unlinkSync(to + '/' + entry));
    attempt(() => fs.rmSync(to + '/.theirs', { recursive: true, force: true }));
  }
}
`;

let tmp: Scratch;
beforeAll(() => {
  tmp = scratch();
  writeTree(tmp.at('source'), MODEL);
});
afterAll(() => tmp[Symbol.dispose]());

describe('a co-tenant who flips links in the destination while a model is published', () => {
  test('never has a byte written, changed or removed outside it', { timeout: 1_800_000 }, async () => {
    const [to, victim] = [tmp.at('volume', 'models'), tmp.at('victim')];
    writeTree(victim, { file: 'victim', 'canary/file': 'victim' });
    // Something that is ignored keeps the destination where it is: files are then moved into it one by one.
    writeTree(to, { 'kept/x': 'x' });
    const before = snapshot(victim);
    const attacker = spawn(process.execPath, ['-e', FLIPPER, to, victim], { stdio: ['ignore', 'pipe', 'inherit'] });
    let flips = 0;
    attacker.stdout.on('data', (chunk: Buffer) => {
      flips = Number(chunk.toString().trim().split('\n').at(-1) ?? flips);
    });
    const ended: Record<string, number> = {};
    try {
      for (let i = 0; i < TRIES; i++) {
        const flags = { 'ignore-paths': ['kept', ...THEIRS], 'ignore-unsigned-files': true, replace: true };
        const { reason, error } = await pullHere([tmp.at('source'), to], { flags });
        ended[reason] = (ended[reason] ?? 0) + 1;
        expect([reason, error?.cause]).not.toEqual(['INTERNAL', expect.anything()]);
      }
    } finally {
      attacker.kill('SIGKILL');
      await new Promise((resolve) => attacker.once('exit', resolve));
    }
    console.log(`${TRIES} pulls against ${flips} flips: ${JSON.stringify(ended)}`);
    // Otherwise nobody was racing, or nothing was published.
    expect(flips).toBeGreaterThan(TRIES);
    expect(snapshot(victim)).toEqual(before);
    // When the attacker has gone, the next start puts everything right. With the bundle gone and a link at another name, nothing says any more
    // that the same model stands there: whoever wants that repaired has to say so.
    for (const name of THEIRS) rmSync(`${to}/${name}`, { force: true, recursive: true });
    expect(await pullHere([tmp.at('source'), to], { flags: { 'ignore-paths': ['kept'], prune: true, replace: true } })).toMatchObject({ reason: 'OK' });
    expect(treeOf(to)).toMatchObject(treeFrom(MODEL));
    expect(snapshot(victim)).toEqual(before);
  });
});
