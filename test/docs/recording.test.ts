// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { drawTerminal, recordDemo } from '../../docs/recording.ts';

// The demo runs dist/main.js.
it.skipIf(process.env['MODEL_GATE_DIST'] === undefined)('the picture in the README is what the demo prints (npm run recording)', () => {
  const picture = readFileSync(new URL('../../docs/images/demo.svg', import.meta.url), 'utf8');
  expect(picture).toBe(drawTerminal('npm run demo', recordDemo()));
});

it('a picture holds nothing that output could smuggle into it', () => {
  expect(drawTerminal('x', '<script>&"')).not.toMatch(/<script|&"/);
});
