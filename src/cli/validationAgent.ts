// SPDX-License-Identifier: Apache-2.0
import { type Floor, readFloor } from '../anchors/floor.ts';
import { AppError, asAppError, EXIT, exitCodeOf, serialiseError } from '../base/errors.ts';
import type { Emit } from '../base/events.ts';
import { printable } from '../base/redact.ts';
import type { Round } from '../pipeline/watch.ts';
import { resolveOptions } from '../plan/load.ts';
import { watchSettings } from '../plan/makeWatch.ts';
import { envName } from '../plan/options.ts';
import type { VerifyPlan, WatchPlan } from '../plan/plan.ts';
import { createLog } from '../report/log.ts';
import { METHODS } from './reference.ts';
import { isStrict, noteExpired, parseVerify, planVerify, verifyAsReference } from './referenceVerify.ts';
import type { Host } from './run.ts';

/**
 * The operator's agent: `[--interval=D] [--health-port N] [--skip-initial] [--watch] verify METHOD …`. Without an interval one shot: exit 0
 * verified, 1 not verified or wrong arguments of verify, 2 wrong flags before it. With one it goes on until a signal. JSON lines on standard error.
 * A signal ends one shot with 0 only when the model was verified by then: whatever waits for one that succeeded would take a stopped one for that.
 * With an interval nothing waits for its end, and a signal ends it with 0.
 */
export async function runValidationAgent(argv: readonly string[], host: Host): Promise<number> {
  const { flags, rest } = parseGoFlags(argv);
  const intervalMs = goDurationMs(flags.get('interval') ?? '0');
  const log = createLog('json');
  try {
    if (intervalMs > 0) return await watchAsAgent(intervalMs, flags, rest, host, log.emit);
    // One shot, whatever --skip-initial says: a gate that skips its only check lets everything pass.
    for (const name of ['skip-initial', 'watch']) {
      if (isTrue(flags.get(name))) log.emit({ kind: 'warning', message: `--${name} means nothing without --interval; the model is verified once` });
    }
    const failure = await verifyOnce(rest, host, log.emit);
    if (failure !== undefined) {
      const exitCode = exitCodeOfOneShot(failure, host);
      log.emit({ kind: 'failed', error: serialiseError(failure), exitCode });
      return exitCode;
    }
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level: 'info', message: 'One-shot validation complete, exiting' })}\n`);
    return EXIT.ok;
  } finally {
    log.close();
  }
}

/** Settings of watch that the agent has no flags for. The other variables would change how the model is checked, which is up to the operator. */
const VARIABLES = [
  'on-failure',
  'max-failures',
  'gate-file',
  'sticky-readiness',
  'grace',
  'share',
  'poll-interval',
  'max-rate',
  'health-port',
  'health-address',
] as const;

/**
 * Ready from the first success on, whatever happens later, as the operator's own agent is; unless a floor policy or MODEL_GATE_STICKY_READINESS=false
 * wants it withdrawn. Changes are watched for with and without --watch, and --skip-initial does not make an unchecked model ready.
 */
async function watchAsAgent(intervalMs: number, flags: ReadonlyMap<string, string>, argv: readonly string[], host: Host, emit: Emit): Promise<number> {
  const planned = await planWatch(intervalMs, flags, argv, host).catch((error: unknown) => asAppError(error));
  if (planned instanceof AppError) {
    emit({ kind: 'failed', error: serialiseError(planned), exitCode: EXIT.rejected });
    return EXIT.rejected;
  }
  const { plan, floor } = planned;
  const noticed = ({ evidence }: Round): void => noteExpired(evidence, emit);
  const { runWatch } = await import('./watch.ts');
  return runWatch(plan, { emit, termination: '/dev/termination-log', exitCode: EXIT.rejected, stoppedCode: EXIT.ok, noticed }, host, floor);
}

async function planWatch(
  intervalMs: number,
  flags: ReadonlyMap<string, string>,
  argv: readonly string[],
  host: Host,
): Promise<{ readonly plan: WatchPlan; readonly floor: Floor }> {
  const floor = await readFloor();
  const { values } = resolveOptions('watch', {
    flags: { 'health-port': flags.get('health-port') },
    env: Object.fromEntries(VARIABLES.map((name) => [envName(name), host.env[envName(name)]])),
    file: undefined,
    defaults: { 'health-port': 8080, 'sticky-readiness': floor.kind === 'absent' },
  });
  const check = await planCheck(argv, host);
  const asked = isTrue(host.env[envName('sticky-readiness')]);
  return {
    plan: {
      ...watchSettings({ ...values, interval: intervalMs }),
      command: 'watch',
      check: {
        ...check,
        ...(values['max-rate'] !== undefined && { maxRate: values['max-rate'] }),
        relaxations: [...check.relaxations, ...(asked ? ['--sticky-readiness'] : [])],
      },
    },
    floor,
  };
}

async function verifyOnce(argv: readonly string[], host: Host, emit: Parameters<typeof verifyAsReference>[2]): Promise<AppError | undefined> {
  try {
    return await verifyAsReference(await planCheck(argv, host), host, emit, exitCodeOfOneShot);
  } catch (error) {
    return asAppError(error);
  }
}

function exitCodeOfOneShot({ code }: AppError, host: Host): number {
  return code === 'CANCELLED' ? exitCodeOf(code, host.signalName()) : EXIT.rejected;
}

/** @throws USAGE, CONFIG_INVALID */
async function planCheck([command, name, ...rest]: readonly string[], host: Host): Promise<VerifyPlan> {
  if (command !== 'verify') throw new AppError('USAGE', `expected the command verify${command === undefined ? '' : `, got '${printable(command, 80)}'`}`);
  const method = METHODS.find((known) => known === name);
  // Unlike the command line, the agent has no default method: with none configured nothing would be checked.
  if (method === undefined) throw new AppError('USAGE', `verify needs a method: ${METHODS.join(', ')}`);
  const args = await parseVerify(method, rest);
  if (args === undefined) throw new AppError('USAGE', 'help is no verification');
  // The agent looks at git files, unless told not to.
  return planVerify(method, args, { strict: isStrict(host), ignoreGitPaths: false });
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

const GO_UNITS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Longest delay that a timer takes. */
const MAX_MS = 2 ** 31 - 1;

/** A Go duration in ms; 0 means none. @throws USAGE */
function goDurationMs(text: string): number {
  if (text === '0') return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (GO_UNITS[unit ?? ''] ?? Number.NaN), 0);
  if (text === '' || parts.map(([all]) => all).join('') !== text || ms > MAX_MS) {
    throw new AppError('USAGE', `invalid value '${printable(text, 80)}' for flag -interval: it must be a duration such as 10m`);
  }
  return ms > 0 ? Math.max(1, Math.round(ms)) : 0;
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value);
}
