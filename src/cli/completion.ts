// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { type Command, OPTION_NAMES, type Option, optionOf } from '../plan/options.ts';
import { COMMAND_NAMES, COMMANDS, OTHER_COMMANDS } from './parser.ts';

/** A script for the shell, made of the table of options: nothing is run while somebody types. @throws USAGE */
export function completionScript(argv: readonly string[]): string {
  const [shell] = argv;
  if (argv.length === 1 && shell === 'bash') return bash();
  if (argv.length === 1 && shell === 'zsh') return zsh();
  if (argv.length === 1 && shell === 'fish') return fish();
  throw new AppError('USAGE', `completion needs a shell: bash, zsh or fish${shell === undefined ? '' : `; got '${printable(argv.join(' '), 80)}'`}`, {
    hint: 'For this session: source <(model-gate completion bash), or model-gate completion fish | source.',
  });
}

/** Words after the program's name. */
const FIRST = [...COMMAND_NAMES, ...Object.keys(OTHER_COMMANDS).map((usage) => usage.split(' ')[0] ?? '')];
const SECOND: Readonly<Record<string, readonly string[]>> = {
  sign: ['key', 'certificate', 'sigstore'],
  policy: ['check', 'test'],
  completion: ['bash', 'zsh', 'fish'],
};

type Entry = { readonly name: string; readonly option: Option };

function optionsFor(command: Command): readonly Entry[] {
  return OPTION_NAMES.map((name) => ({ name, option: optionOf(name) })).filter(
    ({ option }) => option.variableOnly !== true && option.commands.includes(command),
  );
}

function bash(): string {
  const choices = OPTION_NAMES.filter((name) => optionOf(name).choices !== undefined);
  const arms = COMMAND_NAMES.map(
    (command) =>
      `    ${command}) words="${optionsFor(command)
        .map(({ name }) => `--${name}`)
        .join(' ')} --help" ;;`,
  );
  return `# bash completion for model-gate: source <(model-gate completion bash)
_model_gate() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  COMPREPLY=()
  case $prev in
${choices.map((name) => `    --${name}) COMPREPLY=($(compgen -W "${optionOf(name).choices?.join(' ')}" -- "$cur")); return ;;`).join('\n')}
${Object.entries(SECOND)
  .map(([command, words]) => `    ${command}) [ "$COMP_CWORD" -eq 2 ] && COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$cur")) && return ;;`)
  .join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="${FIRST.join(' ')} --help --version"
  else case \${COMP_WORDS[1]} in
${arms.join('\n')}
  esac; fi
  if [ "$COMP_CWORD" -eq 1 ] || [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); else COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -o filenames -F _model_gate model-gate
`;
}

function zsh(): string {
  const arms = COMMAND_NAMES.map((command) => {
    const specs = optionsFor(command).map(({ name, option }) => `      ${quote(zshOption(name, option))}`);
    return `    ${command}) _arguments -S \\\n${specs.join(' \\\n')} \\\n      '*:file:_files' ;;`;
  });
  const commands = FIRST.map((name) => quote(`${name}:${Object.entries(COMMANDS).find(([command]) => command === name)?.[1].about ?? 'more'}`));
  return `#compdef model-gate
# zsh completion for model-gate: a file _model-gate in a directory of $fpath, or source <(model-gate completion zsh)
_model_gate() {
  local -a commands=(${commands.join(' ')})
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local command=$words[2]
  if (( CURRENT == 3 )); then case $command in
${Object.entries(SECOND)
  .map(([command, words]) => `    ${command}) compadd ${words.join(' ')}; return ;;`)
  .join('\n')}
  esac; fi
  shift words; (( CURRENT-- ))
  case $command in
${arms.join('\n')}
    *) _files ;;
  esac
}
(( $+functions[compdef] )) && compdef _model_gate model-gate
`;
}

function zshOption(name: string, option: Option): string {
  const help = option.help.replace(/[[\]:\\]/g, ' ');
  const repeat = option.kind === 'list' ? '*' : '';
  if (option.kind === 'flag') return `--${name}[${help}]`;
  return `${repeat}--${name}[${help}]:${option.kind}:${option.choices === undefined ? '_files' : `(${option.choices.join(' ')})`}`;
}

function fish(): string {
  const first = FIRST.map((name) => {
    const about = Object.entries(COMMANDS).find(([command]) => command === name)?.[1].about;
    return `complete -c model-gate -n __fish_use_subcommand -a ${name}${about === undefined ? '' : ` -d ${quote(about)}`}`;
  });
  const second = Object.entries(SECOND).map(
    ([command, words]) => `complete -c model-gate -n '__fish_seen_subcommand_from ${command}' -a ${quote(words.join(' '))}`,
  );
  const options = OPTION_NAMES.map((name) => ({ name, option: optionOf(name) }))
    .filter(({ option }) => option.variableOnly !== true)
    .map(({ name, option }) => {
      const value = option.kind === 'flag' ? '' : option.choices === undefined ? ' -r' : ` -x -a ${quote(option.choices.join(' '))}`;
      return `complete -c model-gate -n '__fish_seen_subcommand_from ${option.commands.join(' ')}' -l ${name}${value} -d ${quote(option.help)}`;
    });
  return `# fish completion for model-gate: model-gate completion fish | source\n${[...first, ...second, ...options].join('\n')}\n`;
}

/** For all three shells; an apostrophe ends the quotes, stands escaped, and begins them again. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
