// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

type Entry = { readonly integrity?: string; readonly resolved?: string; readonly link?: boolean; readonly hasInstallScript?: boolean; readonly dev?: boolean };

const ROOT = resolve(import.meta.dirname, '../..');
const read = (name: string): string => readFileSync(resolve(ROOT, name), 'utf8');
const lock = JSON.parse(read('package-lock.json')) as { lockfileVersion: number; packages: Record<string, Entry> };
const entries = Object.entries(lock.packages).filter(([path]) => path !== '');

test('every package in the lock file has a SHA-512, so a registry cannot hand out another one', () => {
  expect(lock.lockfileVersion).toBe(3);
  expect(entries.length).toBeGreaterThan(50);
  expect(entries.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')).map(([path]) => path)).toEqual([]);
});

test('the lock file sends nobody to another host: packages come from the default registry, none from git, files or links', () => {
  const elsewhere = entries.filter(
    ([, { resolved, link }]) => link === true || (resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/')),
  );
  expect(elsewhere.map(([path]) => path)).toEqual([]);
});

test('what the program needs at run time has no install scripts; those of the tools are listed in package.json', () => {
  const scripts = entries.filter(([, { hasInstallScript }]) => hasInstallScript === true);
  expect(scripts.filter(([, { dev }]) => dev !== true).map(([path]) => path)).toEqual([]);
  const { allowScripts } = JSON.parse(read('package.json')) as { allowScripts: Record<string, boolean> };
  expect(scripts.map(([path]) => path.replace('node_modules/', '')).sort()).toEqual(Object.keys(allowScripts).sort());
});

test('dependencies are exact versions', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  expect(Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});
