// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeKeys } from '../support/signer.ts';
import { days, intermediate, leaf, pem, root } from '../trust/pki.ts';
import { type Random, type Reference, ROUNDS, random, runOurs, SEED, startReference } from './peer.ts';

// The drop-in command against the reference implementation on random models, options and mutations: both have to say the same,
// but for the decisions in docs/oms-decisions.md.

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

const METHODS = ['key', 'key', 'certificate'] as const;

type Round = {
  readonly method: string;
  readonly links: boolean;
  readonly empty: boolean;
  readonly mutation: string;
  readonly signer: string;
  readonly single: boolean;
};

let home: string;
let reference: Reference;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'model-gate-differential-'));
  reference = startReference();
  const now = new Date();
  const period = { from: days(-30, now), to: days(30, now) };
  for (const curve of CURVES) {
    const keys = makeKeys(curve);
    writeFileSync(join(home, `${curve}.pem`), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(join(home, `${curve}.pub`), keys.publicPem);
    // One path for each curve: the certificates of another curve are a stranger's.
    const ca = await root({ subject: `root of ${curve}`, ...period });
    const inter = await intermediate(ca, { subject: `intermediate of ${curve}`, ...period });
    writeFileSync(join(home, `${curve}.root.pem`), pem(ca));
    writeFileSync(join(home, `${curve}.inter.pem`), pem(inter));
    writeFileSync(join(home, `${curve}.leaf.pem`), pem(await leaf(inter, { key: keys, ...period })));
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
  const folder = join(dir, 'model');
  const names = writeModel(folder, rng);
  const single = rng.chance(0.15);
  const target = rng.pick(names);
  // The reference calls the file of such a model '.', and so does the drop-in when it signs.
  const model = single ? join(folder, target) : folder;
  const links = !single && rng.chance(0.15);
  if (links) symlinkSync(names[0] ?? '', join(folder, 'zz-link'));
  const method = rng.pick(METHODS);
  const curve = rng.pick(CURVES);
  const bundle = rng.chance(0.5) ? join(folder, 'model.sig') : join(dir, 'model.sig');
  const ignored = rng.chance(0.2) && names.length > 1 ? rng.pick(names) : undefined;
  const common = [...(links && rng.chance(0.7) ? ['--allow_symlinks'] : []), ...(rng.chance(0.15) ? ['--no-ignore-git-paths'] : [])];
  const left = names.filter((name) => name !== ignored && (common.includes('--no-ignore-git-paths') || !GIT_NAMES.includes(name)));
  const empty = single ? ignored === target : left.length === 0;
  const ignoreFlags = ignored === undefined ? [] : ['--ignore-paths', join(folder, ignored)];

  const signArgs = ['sign', method, model, '--signature', bundle, ...signingFlags(method, curve), ...common, ...ignoreFlags];
  const signer = rng.pick(['ours', 'reference']);
  const signed = signer === 'ours' ? await runOurs(signArgs) : await reference.run(signArgs);
  const facts = { method, links, empty, signer, single };
  if (signed !== 0) {
    // Both have to refuse to sign the same model.
    const other = signer === 'ours' ? await reference.run(signArgs) : await runOurs(signArgs);
    return { ours: signer === 'ours' ? signed : other, theirs: signer === 'ours' ? other : signed, facts: { ...facts, mutation: 'sign' } };
  }
  const mutation = mutate(folder, bundle, single ? [target] : names, rng);
  const trusted = rng.chance(0.1) ? rng.pick(CURVES) : curve;
  const verifyArgs = ['verify', method, model, '--signature', bundle, ...trustFlags(method, trusted), ...common];
  if (rng.chance(0.3)) verifyArgs.push(...ignoreFlags);
  // With this flag the reference looks for a single file inside itself.
  if (!single && rng.chance(0.15)) verifyArgs.push('--ignore_unsigned_files');
  return {
    ours: await runOurs(verifyArgs),
    theirs: await reference.run(verifyArgs),
    facts: { ...facts, links: links || mutation.includes('link'), mutation },
  };
}

function signingFlags(method: string, curve: string): readonly string[] {
  const key = ['--private_key', join(home, `${curve}.pem`)];
  if (method === 'key') return key;
  return [...key, '--signing_certificate', join(home, `${curve}.leaf.pem`), '--certificate_chain', join(home, `${curve}.inter.pem`)];
}

function trustFlags(method: string, curve: string): readonly string[] {
  return method === 'key' ? ['--public_key', join(home, `${curve}.pub`)] : ['--certificate_chain', join(home, `${curve}.root.pem`)];
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
