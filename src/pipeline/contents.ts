// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type FormatPolicy, judgeFormats } from '../formats/judge.ts';
import type { Finding } from '../policy/evaluate.ts';
import type { FormatEvidence, ModelEvidence } from '../report/evidence.ts';
import { type GateDeps, warn } from './gate.ts';
import { LANES, type Look, lookAt } from './look.ts';
import { decisionOf, type Ruled } from './ruling.ts';
import { isRefusal, ruleText, waive } from './settle.ts';

/** What one layer says of formats. */
export type FormatRule = { readonly ruled: Ruled; readonly formats: FormatPolicy };

/** A file whose bytes are those that were signed, or that nobody signed and that is tolerated. */
export type LookedFile = { readonly path: string; readonly open: () => Promise<FileHandle> };

/** Looks into files as soon as it is told of them, while others are still on their way; each is looked into once. Disposing of it waits for what runs. */
export class Looks {
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #looks = new Map<string, Promise<Look>>();
  readonly #lanes: Promise<unknown>[] = Array.from({ length: LANES }, () => Promise.resolve());

  constructor(signal: AbortSignal) {
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** What the file is. The first failure stops all other looks. @throws SOURCE_CHANGED, IO */
  at({ path, open }: LookedFile): Promise<Look> {
    const known = this.#looks.get(path);
    if (known !== undefined) return known;
    const lane = this.#looks.size % LANES;
    const look = (this.#lanes[lane] ?? Promise.resolve()).then(async () => {
      this.#signal.throwIfAborted();
      await using file = await open();
      return await lookAt(file, path, this.#signal);
    });
    this.#looks.set(path, look);
    // Whoever asks for it is told; nobody may have asked yet.
    this.#lanes[lane] = look.catch((error) => this.#stop.abort(error));
    return look;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#lanes);
  }
}

/** All that will stand in the model. `odd`: links and the like that may stay, as they are shown; nobody can look into them. */
export type Contents = { readonly files: readonly LookedFile[]; readonly odd: readonly string[] };

const UNSEEN = [{ kind: 'format', format: 'unknown', detail: 'no regular file' }] as const;

/** What one rule has against one file. */
type Found = { readonly rule: FormatRule; readonly severity: 'warning' | 'refused'; readonly path: string; readonly finding: Finding };

/** A decision keeps this many findings: there may be one for each of many thousand files. */
const MAX_FINDINGS = 20;

/**
 * Looks into files, before they are published or after they were verified in place, and holds what they are against the rules of
 * every layer. `names`: of all files that there are. What a layer only warns of, or a format that is only to be warned of, is told.
 * @throws PICKLE_IMPORT, FORMAT_MALFORMED, FORMAT_DENIED (the first of a file, by the order of files), SOURCE_CHANGED, IO
 */
export async function judgeContents(
  looks: Looks,
  rules: readonly FormatRule[],
  { files, odd }: Contents,
  deps: GateDeps,
  model: ModelEvidence,
  names: ReadonlySet<string> = new Set(files.map((file) => file.path)),
): Promise<void> {
  const judged = (display: string, path: string, findings: Parameters<typeof judgeFormats>[2]): readonly Found[] =>
    rules.flatMap((rule) =>
      judgeFormats(rule.formats, path, findings, names).map(({ severity, code, detail }): Found => {
        return { rule, severity, path: display, finding: { code, message: `'${display}' ${detail}` } };
      }),
    );
  const looked = await Promise.all(files.map(async (file) => ({ path: file.path, ...(await looks.at(file)) })));
  model.formats = looked.map(({ path, formats }): FormatEvidence => ({ path: printable(path), formats }));
  const found = looked.flatMap(({ path, findings }) => judged(printable(path), path, findings));
  settleFormats(rules, [...found, ...odd.flatMap((display) => judged(display, display, UNSEEN))], deps, model);
}

/** @throws the first finding of an enforcing layer; the others are waived */
function settleFormats(rules: readonly FormatRule[], found: readonly Found[], deps: GateDeps, model: ModelEvidence): void {
  const decided = new Map(
    rules.map((rule) => {
      const own = found.filter((one) => one.rule === rule && one.severity === 'refused');
      return [
        rule,
        decisionOf(
          rule.ruled,
          own.slice(0, MAX_FINDINGS).map((one) => one.finding),
        ),
      ];
    }),
  );
  const denied = [...decided.values()].filter((one) => one.verdict === 'deny');
  if (denied.length > 0) model.decisions = [...(model.decisions ?? []), ...denied];
  let refusal: AppError | undefined;
  for (const { rule, severity, path, finding } of found) {
    const decision = decided.get(rule);
    if (decision === undefined) continue;
    const { code, message } = finding;
    if (severity === 'warning') warn(deps, model, `${message} (${ruleText(decision)})`);
    else if (isRefusal(decision)) refusal ??= new AppError(code, `${message} (${ruleText(decision)})`, { context: { path } });
    else waive(deps, model, finding, ruleText(decision));
  }
  if (refusal !== undefined) throw refusal;
}
