// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Keys, makeKeys, makeStatement, resourceOf, signStatement } from '../support/signer.ts';
import { type Random, type Reference, ROUNDS, random, runOurs, SEED, startReference } from './peer.ts';

// The drop-in command against the reference on a bundle of which one part was changed: half of the time before it was signed (so that the
// signature is right and the statement is odd), else afterwards. What the two judge differently has its line in docs/oms-decisions.md.

type Json = { [name: string]: unknown };
type Spot = { readonly holder: Json; readonly name: string; readonly path: string };

/** Decided otherwise than the reference: the changes, what we do about them, and the subject of the line in docs/oms-decisions.md. */
const DECIDED: readonly { readonly changes: RegExp; readonly we: 'refuse' | 'accept'; readonly subject: string }[] = [
  { changes: /: a member twice$/, we: 'refuse', subject: 'Duplicate JSON members' },
  { changes: /: escaped letters in names$/, we: 'refuse', subject: 'Names of JSON members that are written with an escape' },
  { changes: /^statement: a byte order mark$/, we: 'refuse', subject: 'Encoding of the payload' },
  { changes: /^statement\.predicate\.resources\.#\.digest: (?:is in upper case|has a blank)/, we: 'refuse', subject: 'Upper-case hex' },
  { changes: /^statement\.predicate\.resources: (?:is in reverse order|has its first entry twice)/, we: 'refuse', subject: 'Order of resources' },
  { changes: /^statement\.predicate\.serialization\.hash_type: /, we: 'refuse', subject: '`hash_type`' },
  {
    changes: /^statement\.(?:subject\.#\.name|predicate\.serialization\.(?:allow_symlinks|ignore_paths(?:\.#)?)): is /,
    we: 'refuse',
    subject: 'Types of members',
  },
  { changes: /^bundle\.dsseEnvelope\.signatures: has its first entry twice$/, we: 'refuse', subject: 'Two DSSE signatures' },
  { changes: /^bundle\.dsseEnvelope\.(?:payload|signatures\.#\.sig): has /, we: 'refuse', subject: 'Base64' },
  { changes: /^bundle\.verificationMaterial\.publicKey(?:\.hint: is gone|: is an empty object)$/, we: 'refuse', subject: 'Key hint' },
  { changes: /^bundle\.verificationMaterial\.publicKey: has an unknown member$/, we: 'accept', subject: 'Unknown members' },
];

const FILES = { 'config.json': '{}', 'sub/x': 'x', 'sub/y': 'y' };

let home: string;
let keys: Keys;
let reference: Reference;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'model-gate-differential-'));
  keys = makeKeys();
  reference = startReference();
  mkdirSync(join(home, 'model/sub'), { recursive: true });
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(home, 'model', name), content);
  writeFileSync(join(home, 'key.pub'), keys.publicPem);
  console.log(`${ROUNDS} rounds, seed ${SEED}`);
});
afterAll(() => {
  reference.stop();
  rmSync(home, { recursive: true, force: true });
});

it('judges a changed bundle as the reference does, or as docs/oms-decisions.md says', { timeout: 3_600_000 }, async () => {
  const wrong: string[] = [];
  const counts = { accepted: 0, refused: 0, decided: 0 };
  const args = ['verify', 'key', join(home, 'model'), '--signature', join(home, 'model.sig'), '--public_key', join(home, 'key.pub')];
  for (let round = 0; round < ROUNDS; round++) {
    const { bundle, change } = changedBundle(random(SEED + round));
    writeFileSync(join(home, 'model.sig'), bundle);
    const [ours, theirs] = [await runOurs(args), await reference.run(args)];
    const verdict = ours === 0 ? 'accept' : 'refuse';
    if ((ours === 0) === (theirs === 0)) counts[ours === 0 ? 'accepted' : 'refused']++;
    else if (DECIDED.some(({ changes, we }) => we === verdict && changes.test(change))) counts.decided++;
    else wrong.push(`seed ${SEED + round}: we ${verdict} '${change}'`);
  }
  console.log(`both accepted ${counts.accepted}, both refused ${counts.refused}, decided otherwise ${counts.decided}`);
  expect(wrong).toEqual([]);
  // A run that only ever refuses would compare nothing.
  expect(counts.accepted).toBeGreaterThan(ROUNDS / 20);
  expect(counts.refused).toBeGreaterThan(ROUNDS / 10);
});

it('has a line in docs/oms-decisions.md for all that is decided otherwise', () => {
  const document = readFileSync(resolve(import.meta.dirname, '../../docs/oms-decisions.md'), 'utf8');
  expect(DECIDED.map(({ subject }) => subject).filter((subject) => !document.includes(`\n| ${subject}`))).toEqual([]);
});

function changedBundle(rng: Random): { readonly bundle: string; readonly change: string } {
  const resources = Object.entries(FILES).map(([name, content]) => resourceOf(name, content));
  const statement = makeStatement(resources, { serialization: { ignore_paths: ['.git', 'cache'] } }) as Json;
  if (rng.chance(0.5)) {
    const { text, change } = changed(statement, 'statement', rng);
    return { bundle: signStatement(text, keys).toString(), change };
  }
  const { text, change } = changed(JSON.parse(signStatement(statement, keys).toString()) as Json, 'bundle', rng);
  return { bundle: text, change };
}

/** The JSON text with one thing changed: how it is written, or a part of it. */
function changed(document: Json, what: string, rng: Random): { readonly text: string; readonly change: string } {
  if (rng.chance(0.1)) {
    const name = rng.pick(Object.keys(SPELLINGS));
    return { text: SPELLINGS[name]?.(document) ?? '', change: `${what}: ${name}` };
  }
  const { holder, name, path } = rng.pick(spotsOf(document, what));
  const change = rng.pick(Object.keys(CHANGES));
  const before = holder[name];
  const after = CHANGES[change]?.(before);
  if (after === undefined) delete holder[name];
  else holder[name] = after;
  return { text: JSON.stringify(document), change: `${path}: ${JSON.stringify(before) === JSON.stringify(after) ? 'nothing' : change}` };
}

const SPELLINGS: Readonly<Record<string, (document: Json) => string>> = {
  'other blanks': (document) => `\n${JSON.stringify(document, undefined, 3)}\r\n`,
  'escaped letters in names': (document) => JSON.stringify(document).replaceAll('a', '\\u0061'),
  'escaped letters in values': (document) =>
    JSON.stringify(document).replace(/"[^"]*"(:?)/g, (text, colon) => (colon === ':' ? text : text.replaceAll('a', '\\u0061'))),
  'members in another order': (document) => JSON.stringify(Object.fromEntries(Object.entries(document).reverse())),
  'a member twice': (document) => JSON.stringify(document).replace(/^\{("[^"]+":)/, '{$1null,$1'),
  'a byte order mark': (document) => `\ufeff${JSON.stringify(document)}`,
  'a second document': (document) => JSON.stringify(document).repeat(2),
  'half of it': (document) => JSON.stringify(document).slice(0, 100),
};

const CHANGES: Readonly<Record<string, (value: unknown) => unknown>> = {
  'is gone': () => undefined,
  'is null': () => null,
  'is a number': () => 5,
  'is a boolean': () => true,
  'is an empty text': () => '',
  'is another text': () => 'x',
  'is an empty list': () => [],
  'is an empty object': () => ({}),
  'is in a list': (value) => [value],
  'is in upper case': (value) => (typeof value === 'string' ? value.toUpperCase() : value),
  'has a blank behind it': (value) => (typeof value === 'string' ? `${value} ` : value),
  'has a blank before it': (value) => (typeof value === 'string' ? ` ${value}` : value),
  'has one character less': (value) => (typeof value === 'string' ? value.slice(0, -1) : value),
  'has one character more': (value) => (typeof value === 'string' ? `${value}0` : value),
  'has an unknown member': (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value, future: 1 } : value),
  'has its first entry twice': (value) => (Array.isArray(value) ? [...value.slice(0, 1), ...value] : value),
  'is in reverse order': (value) => (Array.isArray(value) ? value.toReversed() : value),
};

/** Every member and entry, the document itself left out. Numbers of entries do not matter for what is decided. */
function spotsOf(holder: Json, path: string): readonly Spot[] {
  return Object.entries(holder).flatMap(([name, value]) => {
    const here = `${path}.${Array.isArray(holder) ? '#' : name}`;
    return [{ holder, name, path: here }, ...(typeof value === 'object' && value !== null ? spotsOf(value as Json, here) : [])];
  });
}
