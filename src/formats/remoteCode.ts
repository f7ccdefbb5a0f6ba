// SPDX-License-Identifier: Apache-2.0
import type { JsonValue } from './jsonMembers.ts';

/** The members that a loader may take for a request to run something. */
export const CODE_NAMES = [
  ...['auto_map', 'custom_pipelines', 'custom_pipeline', '_target_', 'trust_remote_code', '_class_name', 'class_name', 'parent_library', 'chat_template'],
  ...['idx', 'type', 'module', 'cells', 'nbformat'],
] as const;

/** What tells a loader to run code, in one object: code that comes with the model, or that a configuration names. `members`: those of `CODE_NAMES`. */
export function codeInMembers(members: ReadonlyMap<string, JsonValue>): string | undefined {
  for (const [name, value] of members) {
    const code = codeInMember(name, value);
    if (code !== undefined) return code;
  }
  return codeInShape(members);
}

/** Members that Transformers, Diffusers, PEFT, Keras and Hydra look for. */
function codeInMember(name: string, value: JsonValue): string | undefined {
  switch (name) {
    case 'auto_map':
    case 'custom_pipelines':
    case 'custom_pipeline':
    case '_target_':
      return `has ‘${name}’`;
    case 'trust_remote_code':
      return value.json() === 'false' ? undefined : `has ‘${name}’`;
    case '_class_name':
      // Diffusers: the file and the class of a pipeline of the model's own.
      return value.kind === 'list' ? 'has a pipeline of its own' : undefined;
    case 'class_name':
      return ['Lambda', '__lambda__'].includes(textOf(value) ?? '') ? 'has a Keras layer of code' : undefined;
    case 'parent_library':
      return importOutside(textOf(value), 'transformers.');
    case 'chat_template':
      return !value.isWithin && codeInTemplate(value.json()) !== undefined ? 'has a chat template that reaches for Python' : undefined;
    default:
      return undefined;
  }
}

/** Members that mean something together: notebooks, modules of Sentence Transformers, Keras' registered names. */
function codeInShape(members: ReadonlyMap<string, JsonValue>): string | undefined {
  if (members.get('cells')?.kind === 'list' && members.has('nbformat')) return 'is a notebook';
  const outside = members.has('idx') ? importOutside(textOf(members.get('type')), 'sentence_transformers.') : undefined;
  if (outside !== undefined) return outside;
  const [module, className] = [textOf(members.get('module')), textOf(members.get('class_name'))];
  return module === undefined || className === undefined || isOfKeras(module, className) ? undefined : `imports ${module.slice(0, 80)}`;
}

function importOutside(module: string | undefined, home: string): string | undefined {
  return module === undefined || module.startsWith(home) ? undefined : `imports ${module.slice(0, 80)}`;
}

function textOf(value: JsonValue | undefined): string | undefined {
  return value?.kind === 'text' ? `${value.parsed()}` : undefined;
}

/** Functions are looked up by name in any module but `builtins`, which stands for Keras' own lists of them; classes begin with a capital. */
function isOfKeras(module: string, name: string): boolean {
  if (module === 'builtins') return true;
  return /^(keras|tf_keras|tensorflow|keras_hub|keras_nlp|keras_cv)(\.|$)/.test(module) && /^([A-Z]|__)/.test(name);
}

/** A sandbox is left by Python's names with two underscores, which no template for chats needs. */
export function codeInTemplate(template: string): string | undefined {
  return /__(class|bases?|mro|subclasses|init|globals|builtins|import|dict|self|func|code|call|getattribute|getitem|reduce|reduce_ex)__|\|\s*attr\s*\(/.test(
    template,
  )
    ? 'has a template that reaches for Python'
    : undefined;
}

/** Of PyYAML, and HyperPyYAML's with which configurations call something. */
const PYTHON_TAG = /!!python\/|!<tag:yaml\.org,2002:python\//;
const CALLING_TAG = /!(new|apply|name|module):/;
/** Tags may be abbreviated, by directives at the beginning of a line (which ends with more than \n here), and written with escapes: nobody needs that. */
const TAG_DIRECTIVE = /(^|[\n\r\x85\u2028\u2029])%TAG\b/;
const ESCAPED_TAG = /![\w<!;/?:@&=+$,.~*'()#-]*%[0-9a-f]{2}/i;

/** Tags that make a loader of YAML call something and, in `configuration`, names that Hydra calls, wherever they stand. */
export function codeInYaml(text: string, configuration: boolean): string | undefined {
  if (PYTHON_TAG.test(text)) return 'has tags for Python objects';
  if (TAG_DIRECTIVE.test(text) || ESCAPED_TAG.test(text)) return 'has tags that are not written out';
  if (!configuration) return undefined;
  if (CALLING_TAG.test(text)) return 'has tags that call something';
  return /\b_target_\b/.test(unfolded(text)) ? 'has ‘_target_’' : undefined;
}

/** Without the escapes of double quotes, by which a name could look like another. */
function unfolded(text: string): string {
  return text.replace(/\\(?:\r?\n[ \t]*|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U0{4}([\da-fA-F]{4}))/g, (_, ...[two, four, eight]: (string | undefined)[]) => {
    const code = two ?? four ?? eight;
    return code === undefined ? '' : String.fromCharCode(Number.parseInt(code, 16));
  });
}
