// SPDX-License-Identifier: Apache-2.0
// `npm run build`: dist/, which is all that the image ships: the bundle, and what a reader of it must be able to find out about it.
// Nothing here depends on time, machine or folder: two builds of one commit give the same bytes (.ci/stages/image.sh compares).
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { joinChunks } from './join.ts';
import { bundledPackages, licenceTexts } from './packages.ts';
import { sbomOf } from './sbom.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** Without a folder, nothing is written. What is told of is what was bundled, before its pieces were joined. */
export async function bundle(outdir?: string): Promise<Metafile> {
  if (outdir === undefined) return bundlePieces();
  const pieces = mkdtempSync(join(tmpdir(), 'model-gate-build-'));
  try {
    const metafile = await bundlePieces(pieces);
    await joinChunks(metafile, pieces, outdir);
    return metafile;
  } finally {
    rmSync(pieces, { recursive: true, force: true });
  }
}

async function bundlePieces(outdir?: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/main.ts', 'src/transfer/worker.ts', 'src/transfer/hashWorker.ts'],
    outdir: outdir ?? 'dist',
    write: outdir !== undefined,
    bundle: true,
    platform: 'node',
    target: 'node24',
    // Node has `using`; what the bundler would put in its place carries the error of one round of a loop into the next.
    supported: { using: true },
    format: 'esm',
    splitting: true,
    // Identifiers stay as they are: keeping names of functions in another way costs a call for every closure that is made (docs/performance.md).
    minifyWhitespace: true,
    minifySyntax: true,
    // They are all in THIRD-PARTY-LICENSES.txt.
    legalComments: 'none',
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    // Modules that the bundle has something of ours in place of; each file says why.
    alias: {
      'string-width': './build/stringWidth.js',
      y18n: './build/y18n.js',
      assert: './build/assert.js',
      '@aws-sdk/credential-provider-process': './build/credentialProcess.js',
    },
    banner: { js: `import{createRequire as requireFrom}from'node:module';const require=requireFrom(import.meta.url);` },
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

if (import.meta.main) {
  const dist = resolve(ROOT, 'dist');
  rmSync(dist, { recursive: true, force: true });
  const packages = bundledPackages(await bundle(dist), ROOT);
  writeFileSync(resolve(dist, 'THIRD-PARTY-LICENSES.txt'), licenceTexts(packages, ROOT));
  writeFileSync(resolve(dist, 'sbom.cdx.json'), sbomOf(packages, ROOT));
  chmodSync(resolve(dist, 'main.js'), 0o755);
}
