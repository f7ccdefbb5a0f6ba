// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { KEYS, leftovers, SMALL_MODEL, scratch, signed, treeFrom, treeOf } from '../support/model.ts';
import { pullHere, runGate } from '../support/run.ts';
import { serveModel } from '../support/servers.ts';

const files = signed({ ...SMALL_MODEL, ...Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`many/${i}.bin`, `content ${i}`])) });
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };

describe('processes that pull to one destination at the same time', () => {
  test('all end 0 with one right tree and no leftovers', async () => {
    await using server = await serveModel(files);
    using tmp = scratch();
    const ended = await Promise.all(Array.from({ length: 4 }, () => runGate(['pull', server.url, tmp.at('models')], { env })));
    expect(ended.map(({ code, stderr }) => (code === 0 ? 0 : stderr))).toEqual([0, 0, 0, 0]);
    expect(treeOf(tmp.at('models'))).toEqual(treeFrom(files));
    expect(leftovers(tmp.path)).toEqual([]);
  });

  test('all end 0 in an existing directory, empty or corrupted, however they interleave', async () => {
    await using server = await serveModel(files);
    for (let round = 0; round < 4; round++) {
      using tmp = scratch();
      const to = tmp.at('models');
      if (round > 0) {
        await pullHere([server.url, to]);
        writeFileSync(`${to}/config.json`, `broken ${round}`);
      }
      const outcomes = await Promise.all(Array.from({ length: 3 }, () => pullHere([server.url, to])));
      expect(outcomes.map(({ reason, error }) => (reason === 'OK' ? reason : error))).toEqual(['OK', 'OK', 'OK']);
      expect(treeOf(to)).toEqual(treeFrom(files));
      expect(leftovers(tmp.path)).toEqual([]);
    }
  });

  test('never mix two models: one wins, the other is told', async () => {
    const other = signed({ 'config.json': '{"other": true}', 'other.bin': 'other' });
    await using a = await serveModel(files);
    await using b = await serveModel(other);
    for (let round = 0; round < 5; round++) {
      using tmp = scratch();
      const to = tmp.at('models');
      const outcomes = await Promise.all([pullHere([a.url, to]), pullHere([b.url, to])]);
      expect(outcomes.filter(({ reason }) => reason === 'OK').length).toBe(1);
      expect(treeOf(to)).toEqual(treeFrom(outcomes[0]?.reason === 'OK' ? files : other));
      expect(leftovers(tmp.path)).toEqual([]);
    }
  });
});
