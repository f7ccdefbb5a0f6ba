// SPDX-License-Identifier: Apache-2.0
import type { Floor } from '../anchors/floor.ts';
import { EMBEDDED_ROOT_DATE } from '../anchors/trustedRoot.ts';
import { AppError, asAppError, EXIT, exitCodeOf, serialiseError } from '../base/errors.ts';
import type { Emit, Event } from '../base/events.ts';
import { describeSigner } from '../pipeline/describeSigner.ts';
import { dueMs, isVerified, type Standing, stateOf } from '../pipeline/schedule.ts';
import { CLOCK, type Round, watch } from '../pipeline/watch.ts';
import type { WatchPlan } from '../plan/plan.ts';
import { makeReport, placeholderMessage, terminationMessage, verdictOf } from '../report/document.ts';
import { writeReport, writeTermination } from '../report/write.ts';
import { type GateFile, gateFile } from '../serve/gateFile.ts';
import { exposition } from '../serve/metrics.ts';
import { serve } from '../serve/server.ts';
import { Tally } from '../serve/tally.ts';
import { createPage, type Page } from './page.ts';
import type { Host } from './run.ts';
import { VERSION } from './version.ts';

/** Where a watch tells how it stands, beside its endpoints. */
export type Outlets = {
  readonly emit: Emit;
  readonly termination: string;
  readonly report?: string;
  /** Exit code of a refusal in place of the catalogue's. */
  readonly exitCode?: number;
  /** Exit code when a signal ends it, whatever was found. Default: 0 while /ready says 200, else 143 or 130. */
  readonly stoppedCode?: number;
  /** Looks at a check before it is told. */
  readonly noticed?: (round: Round) => void;
};

const TOOL = { name: 'model-gate', version: VERSION, embeddedRootDate: EMBEDDED_ROOT_DATE } as const;
/** How long a check that hangs is waited for when the process is to end. */
const LEAVE_MS = 1_500;

/**
 * Serves the endpoints and checks until a signal comes, or until --on-failure exit applies. Returns the exit code: 0 for a signal while /ready
 * said 200, since a sidecar that was stopped in order has not failed; for one that had not vouched for the model only where the outlets say so.
 */
export async function runWatch(plan: WatchPlan, outlets: Outlets, host: Host, floor: Floor): Promise<number> {
  const { emit } = outlets;
  const gate = plan.onFailure.kind === 'gateFile' ? gateFile(plan.onFailure.path) : undefined;
  const board = new Board(plan, outlets, gate);
  try {
    // What an earlier process left says nothing.
    await gate?.close();
    await writeTermination(outlets.termination, placeholderMessage(plan.command));
    for (const name of plan.check.relaxations) emit({ kind: 'warning', message: `${name} makes the check weaker than the default` });
    await using listening = await serve(plan.health, () => board.view());
    emit({ kind: 'listening', port: listening.port });
    const standing = await watch(plan, {
      emit: (event) => board.take(event),
      signal: host.signal,
      now: () => new Date(),
      env: host.env,
      floor,
      checked: (round) => board.checked(round),
      told: (now) => board.told(now),
    });
    await gate?.close();
    setTimeout(() => process.exit(), LEAVE_MS).unref();
    return await board.end(standing.refusal ?? standing.error ?? tooLong());
  } catch (thrown) {
    const failure = asAppError(host.signal.aborted ? host.signal.reason : thrown);
    await gate?.close();
    if (failure.code !== 'CANCELLED') return await board.end(failure);
    emit({ kind: 'warning', message: failure.message });
    return outlets.stoppedCode ?? (board.view().ready ? EXIT.ok : exitCodeOf('CANCELLED', host.signalName()));
  }
}

/** How the watch stands, as the endpoints, the log, the gate file and Kubernetes are told it. */
class Board {
  readonly #plan: WatchPlan;
  readonly #outlets: Outlets;
  readonly #gate: GateFile | undefined;
  readonly #tally = new Tally(VERSION);
  readonly #page: Page = createPage();
  #standing: Standing | undefined;
  #last: Round | undefined;
  #wasReady = false;

  constructor(plan: WatchPlan, outlets: Outlets, gate: GateFile | undefined) {
    this.#plan = plan;
    this.#outlets = outlets;
    this.#gate = gate;
  }

  take(event: Event): void {
    if (event.kind === 'bytes') this.#tally.hashed(event.bytes);
    this.#outlets.emit(event);
  }

  async checked(round: Round): Promise<void> {
    const { evidence, error, trigger, ms } = round;
    this.#outlets.noticed?.(round);
    this.#last = round;
    const failure = error && serialiseError(error);
    const report = makeReport(evidence, TOOL, this.#plan.command, failure);
    this.#page.show(report);
    const [model] = evidence.models;
    this.#tally.checked({
      trigger,
      verdict: verdictOf(evidence, failure, error === undefined ? EXIT.ok : exitCodeOf(error.code)),
      ...(error !== undefined && { reason: error.code }),
      exitCode: error === undefined ? EXIT.ok : exitCodeOf(error.code),
      ms,
      endedAt: new Date(),
      waived: (model?.waived ?? []).map(({ code }) => code),
      ...(model?.signer !== undefined &&
        model.manifest !== undefined && {
          model: {
            files: model.manifest.files,
            bytes: model.files.reduce((sum, file) => sum + file.sizeBytes, 0),
            method: model.signer.kind,
            signer: describeSigner(model.signer),
            digest: `sha256:${model.manifest.rootDigest}`,
          },
        }),
    });
    if (failure !== undefined) this.#outlets.emit({ kind: 'failed', error: failure });
    await this.#tellKubernetes(failure);
    if (this.#outlets.report !== undefined) {
      // Evidence that cannot be kept is told; the endpoints have it, too.
      await writeReport(this.#outlets.report, report).catch((thrown: unknown) => this.#outlets.emit({ kind: 'warning', message: asAppError(thrown).message }));
    }
  }

  /** @throws IO when the gate file cannot follow */
  async told(standing: Standing): Promise<void> {
    this.#standing = standing;
    const { verified, ready, until } = this.#now();
    const digest = this.#last?.evidence.models[0]?.manifest?.rootDigest;
    if (!verified) await this.#gate?.close();
    else if (standing.error === undefined && until !== undefined)
      await this.#gate?.open({ digest: digest === undefined ? 'unknown' : `sha256:${digest}`, checkedAt: new Date(), until });
    if (ready !== this.#wasReady) this.#outlets.emit(ready ? { kind: 'ready' } : { kind: 'warning', message: `not ready any more: ${this.#why()}` });
    this.#wasReady = ready;
  }

  view() {
    const { ready } = this.#now();
    return {
      startup: this.#standing?.success !== undefined,
      ready,
      why: this.#why(),
      metrics: () => exposition(this.#tally.families(this.#now())),
      page: () => this.#page.html(),
    };
  }

  async end(error: AppError): Promise<number> {
    await this.#tellKubernetes(serialiseError(error));
    const exitCode = this.#outlets.exitCode ?? exitCodeOf(error.code);
    this.#outlets.emit({ kind: 'failed', error: serialiseError(error), exitCode });
    return exitCode;
  }

  async #tellKubernetes(failure: ReturnType<typeof serialiseError> | undefined): Promise<void> {
    if (this.#last === undefined && failure === undefined) return;
    const evidence = this.#last?.evidence ?? { startedAt: new Date(), models: [], relaxations: this.#plan.check.relaxations };
    const exitCode = failure === undefined ? EXIT.ok : (this.#outlets.exitCode ?? exitCodeOf(failure.code));
    await writeTermination(this.#outlets.termination, terminationMessage(evidence, failure, exitCode));
  }

  #now(): { readonly verified: boolean; readonly ready: boolean; readonly until: Date | undefined } {
    const standing = this.#standing;
    if (standing === undefined) return { verified: false, ready: false, until: undefined };
    const now = CLOCK.now();
    const verified = isVerified(stateOf(standing, this.#plan, now));
    return {
      verified,
      ready: this.#plan.readiness === 'sticky' ? standing.success !== undefined : verified,
      until: standing.success === undefined ? undefined : new Date(Date.now() + dueMs(standing, this.#plan) - now),
    };
  }

  #why(): string {
    const standing = this.#standing;
    if (standing === undefined) return 'the first check is running';
    return standing.refusal?.code ?? standing.error?.code ?? 'the last check is too long ago';
  }
}

function tooLong(): AppError {
  return new AppError('SOURCE_TIMEOUT', 'no check has ended for longer than the last success counts', { hint: 'Is the volume stuck? Or raise --grace.' });
}
