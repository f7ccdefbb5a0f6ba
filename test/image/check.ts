// SPDX-License-Identifier: Apache-2.0
// node test/image/check.ts IMAGE BASE: does the image keep what image.yaml promises? Needs podman and root.
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, matchesGlob } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';

type Command = { readonly run: readonly string[]; readonly entrypoint?: string; readonly user?: string; readonly exit: number; readonly stdout?: string };
type Promises = {
  readonly config: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly added: Readonly<Record<string, string>>;
  readonly absent: readonly (readonly string[])[];
  readonly commands: readonly Command[];
  readonly limits: { readonly start_cpu_seconds: number; readonly compressed_megabytes: number };
};
type Entry = { readonly path: string; readonly is: string; readonly mode: number; readonly owner: string };

const [image = '', base = ''] = process.argv.slice(2);
const promised = parse(readFileSync(new URL('image.yaml', import.meta.url), 'utf8')) as Promises;
let wrong = 0;

const podman = (...args: readonly string[]): string => execFileSync('podman', args, { encoding: 'utf8' }).trim();

function check(what: string, fine: boolean, found: unknown): void {
  if (!fine) wrong++;
  console.log(`${fine ? 'ok    ' : 'WRONG '} ${what}: ${typeof found === 'string' ? found : JSON.stringify(found)}`);
}

function checkConfig(): void {
  const { Labels, ...config } = JSON.parse(podman('image', 'inspect', '--format', '{{json .Config}}', image)) as Record<string, unknown> & {
    Labels: Record<string, string>;
  };
  for (const [name, wanted] of Object.entries(promised.config)) check(name, isDeepStrictEqual(config[name], wanted), config[name]);
  for (const [name, wanted] of Object.entries(promised.labels)) {
    const found = Labels[name] ?? '';
    check(name, wanted === '*' ? found !== '' : found === wanted, found);
  }
}

/** Everything in an image, by path. */
function treeOf(name: string): ReadonlyMap<string, Entry> {
  const root = podman('image', 'mount', name);
  try {
    return new Map(
      readdirSync(root, { recursive: true, encoding: 'utf8' }).map((file) => {
        const stat = lstatSync(join(root, file));
        const mode = stat.mode & 0o7777;
        const kind = stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : 'other';
        const is = stat.isSymbolicLink() ? `link ${readlinkSync(join(root, file))}` : `${kind} ${mode.toString(8)}`;
        return [`/${file}`, { path: `/${file}`, is, mode: stat.isSymbolicLink() ? 0 : mode, owner: `${stat.uid}:${stat.gid}` }];
      }),
    );
  } finally {
    podman('image', 'unmount', name);
  }
}

function checkFiles(): void {
  const [tree, below] = [treeOf(image), treeOf(base)];
  const added = [...tree.values()].filter(({ path, is }) => !below.has(path) && !(is.startsWith('directory') && '/usr/local/bin'.startsWith(path)));
  const wantedFor = (path: string): string | undefined =>
    promised.added[path] ?? Object.entries(promised.added).find(([pattern]) => pattern.includes('*') && matchesGlob(path, pattern))?.[1];
  const unexpected = added.filter(({ path, is, owner }) => wantedFor(path) !== is || owner !== '0:0');
  check(`${added.length} added paths, each as promised`, unexpected.length === 0, unexpected);
  const missing = Object.keys(promised.added).filter((pattern) => !added.some(({ path }) => path === pattern || matchesGlob(path, pattern)));
  check('promised paths that are not there', missing.length === 0, missing);
  const changed = [...below.values()].filter(({ path, is }) => tree.get(path)?.is !== is).map(({ path }) => path);
  check('paths of the base that were changed', changed.length === 0, changed);
  const all = [...tree.values()];
  const named = all.filter(({ path }) => promised.absent.flat().includes(path.slice(path.lastIndexOf('/') + 1))).map(({ path }) => path);
  check('shells, package managers, tools', named.length === 0, named);
  const setuid = all.filter(({ mode }) => (mode & 0o6000) !== 0).map(({ path }) => path);
  check('setuid and setgid files', setuid.length === 0, setuid);
  // Folders like /tmp have the sticky bit.
  const writable = all.filter(({ mode }) => (mode & 0o022) !== 0 && (mode & 0o1000) === 0).map(({ path }) => path);
  check('paths that others than root may write', writable.length === 0, writable);
}

function start({ entrypoint, user, run }: Omit<Command, 'exit'>, ...options: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const secure = ['--rm', '--network', 'none', '--read-only', '--cap-drop', 'all', '--security-opt', 'no-new-privileges'];
  const own = [...(entrypoint === undefined ? [] : ['--entrypoint', entrypoint]), ...(user === undefined ? [] : ['--user', user])];
  return spawnSync('podman', ['run', ...secure, ...own, ...options, image, ...run], { encoding: 'utf8' });
}

function checkCommands(): void {
  for (const command of promised.commands) {
    const { status, stdout, stderr } = start(command);
    const fine = status === command.exit && (command.stdout === undefined || new RegExp(command.stdout).test(stdout));
    const as = command.user === undefined ? '' : ` as ${command.user}`;
    check(`${[command.entrypoint, ...command.run].filter(Boolean).join(' ')}${as}`, fine, fine ? `exit ${status}` : { status, stdout, stderr });
  }
}

/** What the kernel charged the process for, from its start to its end; the least of a few runs, as others use this machine, too. */
function checkStart(): void {
  const tell = 'process.on("exit",()=>{const{user,system}=process.cpuUsage();process.stderr.write("cpu="+(user+system)/1e6)})';
  const seconds = Array.from({ length: 5 }, () => {
    const { stderr } = start({ run: ['--version'] }, '--env', `NODE_OPTIONS=--import=data:text/javascript,${encodeURIComponent(tell)}`);
    return Number(/cpu=([\d.]+)/.exec(stderr)?.[1] ?? Number.POSITIVE_INFINITY);
  });
  const least = Math.min(...seconds);
  check(`start in at most ${promised.limits.start_cpu_seconds} s of CPU`, least <= promised.limits.start_cpu_seconds, `${least.toFixed(3)} s`);
}

function checkSize(): void {
  const folder = mkdtempSync(join(tmpdir(), 'model-gate-image-'));
  try {
    execFileSync('buildah', ['push', '--quiet', image, `oci:${folder}:image`], { stdio: ['ignore', 'ignore', 'inherit'] });
    const read = (path: string) => JSON.parse(readFileSync(join(folder, path), 'utf8'));
    const index = read('index.json') as { manifests: { digest: string }[] };
    const manifest = read(`blobs/${(index.manifests[0]?.digest ?? '').replace(':', '/')}`) as { layers: { size: number }[] };
    const megabytes = manifest.layers.map(({ size }) => size / 1e6);
    const sum = megabytes.reduce((total, size) => total + size, 0);
    const layers = megabytes.map((size) => size.toFixed(2)).join(' + ');
    check(`at most ${promised.limits.compressed_megabytes} MB compressed`, sum <= promised.limits.compressed_megabytes, `${sum.toFixed(2)} MB = ${layers}`);
    const told = (path: string, pattern: RegExp): number => Number(pattern.exec(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))?.[1]);
    const page = told('docs/image.md', /^\| together \| ([\d.]+) \|/m);
    check('docs/image.md tells this size', Math.abs(page - sum) < 0.5, `${page} MB`);
    const readme = told('README.md', /takes (\d+) MB compressed/);
    check('README.md tells this size', Math.abs(readme - sum) < 1, `${readme} MB`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const part of [checkConfig, checkFiles, checkCommands, checkStart, checkSize]) part();
if (wrong > 0) console.log(`${wrong} promises of the image are not kept`);
process.exitCode = wrong > 0 ? 1 : 0;
