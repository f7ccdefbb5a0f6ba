// SPDX-License-Identifier: Apache-2.0
// esbuild makes a chunk for each set of entry points that share something: some 60 for the shortest run, and loading a module costs more than
// compiling it. Here the chunks that nearly every run needs are made one, and those that worker threads need another.
import { basename, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { rolldown } from 'rolldown';

const ENTRIES = ['main', 'worker', 'hashWorker'];

/** What a pull or a verification loads, whatever its source. */
const USUAL = ['cli/program', 'pipeline/pull', 'pipeline/verify', 'pipeline/judge', 'trust/key', 'source/file', 'source/http', 'source/s3', 'report/log'];

type Chunk = Metafile['outputs'][string];

/** Writes to `to` what esbuild has written to `from`. @throws when an entry point has another name now */
export async function joinChunks({ outputs }: Metafile, from: string, to: string): Promise<void> {
  const chunks = new Map(Object.entries(outputs).map(([path, chunk]) => [basename(path), chunk]));
  const nameOf = (source: string): string => {
    const [name] = [...chunks].find(([, { entryPoint }]) => entryPoint === `src/${source}.ts`) ?? [];
    if (name === undefined) throw new Error(`nothing imports src/${source}.ts dynamically`);
    return name;
  };
  const ofWorkers = withImports(chunks, ['worker.js', 'hashWorker.js']);
  const usual = withImports(chunks, USUAL.map(nameOf));
  const group = (name: string, priority: number, members: ReadonlySet<string>) => ({ name, priority, test: (id: string) => members.has(basename(id)) });
  const joined = await rolldown({
    input: Object.fromEntries(ENTRIES.map((name) => [name, join(from, `${name}.js`)])),
    platform: 'node',
    preserveEntrySignatures: 'allow-extension',
  });
  await joined.write({
    dir: to,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    // It is minified already.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    codeSplitting: { includeDependenciesRecursively: false, groups: [group('shared', 2, ofWorkers), group('usual', 1, usual)] },
  });
  await joined.close();
}

/** These chunks and what they import statically, however far; but not the entries of the program, which are run when they are loaded. */
function withImports(chunks: ReadonlyMap<string, Chunk>, names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...names];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const imports = chunks.get(name)?.imports ?? [];
    open.push(...imports.filter(({ kind, external }) => kind === 'import-statement' && external !== true).map(({ path }) => basename(path)));
  }
  return new Set([...found].filter((name) => !ENTRIES.includes(basename(name, '.js'))));
}
