// SPDX-License-Identifier: Apache-2.0
// Maintenance, not part of the program: `node src/anchors/refreshEmbeddedRoot.ts` after an update of @sigstore/tuf.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export type EmbeddedRoot = {
  /** Package and version whose TUF seeds hold the root. */
  readonly source: string;
  readonly tufRootVersion: number;
  readonly trustedRoot: unknown;
};

/** The public-good trusted root in the TUF seeds of the installed @sigstore/tuf. */
export function rootFromSeeds(): EmbeddedRoot {
  const packageFolder = dirname(dirname(createRequire(import.meta.url).resolve('@sigstore/tuf')));
  const { version } = readJson(join(packageFolder, 'package.json')) as { version: string };
  const [seed] = Object.values(readJson(join(packageFolder, 'seeds.json')) as Record<string, { 'root.json': string; targets: Record<string, string> }>);
  if (seed === undefined) throw new Error('no seeds');
  const root = fromBase64(seed['root.json']) as { signed: { version: number } };
  return { source: `@sigstore/tuf ${version}`, tufRootVersion: root.signed.version, trustedRoot: fromBase64(seed.targets['trusted_root.json'] ?? '') };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function fromBase64(text: string): unknown {
  return JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
}

function publishedOn(source: string): string {
  const [name = '', version = ''] = source.split(' ');
  const times = JSON.parse(execFileSync('npm', ['view', name, 'time', '--json'], { encoding: 'utf8' })) as Record<string, string>;
  const published = times[version];
  if (published === undefined) throw new Error(`no publication date of ${source}`);
  return published.slice(0, 10);
}

if (import.meta.main) {
  const { source, tufRootVersion, trustedRoot } = rootFromSeeds();
  const path = new URL('publicGoodRoot.json', import.meta.url);
  writeFileSync(path, `${JSON.stringify({ source, date: publishedOn(source), tufRootVersion, trustedRoot }, null, 2)}\n`);
  execFileSync('npx', ['biome', 'format', '--write', path.pathname], { stdio: 'inherit' });
}
