// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { generatePages } from '../../docs/generate.ts';

it.each(Object.entries(generatePages()))('docs/%s says what the tables in the code say (npm run docs)', (name, text) => {
  expect(readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')).toBe(text);
});
