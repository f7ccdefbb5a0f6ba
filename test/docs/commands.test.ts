// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support/model.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const ENTRY = process.env['MODEL_GATE_DIST'] === undefined ? 'src/main.ts' : 'dist/main.js';
const HAS_OPENSSL = spawnSync('openssl', ['version']).status === 0;

/** Blocks that stand below `<!-- run -->`, or `<!-- run: STATUS -->` where they are to fail. */
const MARKED = /^<!-- run(?:: (\d+))? -->\n```sh\n([\s\S]*?)^```$/gm;

const pages = ['docs/getting-started.md', ...readdirSync(join(ROOT, 'docs/how-to')).map((name) => `docs/how-to/${name}`)]
  .map((page) => ({ page, blocks: [...readFileSync(join(ROOT, page), 'utf8').matchAll(MARKED)].map(([, status = '0', text = '']) => ({ status, text })) }))
  .filter(({ blocks }) => blocks.length > 0);

describe.skipIf(!HAS_OPENSSL)('the commands a page shows', () => {
  it('are run for getting started and most how-to pages', () => {
    expect(pages.map(({ page }) => page)).toEqual(expect.arrayContaining(['docs/getting-started.md', 'docs/how-to/keys.md', 'docs/how-to/incident.md']));
  });

  it.each(pages)('do in $page what it says', ({ blocks }) => {
    using space = scratch();
    using bin = scratch();
    writeFileSync(bin.at('model-gate'), `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, ENTRY)}" "$@"\n`);
    chmodSync(bin.at('model-gate'), 0o755);
    // One directory for the whole page, as for its reader.
    for (const { status, text } of blocks) {
      const ended = spawnSync('bash', ['-euo', 'pipefail', '-c', text], {
        cwd: space.path,
        env: { PATH: `${bin.path}:${process.env['PATH']}`, HOME: bin.path, MODEL_GATE_TERMINATION_LOG: bin.at('termination') },
        encoding: 'utf8',
      });
      expect(ended.status, `${text}\n${ended.stderr}`).toBe(Number(status));
    }
  });
});
