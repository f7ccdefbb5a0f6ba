// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { identify } from '../../src/formats/identify.ts';
import { judgeFormats } from '../../src/formats/judge.ts';
import { PLAIN_FORMATS } from '../../src/plan/formats.ts';
import { tarOf } from '../support/archives.ts';
import { formatsOf, refusalsOf, u32, u64 } from './look.ts';

// Files that are loaded by somebody as something else than what they look like. Each was let through once, or might have been.

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const EVIL = "cos\nsystem\n(S'id'\ntR.";

/** Whether the customary list of plain formats lets it pass. */
async function passes(content: Buffer | string, name: string): Promise<boolean> {
  const findings = await identify(bufferSource(typeof content === 'string' ? bytes(content) : content), name);
  return judgeFormats({ allow: PLAIN_FORMATS, rules: {} }, name, findings, new Set([name])).length === 0;
}

describe('a pickle that looks like text', () => {
  it.each([
    ['begins with lines that it throws away', `Very nice model\n0${EVIL}`],
    ['counts its memo as Python allows', `Np1_0\n0${EVIL}`],
    ['has a memo index beyond all numbers', `Np99999999999999999999\n0${EVIL}`],
    ['has minus nothing for an index', `Np-0\n0${EVIL}`],
    ['writes a float as Python allows', `F1e1_0\n0${EVIL}`],
    ['hides a number behind spaces', `I${' '.repeat(5000)}1\n0${EVIL}`],
    ['hides an index behind spaces', `Np${' '.repeat(5000)}1\n0${EVIL}`],
    ['takes an index from an empty stack', `Np1\n0g${' '.repeat(5000)}1\n0${EVIL}`],
    ['piles up more values than are kept', `${'N'.repeat(1_000_100)}${'0'.repeat(1_000_100)}${EVIL}`],
    ['piles up more marks than are kept', `${'('.repeat(1_000_100)}${'1'.repeat(1_000_100)}${EVIL}`],
    ['takes more steps than are walked', `${'N0'.repeat(25_100_000)}${EVIL}`],
  ])('and %s is refused', async (_what, text) => {
    expect(await passes(text, 'notes.txt')).toBe(false);
  });

  it('resolves indices that no double tells apart', async () => {
    const [one, other] = ['99999999999999999998', '99999999999999999999'];
    const text = `Vos\np${one}\n0Vcollections\np${other}\n0g${one}\nVsystem\n\x93(Vid\ntR.`;
    expect(await refusalsOf(bytes(text), 'x.pkl')).toEqual(['PICKLE_IMPORT loading it imports os.system']);
  });
});

describe('a file that is two things', () => {
  /** A tar that begins with the name of its first member. */
  const tar = (name: string): Buffer => tarOf([{ name: bytes(name) }, { name: 'pickle', body: EVIL }]);
  const LAMBDA = bytes('\x89HDF\r\n\x1a\n{"class_name": "Lambda"}');

  /** Valid safetensors whose numbers begin at byte 512. */
  function safetensors(data: Buffer): Buffer {
    const header = JSON.stringify({ w: { dtype: 'U8', shape: [data.length], data_offsets: [0, data.length] } }).padEnd(504);
    return Buffer.concat([u64(504), bytes(header), data]);
  }

  it.each(['GIF89a', 'PAR1', '%PDF-1.7', '\x89PNG\r\n\x1a\n', 'RIFFxxxxWEBP'])('an archive whose first member is called %j', async (name) => {
    expect(await formatsOf(tar(name))).toContain('tar');
    expect(await refusalsOf(tar(name))).toContainEqual(expect.stringMatching(/^PICKLE_IMPORT .*os\.system/));
  });

  it.each([512, 1024, 8192])('weights and a model of Keras at byte %i', async (at) => {
    const file = safetensors(Buffer.concat([Buffer.alloc(at - 512), LAMBDA]));
    expect(await formatsOf(file, 'model.safetensors')).toEqual(['safetensors', 'hdf5', 'remote-code']);
  });

  it('weights and an archive that says it lies on another disk', async () => {
    const entry = Buffer.concat([bytes('PK\x01\x02'), Buffer.alloc(42)]);
    const end = Buffer.concat([bytes('PK\x05\x06\x01\0\x01\0\x01\0\x01\0'), u32(entry.length), u32(0), bytes('\0\0')]);
    expect(await refusalsOf(safetensors(Buffer.concat([entry, end])))).toContainEqual(expect.stringContaining('stands behind something else'));
  });

  it('weights whose header is a pickle', async () => {
    const header = `${'{"w":{"dtype":"U8","shape":[24],"data_offsets":[0,24]}'.padEnd(84)}\n}`;
    expect(header).toHaveLength(86);
    expect(await passes(Buffer.concat([u64(86), bytes(header), bytes(`0${EVIL}N.`)]), 'model.safetensors')).toBe(false);
  });

  it('not weights in which four letters stand by chance', async () => {
    expect(await refusalsOf(safetensors(Buffer.concat([bytes('PK\x05\x06\x07'), Buffer.alloc(60)])))).toEqual([]);
  });

  it('a member of an archive that is written outside', async () => {
    expect(await refusalsOf(tar('../../etc/cron.d/x'))).toContainEqual(expect.stringContaining('written outside'));
  });
});

describe('code that a configuration asks for', () => {
  it.each([
    ['config.json', { auto_map: { AutoModel: 'modeling.Evil' } }],
    ['tokenizer_config.json', { auto_map: { AutoTokenizer: ['tokenization.Evil', null] } }],
    ['model_index.json', { _class_name: ['pipeline', 'Evil'] }],
    ['model_index.json', { custom_pipeline: 'somebody/pipeline' }],
    ['modules.json', [{ idx: 0, name: '0', path: '', type: 'evil.Evil' }]],
    ['adapter_config.json', { auto_mapping: { parent_library: 'evil.module' } }],
    ['config.json', { class_name: 'function', module: 'os', config: 'system' }],
    ['config.json', { class_name: 'get_file', module: 'keras.utils', config: {} }],
    ['config.json', { head: { _target_: 'os.system' } }],
    ['tokenizer_config.json', { chat_template: "{{ ''.__class__.__mro__ }}" }],
    ['tokenizer_config.json', { chat_template: [{ name: 'default', template: "{{ x|attr('y') }}" }] }],
    ['train.ipynb', { nbformat: 4, cells: [] }],
  ])('in %s: %j', async (name, value) => {
    expect(await formatsOf(bytes(JSON.stringify(value)), name)).toEqual(['json', 'remote-code']);
  });

  it.each([
    ['config.yaml', "a: !!python/object/apply:os.system ['id']\n"],
    ['config.yaml', "a: !<tag:yaml.org,2002:python/object/apply:os.system> ['id']\n"],
    ['hyperparams.yaml', 'model: !new:evil.Model\n'],
    ['hydra.yml', 'model:\n  _target_: os.system\n'],
    ['chat_template.jinja', '{{ cycler.__init__.__globals__.os }}'],
  ])('in %s: %j', async (name, text) => {
    expect(await formatsOf(bytes(text), name)).toEqual(['text', 'remote-code']);
  });

  it.each([
    ['modules.json', '[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"}]'],
    ['config.json', '{"module":"keras.layers","class_name":"Dense","config":{"activation":{"module":"builtins","class_name":"function","config":"relu"}}}'],
    ['tokenizer_config.json', '{"chat_template":"{% for message in messages %}{{ message[\'content\'] | trim }}{% endfor %}"}'],
    ['model.safetensors.index.json', '{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"sub/x.safetensors"}}'],
    ['config.yaml', 'model:\n  target: x # not !new\n'],
    ['README.md', '# Use\n\n```yaml\na: !!python/object:x.Y\n```\n'],
  ])('and none in a usual %s', async (name, text) => {
    expect(await passes(text, name)).toBe(true);
  });

  it.each(['../../other/model.safetensors', '/etc/passwd', 'C:\\x', ''])('nor may an index name %j', async (shard) => {
    expect(await refusalsOf(bytes(JSON.stringify({ weight_map: { a: shard } })), 'model.safetensors.index.json')).toEqual([
      'FORMAT_MALFORMED json: takes data from outside the model',
    ]);
  });

  it('in the chat template of GGUF', async () => {
    const text = (value: string): Buffer => Buffer.concat([u64(value.length), bytes(value)]);
    const gguf = (template: string): Buffer =>
      Buffer.concat([bytes('GGUF'), u32(3), u64(0), u64(1), text('tokenizer.chat_template'), u32(8), text(template), Buffer.alloc(64)]);
    expect(await formatsOf(gguf("{{ ''.__class__ }}"), 'm.gguf')).toEqual(['gguf', 'remote-code']);
    expect(await formatsOf(gguf('{{ messages }}'), 'm.gguf')).toEqual(['gguf']);
  });

  it('in the operations of a TensorFlow graph', async () => {
    expect(await formatsOf(bytes('\x08\x01\x12\x0c\x0a\x0a\x12\x08ReadFile'), 'saved_model.pb')).toEqual(['tensorflow', 'remote-code']);
    expect(await formatsOf(bytes('\x08\x01\x12\x08\x0a\x06\x12\x04Relu'), 'saved_model.pb')).toEqual(['tensorflow']);
  });

  it('in text that is a program by its name', async () => {
    expect(await formatsOf(bytes('rm -rf /\n'), 'setup.sh')).toEqual(['script']);
    expect(await formatsOf(bytes("import os; os.system('id')\n"), 'x.pth')).toEqual(['python']);
  });
});

describe('a file made to keep the judge busy', () => {
  it.each([
    ['quotes that are escaped for ever', 'config.json', `{"a": NaN, "${'\\"'.repeat(1_000_000)}`],
    ['the same in a header of tensors', 'm.safetensors', `${u64(2_000_002).toString('latin1')}{"${'\\"'.repeat(1_000_000)}`],
    ['empty lines', 'notes.txt', '\n'.repeat(1_000_000)],
    ['fences that do not end', 'README.md', '```\n~~~\n'.repeat(1).concat('x\n'.repeat(300_000))],
  ])('with %s is judged at once', async (_what, name, text) => {
    const start = performance.now();
    await passes(text, name);
    // Quadratic time would be minutes.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});
