// SPDX-License-Identifier: Apache-2.0
import yargs, { type Options } from 'yargs';
import { type Floor, NO_FLOOR, readFloor } from '../anchors/floor.ts';
import { EMBEDDED_ROOT_DATE } from '../anchors/trustedRoot.ts';
import { AppError, EXIT } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Foreign, readForeign } from '../plan/foreign.ts';
import { type Resolved, resolveOptions, suggest } from '../plan/load.ts';
import { makePullPlan, makeVerifyPlan } from '../plan/make.ts';
import { makeDigestPlan, makeInspectPlan, makeReportPlan, makeScanPlan, makeSignPlan } from '../plan/makeTool.ts';
import { makeWatchPlan } from '../plan/makeWatch.ts';
import { type Command, envName, OPTION_NAMES, type Option, optionOf, type Values } from '../plan/options.ts';
import type { Plan, ToolPlan, WatchPlan } from '../plan/plan.ts';
import { createLog } from '../report/log.ts';
import { describePlan } from './dryRun.ts';
import { formatOf, type Host, runPlan } from './run.ts';
import { VERSION } from './version.ts';
import { failAsUsage, WORDS_ONLY } from './words.ts';

const COMMANDS = ['pull', 'verify', 'watch', 'sign', 'digest', 'inspect', 'scan', 'report'] as const;

/** Arguments after the program's name → exit code. Help, version and --dry-run go to standard output. @throws USAGE and the codes of planning */
export async function runProgram(argv: readonly string[], host: Host): Promise<number> {
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
  const log = createLog(formatOf(values['log-format']));
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
  const command = COMMANDS.find((name) => name === first);
  if (command !== undefined) return { command, positionals: rest, defaults: {} };
  if (first === undefined) throw new AppError('USAGE', `nothing to do: give a command (${COMMANDS.join(', ')}) or a source and a destination`);
  const near = /[/:.]/.test(first) ? undefined : suggest(first, COMMANDS);
  if (near !== undefined) throw new AppError('USAGE', `unknown command '${printable(first, 80)}'; did you mean ${near}?`);
  return { command: 'pull', positionals: words, defaults: { unpack: true } };
}

function refuseUnknown(names: readonly string[]): void {
  const known: readonly string[] = OPTION_NAMES;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = suggest(unknown, known);
  throw new AppError('USAGE', `unknown option --${printable(unknown, 80)}${near ? `; did you mean --${near}?` : ''}`);
}

function parser(argv: readonly string[]): ReturnType<typeof yargs> {
  let cli = yargs([...argv])
    .scriptName('model-gate')
    .usage(
      'Usage:\n  $0 pull <source> [destination] [<source> <destination> …]   download, verify, publish\n  $0 verify <path>                                            verify in place\n  $0 watch <path>                                             verify in place, again and again\n  $0 <source> <destination> …                                 the same as pull\n  $0 sign key|certificate|sigstore <path>                     sign a model\n  $0 digest <path>                                            root digest and digests of the files\n  $0 inspect <bundle>                                         what a bundle says\n  $0 policy check|test <file>                                 validate a policy, try it on cases\n  $0 scan <path>                                              formats of files, by their content\n  $0 report <file>                                            a JSON report for people (--html)',
    )
    .parserConfiguration({ ...WORDS_ONLY, 'strip-aliased': true })
    .example('$0 pull s3://models/llama/v3/ /mnt/models --public-key /keys/pub.pem', 'key')
    .example('$0 pull https://models.example.com/bert/ /mnt/models --ca /keys/ca.pem', 'certificate')
    .example('$0 verify /mnt/models --identity ci@example.com --issuer https://accounts.google.com', 'keyless')
    .example('$0 sign key /models/llama --private-key /keys/key.pem', 'publisher')
    .epilogue(
      `Every option can also stand in the environment (--public-key: ${envName('public-key')}) or in a configuration file.\nExit: 0 verified, 1 rejected, 2 wrong request, 3 source, 4 volume, 70 defect, 130/143 signal.`,
    )
    .help('help')
    .alias('help', 'h')
    .version(`model-gate ${VERSION} (embedded public-good Sigstore root of ${EMBEDDED_ROOT_DATE})`)
    .group(['help', 'version'], 'Output:')
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail(failAsUsage);
  for (const name of OPTION_NAMES) if (optionOf(name).variableOnly !== true) cli = cli.option(name, describe(optionOf(name)));
  return cli;
}

/** yargs only splits words: types, defaults and checks are resolveOptions' business, for flags, variables and file alike. */
function describe(option: Option): Options {
  const shown = option.default === undefined || option.default === false ? '' : ` [${option.default}]`;
  const choices = option.choices === undefined ? '' : ` (${option.choices.join(', ')})`;
  const common = { group: `${option.group}:`, describe: `${option.help}${choices}${shown}` };
  if (option.kind === 'flag') return { ...common, boolean: true };
  return { ...common, requiresArg: true, ...(option.kind === 'list' ? { array: true, string: true } : { string: true }) };
}
