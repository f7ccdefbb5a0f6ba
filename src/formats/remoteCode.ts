// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject } from './json.ts';

/** What tells a loader to run code: that comes with the model, or that a configuration names. Undefined when nothing does. */
export function codeInJson(root: unknown): string | undefined {
  const open: unknown[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    // A vocabulary has hundred thousands of members: no list is made of them, and those with nothing inside are not kept for later.
    if (Array.isArray(value)) {
      for (const item of value) if (holdsMore(item)) open.push(item);
    } else if (isObject(value)) {
      for (const key in value) {
        const member = value[key];
        const code = codeInMember(key, member);
        if (code !== undefined) return code;
        if (holdsMore(member)) open.push(member);
      }
      const code = codeInShape(value);
      if (code !== undefined) return code;
    }
  }
  return undefined;
}

function holdsMore(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Members that Transformers, Diffusers, PEFT, Keras and Hydra look for. */
function codeInMember(key: string, member: unknown): string | undefined {
  if (key === 'auto_map' || key === 'custom_pipelines' || key === 'custom_pipeline' || key === '_target_') return `has ‘${key}’`;
  if (key === 'trust_remote_code' && member !== false) return `has ‘${key}’`;
  // Diffusers: the file and the class of a pipeline of the model's own.
  if (key === '_class_name' && Array.isArray(member)) return 'has a pipeline of its own';
  if (key === 'class_name' && (member === 'Lambda' || member === '__lambda__')) return 'has a Keras layer of code';
  if (key === 'parent_library' && typeof member === 'string' && !member.startsWith('transformers.')) return `imports ${member.slice(0, 80)}`;
  if (key === 'chat_template' && codeInTemplate(JSON.stringify(member) ?? '') !== undefined) return 'has a chat template that reaches for Python';
  return undefined;
}

/** Members that mean something together: notebooks, modules of Sentence Transformers, Keras' registered names. */
function codeInShape(object: JsonObject): string | undefined {
  const { idx, type, module, class_name: className, cells, nbformat } = object;
  if (Array.isArray(cells) && nbformat !== undefined) return 'is a notebook';
  if (idx !== undefined && typeof type === 'string' && !type.startsWith('sentence_transformers.')) return `imports ${type.slice(0, 80)}`;
  if (typeof module === 'string' && typeof className === 'string' && !isOfKeras(module, className)) return `imports ${module.slice(0, 80)}`;
  return undefined;
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

/** Tags that make a loader of YAML call something (PyYAML, HyperPyYAML) and, in `configuration`, names that Hydra calls. */
export function codeInYaml(text: string, configuration: boolean): string | undefined {
  if (/(^|[\s:[{,-])(!!python\/|!<tag:yaml\.org,2002:python\/)/.test(text) || /^%TAG\s.*python/m.test(text)) return 'has tags for Python objects';
  if (!configuration) return undefined;
  if (/(^|[\s:[{,-])!(new|apply|name|module):/.test(text)) return 'has tags that call something';
  return /(^|[\s{,])["']?_target_["']?\s*:/.test(text) ? 'has ‘_target_’' : undefined;
}
