// SPDX-License-Identifier: Apache-2.0
import { type Floor, NO_FLOOR, readFloor } from '../anchors/floor.ts';
import { AppError, CATALOGUE, EXIT } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Foreign, readForeign } from '../plan/foreign.ts';
import { type Resolved, resolveOptions, suggest } from '../plan/load.ts';
import { makePullPlan, makeVerifyPlan } from '../plan/make.ts';
import { makeDigestPlan, makeInspectPlan, makeReportPlan, makeScanPlan, makeSignPlan } from '../plan/makeTool.ts';
import { makeWatchPlan } from '../plan/makeWatch.ts';
import { type Command, envName, OPTION_NAMES, type Values } from '../plan/options.ts';
import type { Plan, ToolPlan, WatchPlan } from '../plan/plan.ts';
import { describePlan } from './dryRun.ts';
import { COMMAND_NAMES, OTHER_COMMANDS, parser } from './parser.ts';
import { type Host, openLog, runPlan } from './run.ts';

/** Arguments after the program's name → exit code. Help, version and --dry-run go to standard output. @throws USAGE and the codes of planning */
export async function runProgram(argv: readonly string[], host: Host): Promise<number> {
  try {
    return await run(argv, host);
  } catch (error) {
    throw withOwnHelp(error, argv);
  }
}

/** Help of the command that was meant, where nothing better is known. */
function withOwnHelp(error: unknown, argv: readonly string[]): unknown {
  const command = COMMAND_NAMES.find((name) => name === argv[0]);
  if (command === undefined || !(error instanceof AppError) || error.code !== 'USAGE' || error.hint !== CATALOGUE.USAGE.hint) return error;
  return new AppError('USAGE', error.message, { hint: `See model-gate ${command} --help.`, context: error.context, cause: error });
}

async function run(argv: readonly string[], host: Host): Promise<number> {
  if (argv[0] === 'completion') {
    process.stdout.write((await import('./completion.ts')).completionScript(argv.slice(1)));
    return EXIT.ok;
  }
  if (argv[0] === 'policy') return (await import('./policy.ts')).runPolicy(argv.slice(1));
  const args = await parser(argv).parseAsync();
  if (args['help'] === true || args['version'] === true) return EXIT.ok;
  const { _: words, $0: _program, help: _help, version: _version, ...flags } = args;
  refuseUnknown(Object.keys(flags));
  const { command, positionals, defaults } = commandOf(words.map(String));
  const foreign = readForeign(command, host.env);
  const resolved = await resolve(command, flags, foreign.env, defaults);
  const floor = command === 'pull' || command === 'verify' || command === 'watch' ? await readFloor() : NO_FLOOR;
  const plan = makePlan(command, positionals, resolved, foreign, floor.kind);
  if (resolved.values['dry-run']) {
    // A variable could otherwise end the gate with exit 0 before it has looked at anything.
    if (floor.kind === 'present') throw new AppError('POLICY_DENIED', '--dry-run ends without a check, which the floor policy does not tolerate');
    process.stdout.write(describePlan(plan, resolved, foreign));
    return EXIT.ok;
  }
  if (plan.command === 'watch') return watchAsPlanned(plan, resolved.values, { ...host, env: foreign.env }, floor);
  return isGate(plan) ? runPlan(plan, resolved.values, { ...host, env: foreign.env }, floor) : (await import('./tool.ts')).runTool(plan, resolved.values, host);
}

async function watchAsPlanned(plan: WatchPlan, values: Values, host: Host, floor: Floor): Promise<number> {
  const log = openLog(values);
  try {
    const { runWatch } = await import('./watch.ts');
    const outlets = {
      emit: log.emit,
      termination: values['termination-log'] ?? '/dev/termination-log',
      ...(values.report !== undefined && { report: values.report }),
    };
    return await runWatch(plan, outlets, host, floor);
  } finally {
    log.close();
  }
}

function isGate(plan: Plan | ToolPlan): plan is Plan {
  return plan.command === 'pull' || plan.command === 'verify';
}

async function resolve(command: Command, flags: Readonly<Record<string, unknown>>, env: Host['env'], defaults: Partial<Values>): Promise<Resolved> {
  const configPath = flags['config'] ?? (env[envName('config')] || undefined);
  if (configPath !== undefined && typeof configPath !== 'string') throw new AppError('USAGE', '--config may be given only once');
  const file = configPath === undefined ? undefined : await (await import('./config.ts')).readConfigFile(configPath);
  return resolveOptions(command, { flags, env, file, defaults });
}

function makePlan(command: Command, positionals: readonly string[], { values }: Resolved, foreign: Foreign, floor: Floor['kind']): Plan | WatchPlan | ToolPlan {
  switch (command) {
    case 'pull':
      return makePullPlan(positionals, values, foreign, floor);
    case 'verify':
      return makeVerifyPlan(positionals, values, foreign, floor);
    case 'watch':
      return makeWatchPlan(positionals, values, foreign, floor);
    case 'sign':
      return makeSignPlan(positionals, values);
    case 'digest':
      return makeDigestPlan(positionals, values);
    case 'inspect':
      return makeInspectPlan(positionals, values);
    case 'scan':
      return makeScanPlan(positionals, values);
    case 'report':
      return makeReportPlan(positionals, values);
  }
}

type Call = { readonly command: Command; readonly positionals: readonly string[]; readonly defaults: Partial<Values> };

/** Without a command, pairs of source and destination mean pull: KServe calls storage initializers like that, and expects archives to be unpacked. */
function commandOf(words: readonly string[]): Call {
  const [first, ...rest] = words;
  const known = [...COMMAND_NAMES, ...Object.keys(OTHER_COMMANDS).map((usage) => usage.split(' ')[0] ?? '')];
  const command = COMMAND_NAMES.find((name) => name === first);
  if (command !== undefined) return { command, positionals: rest, defaults: {} };
  if (first === undefined) throw new AppError('USAGE', `nothing to do: give a command (${known.join(', ')}) or a source and a destination`);
  if (/[/:.]/.test(first)) return { command: 'pull', positionals: words, defaults: { unpack: true } };
  const near = suggest(first, known);
  const other = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
  // A lone word could name a directory; then it has to look like one, or a destination has to follow.
  if (near !== undefined || rest.length === 0) throw new AppError('USAGE', `unknown command '${printable(first, 80)}'; ${other}`);
  return { command: 'pull', positionals: words, defaults: { unpack: true } };
}

function refuseUnknown(names: readonly string[]): void {
  const known: readonly string[] = OPTION_NAMES;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = suggest(unknown, known);
  throw new AppError('USAGE', `unknown option --${printable(unknown, 80)}${near ? `; did you mean --${near}?` : ''}`);
}
