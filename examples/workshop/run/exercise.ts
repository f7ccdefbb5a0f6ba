// SPDX-License-Identifier: Apache-2.0
// An exercise is its README.md: what the attacker does, the commands, and what has to come of them are read from there,
// so that the page cannot say anything else than what happens.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';

export const WORKSHOP = new URL('..', import.meta.url).pathname;

const Pod = v.picklist(['Running', 'Running, not ready', 'Init:Error']);
const Server = v.picklist(['answers', 'no answer']);

/** What a pod did, as the table in the README says it. */
export type Outcome = {
  readonly pod: v.InferOutput<typeof Pod>;
  readonly exitCode: number;
  /** The reason code, or the verdict where there is none. */
  readonly reason: string;
  readonly server: v.InferOutput<typeof Server>;
};

export type Step = {
  readonly command: string;
  readonly expect: Outcome;
  /** Lines of the log, in this order; "…" stands for anything. */
  readonly log: readonly string[];
};

export type Exercise = {
  /** 02-tampered-file */
  readonly name: string;
  readonly title: string;
  /** Shell commands, run in the folder of the model. */
  readonly attack: string;
  readonly steps: readonly Step[];
};

export async function readExercises(filter: string): Promise<readonly Exercise[]> {
  const folders = (await readdir(WORKSHOP)).filter((name) => /^\d\d-/.test(name) && name.startsWith(filter)).sort();
  return Promise.all(folders.map(async (name) => parseExercise(name, await readFile(join(WORKSHOP, name, 'README.md'), 'utf8'))));
}

function parseExercise(name: string, text: string): Exercise {
  const title = /^# (.+)$/m.exec(text)?.[1];
  const rows = [...text.matchAll(/^\| `(kubectl [^`]+)` \| ([^|]+) \| (\d+) \| `([^`]+)` \| ([^|]+) \|$/gm)];
  const logs = [...text.matchAll(/^```text\n(.*?)\n```$/gms)].map((match) => match[1] ?? '');
  if (title === undefined || rows.length === 0 || rows.length !== logs.length) {
    throw new Error(`${name}/README.md: ${rows.length} rows of outcomes and ${logs.length} logs; each outcome needs one`);
  }
  const steps = rows.map(([, command = '', pod = '', exit = '', reason = '', server = ''], index) => {
    const expect = { pod: v.parse(Pod, pod), exitCode: Number(exit), reason, server: v.parse(Server, server) };
    return { command, expect, log: (logs[index] ?? '').split('\n') };
  });
  return { name, title, attack: /^## The attack\n.*?^```sh\n(.*?)^```$/ms.exec(text)?.[1] ?? '', steps };
}

/** The expected lines that the log does not have, in their order. */
export function missingLines(expected: readonly string[], log: string): readonly string[] {
  const lines = log.split('\n');
  let from = 0;
  return expected.filter((wanted) => {
    const pattern = new RegExp(`^${wanted.split('…').map(literally).join('.*')}$`);
    const at = lines.findIndex((line, index) => index >= from && pattern.test(line));
    if (at === -1) return true;
    from = at + 1;
    return false;
  });
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
