// SPDX-License-Identifier: Apache-2.0
import { AppError, asAppError, EXIT, serialiseError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { createLog } from '../report/log.ts';
import { METHODS } from './reference.ts';
import { isStrict, parseVerify, planVerify, verifyAsReference } from './referenceVerify.ts';
import type { Host } from './run.ts';

/**
 * The operator's agent, one shot: `[--interval=0] [--health-port N] [--skip-initial] [--watch] verify METHOD …`.
 * Exit 0 verified, 1 not verified or wrong arguments of verify, 2 wrong flags before it. JSON lines on standard error.
 */
export async function runValidationAgent(argv: readonly string[], host: Host): Promise<number> {
  const { flags, rest } = parseGoFlags(argv);
  refuseInterval(flags.get('interval'));
  const log = createLog('json');
  try {
    // One shot, whatever --skip-initial says: a gate that skips its only check lets everything pass.
    for (const name of ['skip-initial', 'watch']) {
      if (isTrue(flags.get(name))) log.emit({ kind: 'warning', message: `--${name} means nothing without --interval; the model is verified once` });
    }
    const failure = await verifyOnce(rest, host, log.emit);
    if (failure !== undefined) {
      log.emit({ kind: 'failed', error: serialiseError(failure) });
      return EXIT.rejected;
    }
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level: 'info', message: 'One-shot validation complete, exiting' })}\n`);
    return EXIT.ok;
  } finally {
    log.close();
  }
}

async function verifyOnce(
  [command, name, ...rest]: readonly string[],
  host: Host,
  emit: Parameters<typeof verifyAsReference>[2],
): Promise<AppError | undefined> {
  try {
    if (command !== 'verify') throw new AppError('USAGE', `expected the command verify${command === undefined ? '' : `, got '${printable(command, 80)}'`}`);
    const method = METHODS.find((known) => known === name);
    // Unlike the command line, the agent has no default method: with none configured nothing would be checked.
    if (method === undefined) throw new AppError('USAGE', `verify needs a method: ${METHODS.join(', ')}`);
    const args = await parseVerify(method, rest);
    if (args === undefined) throw new AppError('USAGE', 'help is no verification');
    // The agent looks at git files, unless told not to.
    return await verifyAsReference(planVerify(method, args, { strict: isStrict(host), ignoreGitPaths: false }), host, emit);
  } catch (error) {
    return asAppError(error);
  }
}

const BOOLEAN = ['skip-initial', 'watch'];
const VALUED = ['interval', 'health-port'];

/** As Go's flag package reads them: `-x=y`, `--x=y`, `--x y`; booleans only take a value after `=`. Ends at the first word. @throws USAGE */
function parseGoFlags(argv: readonly string[]): { readonly flags: ReadonlyMap<string, string>; readonly rest: readonly string[] } {
  const flags = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (arg === '--') return { flags, rest: argv.slice(i + 1) };
    const [, name, inline] = /^--?([a-z-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === undefined) return { flags, rest: argv.slice(i) };
    if (BOOLEAN.includes(name)) flags.set(name, inline ?? 'true');
    else if (!VALUED.includes(name)) throw new AppError('USAGE', `flag provided but not defined: -${name}`);
    else {
      const value = inline ?? argv[++i];
      if (value === undefined) throw new AppError('USAGE', `flag needs an argument: -${name}`);
      flags.set(name, value);
    }
  }
  return { flags, rest: [] };
}

/** A Go duration. @throws USAGE, also for what would be continuous validation */
function refuseInterval(interval: string | undefined): void {
  if (interval === undefined || interval === '0') return;
  if (!/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.test(interval)) {
    throw new AppError('USAGE', `invalid value '${printable(interval, 80)}' for flag -interval: it must be a duration such as 10m`);
  }
  if (!/[1-9]/.test(interval)) return;
  throw new AppError('USAGE', `continuous validation is not available yet (--interval=${interval})`, {
    hint: 'Switch continuousValidation off, so that the model is verified once, before the server starts.',
  });
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value);
}
