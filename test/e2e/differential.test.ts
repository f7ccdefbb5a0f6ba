// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { asAppError, exitCodeOf } from '../../src/base/errors.ts';
import { runModelSigning } from '../../src/cli/modelSigning.ts';
import { makeKeys } from '../support/signer.ts';

// The drop-in command against the reference implementation on random models, options and mutations: both have to say the same,
// but for the decisions in docs/oms-decisions.md. MODEL_GATE_ROUNDS and MODEL_GATE_SEED repeat or extend a run.

const ROUNDS = Number(process.env['MODEL_GATE_ROUNDS'] ?? 150);
const SEED = Number(process.env['MODEL_GATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const NAMES = [
  'config.json',
  'a b',
  'ünï#cødé',
  '.hidden',
  'sub/x',
  'sub/a-b',
  'sub/a/x',
  'a.txt',
  'sub/.gitignore',
  'x:0:5',
  'back\\slash',
  '日本/重み.bin',
  '-dash',
  'UPPER',
  'upper',
];
const GIT_NAMES = ['.gitignore', '.git/HEAD', '.gitattributes', '.github/ci.yml'];
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'] as const;

type Reference = { run(args: readonly string[]): Promise<number>; stop(): void };
type Round = { readonly links: boolean; readonly empty: boolean; readonly mutation: string; readonly signer: string };

let home: string;
let reference: Reference;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'model-gate-differential-'));
  reference = startReference();
  for (const curve of CURVES) {
    const keys = makeKeys(curve);
    writeFileSync(join(home, `${curve}.pem`), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(join(home, `${curve}.pub`), keys.publicPem);
  }
  console.log(`${ROUNDS} rounds, seed ${SEED}`);
});
afterAll(() => {
  reference.stop();
  rmSync(home, { recursive: true, force: true });
});

it('says what the reference says, in random rounds', { timeout: 3_600_000 }, async () => {
  const wrong: string[] = [];
  const counts = { accepted: 0, refused: 0, decided: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const dir = join(home, `round-${round}`);
    const { ours, theirs, facts } = await play(dir, random(SEED + round));
    if ((ours === 0) === (theirs === 0)) counts[ours === 0 ? 'accepted' : 'refused']++;
    else if (isDecided(facts, ours)) counts.decided++;
    else wrong.push(`seed ${SEED + round}: ours ${ours}, reference ${theirs}, ${JSON.stringify(facts)}`);
    rmSync(dir, { recursive: true, force: true });
  }
  console.log(`both accepted ${counts.accepted}, both refused ${counts.refused}, decided otherwise ${counts.decided}`);
  expect(wrong).toEqual([]);
  // A run that only ever refuses, or only accepts, would compare nothing.
  expect(counts.accepted).toBeGreaterThan(ROUNDS / 10);
  expect(counts.refused).toBeGreaterThan(ROUNDS / 10);
});

/** docs/oms-decisions.md: links follow the recorded policy here and a flag there; an empty model and a bundle's form are judged more strictly here. */
function isDecided({ links, empty, mutation }: Round, ours: number): boolean {
  return links || (empty && ours !== 0) || (mutation === 'flip a bundle byte' && ours !== 0);
}

async function play(dir: string, rng: Random): Promise<{ ours: number; theirs: number; facts: Round }> {
  const model = join(dir, 'model');
  const names = writeModel(model, rng);
  const links = rng.chance(0.15);
  if (links) symlinkSync(names[0] ?? '', join(model, 'zz-link'));
  const curve = rng.pick(CURVES);
  const bundle = rng.chance(0.5) ? join(model, 'model.sig') : join(dir, 'model.sig');
  const ignored = rng.chance(0.2) && names.length > 1 ? rng.pick(names) : undefined;
  const common = [...(links && rng.chance(0.7) ? ['--allow_symlinks'] : []), ...(rng.chance(0.15) ? ['--no-ignore-git-paths'] : [])];
  const left = names.filter((name) => name !== ignored && (common.includes('--no-ignore-git-paths') || !GIT_NAMES.includes(name)));
  const empty = left.length === 0;
  const ignoreFlags = ignored === undefined ? [] : ['--ignore-paths', join(model, ignored)];

  const signArgs = (out: string): string[] => [
    'sign',
    'key',
    model,
    '--signature',
    out,
    '--private_key',
    join(home, `${curve}.pem`),
    ...common,
    ...ignoreFlags,
  ];
  const signer = rng.pick(['ours', 'reference']);
  const signed = signer === 'ours' ? await runOurs(signArgs(bundle)) : await reference.run(signArgs(bundle));
  if (signed !== 0) {
    // Both have to refuse to sign the same model.
    const other = signer === 'ours' ? await reference.run(signArgs(bundle)) : await runOurs(signArgs(bundle));
    return { ours: signer === 'ours' ? signed : other, theirs: signer === 'ours' ? other : signed, facts: { links, empty, mutation: 'sign', signer } };
  }
  const mutation = mutate(model, bundle, names, rng);
  const trusted = rng.chance(0.1) ? rng.pick(CURVES) : curve;
  const verifyArgs = ['verify', 'key', model, '--signature', bundle, '--public_key', join(home, `${trusted}.pub`), ...common];
  if (rng.chance(0.3)) verifyArgs.push(...ignoreFlags);
  if (rng.chance(0.15)) verifyArgs.push('--ignore_unsigned_files');
  return {
    ours: await runOurs(verifyArgs),
    theirs: await reference.run(verifyArgs),
    facts: { links: links || mutation.includes('link'), empty, mutation, signer },
  };
}

function writeModel(model: string, rng: Random): string[] {
  const names = [...NAMES]
    .sort(() => rng.next() - 0.5)
    .slice(0, 1 + Math.floor(rng.next() * 8))
    .filter((name, _, all) => !all.some((other) => other.startsWith(`${name}/`)));
  if (rng.chance(0.3)) names.push(rng.pick(GIT_NAMES));
  for (const name of names) {
    mkdirSync(dirname(join(model, name)), { recursive: true });
    writeFileSync(join(model, name), Buffer.alloc(rng.chance(0.2) ? 0 : Math.floor(rng.next() * 3000), createHash('sha256').update(name).digest()));
  }
  return names;
}

function mutate(model: string, bundle: string, names: readonly string[], rng: Random): string {
  const file = join(model, rng.pick(names));
  const mutations: Readonly<Record<string, () => void>> = {
    nothing: () => {},
    'nothing, either': () => {},
    'append a byte': () => writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from('!')])),
    'remove a file': () => rmSync(file),
    'add a file': () => writeFileSync(join(model, 'added.bin'), 'added'),
    'add a git file': () => writeFileSync(join(model, '.gitattributes'), '*'),
    'add an empty folder': () => mkdirSync(join(model, 'new', 'folder'), { recursive: true }),
    'rename a file': () => renameSync(file, `${file}.renamed`),
    'add a link': () => symlinkSync('nowhere-near', join(model, 'dangling')),
    'flip a bundle byte': () => {
      const bytes = readFileSync(bundle);
      const at = Math.floor(rng.next() * bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(rng.next() * 7));
      writeFileSync(bundle, bytes);
    },
  };
  const name = rng.pick(Object.keys(mutations));
  mutations[name]?.();
  return name;
}

async function runOurs(args: readonly string[]): Promise<number> {
  const writers = [process.stdout, process.stderr].map((stream) => [stream, stream.write.bind(stream)] as const);
  for (const [stream] of writers) stream.write = () => true;
  try {
    return await runModelSigning(args, { env: {}, signal: new AbortController().signal, signalName: () => undefined });
  } catch (error) {
    return exitCodeOf(asAppError(error).code);
  } finally {
    for (const [stream, write] of writers) stream.write = write;
  }
}

/** The Python beside the reference's command on PATH. */
function startReference(): Reference {
  const command = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'model_signing'))
    .find((path) => existsSync(path));
  if (command === undefined) throw new Error('the reference implementation is not on PATH');
  const real = join(dirname(realpathOf(command)), 'python');
  const child = spawn(real, [join(import.meta.dirname, 'reference.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(args) {
      child.stdin.write(`${JSON.stringify(args)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the reference implementation ended');
      return Number(value);
    },
    stop: () => void child.kill(),
  };
}

/** One step only: the interpreter of a virtual environment is a link itself, and has to be called by it. */
function realpathOf(path: string): string {
  return lstatSync(path).isSymbolicLink() ? resolve(dirname(path), readlinkSync(path)) : path;
}

type Random = { next(): number; chance(p: number): boolean; pick<T>(list: readonly T[]): T };

/** mulberry32: small, and the same everywhere. */
function random(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, chance: (p) => next() < p, pick: (list) => list[Math.floor(next() * list.length)] as (typeof list)[number] };
}
