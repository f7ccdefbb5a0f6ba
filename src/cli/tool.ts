// SPDX-License-Identifier: Apache-2.0
import { AppError, asAppError, EXIT, exitCodeOf, serialiseError } from '../base/errors.ts';
import type { ToolDeps } from '../pipeline/measure.ts';
import type { ToolPlan } from '../plan/plan.ts';
import { type Host, type LogValues, openLog } from './run.ts';

/** Runs a command that is no gate: the log goes to standard error, the result to standard output, and nothing is left for Kubernetes. */
export async function runTool(plan: ToolPlan, output: LogValues, host: Host): Promise<number> {
  const log = openLog(output);
  const deadline = new AbortController();
  const timer = plan.timeoutMs === undefined ? undefined : setTimeout(() => deadline.abort(tooSlow(plan.timeoutMs ?? 0)), plan.timeoutMs);
  const deps: ToolDeps = { emit: log.emit, signal: AbortSignal.any([host.signal, deadline.signal]), now: () => new Date(), env: host.env };
  try {
    const { text, failure } = await execute(plan, deps);
    for (const piece of typeof text === 'string' ? [text] : text) process.stdout.write(piece);
    if (failure === undefined) return EXIT.ok;
    log.emit({ kind: 'failed', error: serialiseError(failure) });
    return exitCodeOf(failure.code);
  } catch (error) {
    // An abort surfaces as whatever was interrupted; its reason is the truth.
    const failure = asAppError(deps.signal.aborted ? deps.signal.reason : error);
    if (failure.code === 'INTERNAL') process.stderr.write(`${failure.stack}\n`);
    const exitCode = exitCodeOf(failure.code, host.signalName());
    log.emit({ kind: 'failed', error: serialiseError(failure), exitCode });
    return exitCode;
  } finally {
    clearTimeout(timer);
    log.close();
  }
}

/** The text for standard output, and with `failure` a verdict that is bad although the work was done. */
type Result = { readonly text: string | Iterable<string>; readonly failure?: AppError | undefined };

async function execute(plan: ToolPlan, deps: ToolDeps): Promise<Result> {
  switch (plan.command) {
    case 'sign': {
      const { statement } = await (await import('../pipeline/sign.ts')).sign(plan, deps);
      // What a deployment pins with --expect-digest.
      return { text: `sha256:${statement.rootDigest}\n` };
    }
    case 'digest': {
      const { digestJson, digestText } = await import('../report/digests.ts');
      const measured = await (await import('../pipeline/digest.ts')).digest(plan, deps);
      return { text: plan.json ? json(digestJson(measured)) : digestText(measured) };
    }
    case 'inspect': {
      const { inspectionJson, inspectionText } = await import('../report/inspection.ts');
      const inspection = await (await import('../pipeline/inspect.ts')).inspect(plan, deps);
      return { text: plan.json ? json(inspectionJson(inspection)) : inspectionText(inspection) };
    }
    case 'scan': {
      const { scanJson, scanText } = await import('../report/scanned.ts');
      const scanned = await (await import('../pipeline/scan.ts')).scan(plan, deps);
      return { text: plan.json ? json(scanJson(scanned)) : scanText(scanned), failure: scanned.failure };
    }
    case 'report':
      return { text: await (await import('./showReport.ts')).showReport(plan) };
  }
}

function json(document: object): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function tooSlow(timeoutMs: number): AppError {
  return new AppError('SOURCE_TIMEOUT', `not finished after --timeout ${timeoutMs / 1000} s`, { hint: 'Raise --timeout.' });
}
