#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from 'node:events';
import { basename } from 'node:path';
import { AppError, asAppError, EXIT, exitCodeOf, serialiseError } from './base/errors.ts';
import { GRACE_MS, leave } from './cli/leave.ts';
import type { Host } from './cli/run.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const host = listenForSignals();
  const program = basename(process.argv[1] ?? '').replace(/\.[jt]s$/, '');
  const argv = process.argv.slice(2);
  try {
    if (program === 'model_signing') return await (await import('./cli/modelSigning.ts')).runModelSigning(argv, host);
    if (program === 'validation-agent') return await (await import('./cli/validationAgent.ts')).runValidationAgent(argv, host);
    return await (await import('./cli/program.ts')).runProgram(argv, host);
  } catch (error) {
    const { refusal } = await import('./report/log.ts');
    const failure = asAppError(error);
    process.stderr.write(`${refusal(serialiseError(failure))}\n`);
    if (failure.code === 'INTERNAL') process.stderr.write(`${failure.stack}\n`);
    await writeEarlyTermination(failure, argv);
    return exitCodeOf(failure.code);
  }
}

/** As PID 1 a process has no default signal actions: without handlers SIGTERM would be ignored until the kubelet kills. */
function listenForSignals(): Host {
  const controller = new AbortController();
  let name: 'SIGINT' | 'SIGTERM' | undefined;
  setMaxListeners(0, controller.signal);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      name ??= signal;
      controller.abort(new AppError('CANCELLED', `stopped by ${name}`));
      // Something that cannot be interrupted (a hung network volume) must not hold the pod.
      setTimeout(() => leave(name === 'SIGINT' ? EXIT.interrupted : EXIT.terminated), GRACE_MS).unref();
    });
  }
  return { env: process.env, signal: controller.signal, signalName: () => name };
}

/** A wrong request ends before the plan says where the termination message goes; flag and variable are looked up by hand. */
async function writeEarlyTermination(failure: AppError, argv: readonly string[]): Promise<void> {
  const { terminationMessage } = await import('./report/document.ts');
  const { writeTermination } = await import('./report/write.ts');
  const at = argv.indexOf('--termination-log');
  const inline = argv.find((arg) => arg.startsWith('--termination-log='))?.slice('--termination-log='.length);
  const path = inline ?? (at >= 0 ? argv[at + 1] : undefined) ?? (process.env['MODEL_GATE_TERMINATION_LOG'] || '/dev/termination-log');
  await writeTermination(path, terminationMessage({ startedAt: new Date(), models: [], relaxations: [] }, serialiseError(failure), exitCodeOf(failure.code)));
}
