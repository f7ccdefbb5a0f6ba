// SPDX-License-Identifier: Apache-2.0
import yargs, { type Options } from 'yargs';
import { EMBEDDED_ROOT_DATE } from '../anchors/trustedRoot.ts';
import { type Command, envName, OPTION_NAMES, type Option, optionOf } from '../plan/options.ts';
import { VERSION } from './version.ts';
import { failAsUsage, WORDS_ONLY } from './words.ts';

type Words = { readonly usage: readonly string[]; readonly about: string; readonly examples?: readonly string[] };

/** What --help says of each command, before its options. */
export const COMMANDS: Readonly<Record<Command, Words>> = {
  pull: {
    usage: ['<source> [destination]', '<source> <destination> <source> <destination> …'],
    about: 'download, verify, publish',
    examples: [
      's3://models/llama/v3/ /mnt/models --public-key /keys/pub.pem',
      'https://models.example.com/bert/ /mnt/models --ca /keys/ca.pem',
      'hf://owner/name@main /mnt/models --identity ci@example.com --issuer https://accounts.google.com',
    ],
  },
  verify: { usage: ['<path>'], about: 'verify a model in place', examples: ['/mnt/models --public-key /keys/pub.pem'] },
  watch: { usage: ['<path>'], about: 'verify in place, again and again', examples: ['/mnt/models --public-key /keys/pub.pem --interval 10m'] },
  sign: {
    usage: ['key <path>', 'certificate <path>', 'sigstore <path>'],
    about: 'sign a model: with a key, a certificate, or keyless',
    examples: ['key /models/llama --private-key /keys/key.pem'],
  },
  digest: { usage: ['<path>'], about: 'root digest of a model, and the digests of its files' },
  inspect: { usage: ['<bundle>'], about: 'what a bundle says' },
  scan: { usage: ['<path>'], about: 'formats of files, by their content' },
  report: { usage: ['<file>'], about: 'a JSON report for people (--html: as a page)' },
};

export const COMMAND_NAMES = Object.keys(COMMANDS) as readonly Command[];

/** Commands that have no options of the table. */
export const OTHER_COMMANDS: Readonly<Record<string, string>> = {
  'policy check|test <file>': 'validate a policy, try it on cases',
  'completion bash|zsh|fish': 'print a completion script for a shell',
};

/** yargs, told of every option; its help shows those of the command in argv, or without one the commands. */
export function parser(argv: readonly string[]): ReturnType<typeof yargs> {
  const command = COMMAND_NAMES.find((name) => argv.includes(name));
  let cli = yargs([...argv])
    .scriptName('model-gate')
    .usage(command === undefined ? overview() : usageOf(command))
    .parserConfiguration({ ...WORDS_ONLY, 'strip-aliased': true })
    .epilogue(command === undefined ? 'model-gate COMMAND --help shows the options of a command.' : EPILOGUE)
    .help('help')
    .alias('help', 'h')
    .version(`model-gate ${VERSION} (embedded public-good Sigstore root of ${EMBEDDED_ROOT_DATE})`)
    .group(['help', 'version'], command === undefined ? 'Options:' : 'Output:')
    .updateStrings({ 'Not enough arguments following: %s': '--%s needs a value' })
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail(failAsUsage);
  for (const name of OPTION_NAMES) {
    const option = optionOf(name);
    // Options of other commands stay known: what is said about them beats `unknown option`.
    if (option.variableOnly !== true) cli = cli.option(name, { ...describe(option), hidden: command === undefined || !option.commands.includes(command) });
  }
  return cli;
}

const EPILOGUE = `Every option can also stand in the environment (--public-key: ${envName('public-key')}) or in a configuration
file (--config). Exit: 0 done, 1 rejected, 2 wrong request, 3 source, 4 volume, 70 defect, 130/143 signal.`;

function overview(): string {
  const rows = [
    ...COMMAND_NAMES.map((name) => [`${name} ${name === 'sign' ? 'key|certificate|sigstore <path>' : COMMANDS[name].usage[0]}`, COMMANDS[name].about]),
    ...Object.entries(OTHER_COMMANDS),
    ['<source> <destination> …', 'as pull, the way KServe calls; unpacks archives'],
  ];
  return `Lets a model server start only if the model is the one its publisher signed.

Usage:
${rows.map(([usage = '', about = '']) => `  $0 ${usage}`.padEnd(42) + about).join('\n')}`;
}

function usageOf(command: Command): string {
  const { usage, about, examples = [] } = COMMANDS[command];
  const shown = examples.length === 0 ? '' : `\n\nExamples:\n${examples.map((words) => `  $0 ${command} ${words}`).join('\n')}`;
  return `model-gate ${command}: ${about}\n\nUsage:\n${usage.map((words) => `  $0 ${command} ${words} [options]`).join('\n')}${shown}`;
}

/** yargs only splits words: types, defaults and checks are resolveOptions' business, for flags, variables and file alike. */
function describe(option: Option): Options {
  const shown = option.default === undefined || option.default === false ? '' : ` [${option.default}]`;
  const choices = option.choices === undefined ? '' : ` (${option.choices.join(', ')})`;
  const common = { group: `${option.group}:`, describe: `${option.help}${choices}${shown}` };
  if (option.kind === 'flag') return { ...common, boolean: true };
  return { ...common, requiresArg: true, ...(option.kind === 'list' ? { array: true, string: true } : { string: true }) };
}
