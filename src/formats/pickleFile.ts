// SPDX-License-Identifier: Apache-2.0
import { type ByteSource, readHead } from './byteSource.ts';
import type { Finding, PickleImport } from './finding.ts';
import { type PickleWalk, type WalkBudget, walkPickle } from './pickle.ts';

const MAX_PICKLES = 1000;
const SEARCH_BYTES = 1024 * 1024;
const MAX_STARTS = 64;
/** PyTorch's old files: this number, a version, the system, the object, the keys of the storages, each a pickle; then the storages. */
const TORCH_MAGIC = 0x1950a86a20f9469cfc6cn;
const TORCH_PICKLES = 5;

/** Names under which somebody will hand the file to an unpickler. */
const PICKLE_NAME = /\.(pkl|pickle|pckl|pck|pcl|p|joblib|jl|dill|cloudpickle|pt|pth|pt2|bin|ckpt|dat|data|sav|mdl|model|npy|npz)(\.\d+)?$/i;

/** What the file is as a pickle; empty when it is none. */
export async function judgePickle(source: ByteSource, name: string, budget: WalkBudget): Promise<readonly Finding[]> {
  const head = await readHead(source, 4);
  // As an opcode, P takes a line and a loader's own function: PyTorch's, which is the only one to have it, opens such files as archives.
  if (head.toString('latin1') === 'PK\x03\x04') return [];
  const hasHeader = head[0] === 0x80 && (head[1] ?? 6) <= 5;
  const first = await walkPickle(source, 0, budget);
  const named = PICKLE_NAME.test(name);
  if (!isPickle(first, hasHeader, named)) return [];
  const imports = new Map<string, PickleImport>();
  const add = (walk: PickleWalk): void => {
    for (const found of walk.imports) imports.set(`${found.module}\n${found.name}`, found);
  };
  add(first);
  let defect = first.defect;
  let { arrays } = first;
  const torch = first.result === TORCH_MAGIC;
  let end = first.end;
  for (let count = 1; defect === undefined && end < source.sizeBytes && !(torch && count === TORCH_PICKLES); count++) {
    // Whoever loads again from the same file gets the next one.
    const walk = await walkPickle(source, end, budget);
    add(walk);
    if (walk.defect !== undefined) defect = torch ? walk.defect : `has ${source.sizeBytes - end} bytes behind its end that are no pickle`;
    else if (count >= MAX_PICKLES) defect = `has more than ${MAX_PICKLES} pickles`;
    arrays ||= walk.arrays;
    end = walk.end;
  }
  const format = torch ? 'pytorch' : arrays ? 'joblib' : 'pickle';
  return [
    { kind: 'format', format },
    ...(defect === undefined ? [] : [{ kind: 'malformed', format, detail: defect } as const]),
    ...[...imports.values()].map((found) => ({ kind: 'import', import: found }) as const),
  ];
}

/**
 * A header, or an end, or calls of imported names before the first step at which a loader would have stopped. Text that happens to parse (most
 * letters are opcodes) stops for want of a value at once; under a pickle's name less evidence is needed.
 */
function isPickle(walk: PickleWalk, hasHeader: boolean, named: boolean): boolean {
  const { ran } = walk;
  // A loader would have gone on, to what nobody has seen.
  if (walk.beyond && !ran.fault) return true;
  if (ran.imports > 0 && (named || ran.calls > 0)) return true;
  if (hasHeader) return walk.defect === undefined || named || walk.imports.length > 0;
  return walk.defect === undefined && !ran.fault && (named || ran.imports + ran.containers > 0);
}

/** Pickles in the midst of something unknown that bears a pickle's name: a loader may skip what stands before them. */
export async function searchPickles(source: ByteSource, name: string, budget: WalkBudget): Promise<readonly Finding[]> {
  if (!PICKLE_NAME.test(name)) return [];
  const head = await readHead(source, SEARCH_BYTES);
  let starts = 0;
  for (let at = head.indexOf(0x80, 1); at > 0 && starts < MAX_STARTS; at = head.indexOf(0x80, at + 1)) {
    if ((head[at + 1] ?? 6) > 5) continue;
    starts += 1;
    const walk = await walkPickle(source, at, budget);
    const evil = walk.imports.filter(({ verdict, module }) => verdict !== 'allowed' && /^[\w.]+$/.test(module));
    if (evil.length > 0)
      return [
        { kind: 'malformed', format: 'pickle', detail: `begins at byte ${at}, behind something else` },
        ...evil.map((found) => ({ kind: 'import', import: found }) as const),
      ];
  }
  return [];
}
