// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Floor } from '../anchors/floor.ts';
import { EMBEDDED_ROOT_DATE } from '../anchors/trustedRoot.ts';
import { AppError, asAppError, EXIT, exitCodeOf, serialiseError } from '../base/errors.ts';
import type { GateDeps } from '../pipeline/gate.ts';
import type { Values } from '../plan/options.ts';
import type { Plan } from '../plan/plan.ts';
import { makeReport, placeholderMessage, terminationMessage } from '../report/document.ts';
import { startEvidence } from '../report/evidence.ts';
import { createLog, type Log, type LogDetail, type LogFormat } from '../report/log.ts';
import { writeReport, writeTermination } from '../report/write.ts';
import { GRACE_MS, leave } from './leave.ts';
import { VERSION } from './version.ts';

/** What the process hands to a command. */
export type Host = { readonly env: GateDeps['env']; readonly signal: AbortSignal; readonly signalName: () => 'SIGINT' | 'SIGTERM' | undefined };

/** For the termination message of a process that gives up. */
const LAST_WORDS_MS = 400;

/** Runs a plan and tells its outcome everywhere: log, termination message, report. Returns the exit code. */
export async function runPlan(plan: Plan, output: LogValues & Pick<Values, 'report' | 'termination-log'>, host: Host, floor: Floor): Promise<number> {
  const log = openLog(output);
  const termination = output['termination-log'] ?? '/dev/termination-log';
  const now = (): Date => new Date();
  const evidence = startEvidence(plan.relaxations, now());
  const deadline = new AbortController();
  let told = false;
  /** What hangs in a volume cannot be aborted, and must not hold the pod. */
  const giveUp = async (error: AppError): Promise<never> => {
    const exitCode = exitCodeOf(error.code);
    if (!told) log.emit({ kind: 'failed', error: serialiseError(error) });
    // The file may be what hangs.
    const written = told ? undefined : writeTermination(termination, terminationMessage(evidence, serialiseError(error), exitCode));
    await Promise.race([written, sleep(LAST_WORDS_MS)]);
    return leave(exitCode);
  };
  const timer = plan.timeoutMs === undefined ? undefined : setTimeout(onTimeout, plan.timeoutMs, tooSlow(plan.timeoutMs));
  function onTimeout(error: AppError): void {
    deadline.abort(error);
    setTimeout(() => void giveUp(error), GRACE_MS).unref();
  }
  const deps: GateDeps = { emit: log.emit, signal: AbortSignal.any([host.signal, deadline.signal]), now, env: host.env, evidence, floor };
  let failure: AppError | undefined;
  try {
    await writeTermination(termination, placeholderMessage(plan.command));
    for (const name of plan.relaxations) log.emit({ kind: 'warning', message: `${name} makes the check weaker than the default` });
    await execute(plan, deps);
  } catch (error) {
    // An abort surfaces as whatever was interrupted; its reason is the truth.
    failure = deps.signal.aborted ? asAppError(deps.signal.reason) : asAppError(error);
    if (failure.code === 'INTERNAL') process.stderr.write(`${failure.stack}\n${failure.cause instanceof Error ? failure.cause.stack : ''}\n`);
  }
  try {
    const error = failure && serialiseError(failure);
    const tool = { name: 'model-gate', version: VERSION, embeddedRootDate: EMBEDDED_ROOT_DATE } as const;
    if (output.report !== undefined) await writeReport(output.report, makeReport(evidence, tool, plan.command, error, host.signalName()));
  } catch (error) {
    // Evidence that was asked for and cannot be kept is a failure of its own, but never hides a refusal.
    failure ??= asAppError(error);
  }
  const exitCode = failure === undefined ? EXIT.ok : exitCodeOf(failure.code, host.signalName());
  if (failure !== undefined) log.emit({ kind: 'failed', error: serialiseError(failure), exitCode });
  told = true;
  await writeTermination(termination, terminationMessage(evidence, failure && serialiseError(failure), exitCode));
  clearTimeout(timer);
  log.close();
  return exitCode;
}

async function execute(plan: Plan, deps: GateDeps): Promise<void> {
  switch (plan.command) {
    case 'pull':
      return (await import('../pipeline/pull.ts')).pull(plan, deps);
    case 'verify':
      return (await import('../pipeline/verify.ts')).verify(plan, deps);
  }
}

/** What the options say about the log. */
export type LogValues = Pick<Values, 'log-format' | 'quiet' | 'verbose'>;

/** @throws PLAN_CONTRADICTION */
export function openLog(values: LogValues): Log {
  return createLog(formatOf(values['log-format']), undefined, detailOf(values));
}

function detailOf({ quiet, verbose }: LogValues): LogDetail {
  if (quiet && verbose) throw new AppError('PLAN_CONTRADICTION', '--quiet and --verbose contradict each other');
  return quiet ? 'quiet' : verbose ? 'verbose' : 'normal';
}

/** `auto`: human on a terminal, else plain. */
function formatOf(format: string): LogFormat {
  if (format === 'human' || format === 'plain' || format === 'json') return format;
  return process.stderr.isTTY === true ? 'human' : 'plain';
}

function tooSlow(timeoutMs: number): AppError {
  return new AppError('SOURCE_TIMEOUT', `not finished after --timeout ${timeoutMs / 1000} s`, {
    hint: 'Raise --timeout, or give the container more CPU or a faster source; verified files are kept for the next start.',
  });
}
