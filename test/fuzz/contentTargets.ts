// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { crc32, deflateSync, gzipSync } from 'node:zlib';
import { readArchive } from '../../src/archive/archive.ts';
import { redactUri } from '../../src/base/redact.ts';
import { readConfigFile } from '../../src/cli/config.ts';
import { bufferSource } from '../../src/formats/byteSource.ts';
import { FORMATS } from '../../src/formats/finding.ts';
import { identify } from '../../src/formats/identify.ts';
import { judgeFormats } from '../../src/formats/judge.ts';
import { createClaims } from '../../src/pipeline/members.ts';
import { resolveOptions } from '../../src/plan/load.ts';
import { makePullPlan, materialRef } from '../../src/plan/make.ts';
import { parseSourceUri } from '../../src/plan/uri.ts';
import { fnmatch } from '../../src/policy/fnmatch.ts';
import { matchesName } from '../../src/policy/glob.ts';
import { compilePattern, PatternError } from '../../src/policy/pattern.ts';
import { readPolicy } from '../../src/policy/read.ts';
import { makeReport } from '../../src/report/document.ts';
import { renderHtml } from '../../src/report/html.ts';
import { readReport } from '../../src/report/read.ts';
import { readNetrc } from '../../src/source/netrc.ts';
import { field, u16, u32, u64 } from '../formats/look.ts';
import { paxOf, tarOf, tgzOf, zipOf } from '../support/archives.ts';
import { KEYS, type Scratch, SMALL_MODEL, signed, writeTree } from '../support/model.ts';
import { pullHere } from '../support/run.ts';
import { must, type Target } from './target.ts';

const LIMITS = { entries: 1000, unpackedBytes: 64 * 1024 * 1024, ratio: 100 };

/** What is read of models, and what people write. `tmp`: for readers that take a path. */
export async function contentTargets(tmp: Scratch): Promise<readonly Target[]> {
  const path = tmp.at('input');
  const written = (input: Buffer): string => {
    writeFileSync(path, input);
    return path;
  };
  return [
    format('pickle', 'model.pkl', [PICKLE, Buffer.concat([PICKLE, PICKLE]), Buffer.from('cos\nsystem\n(S"id"\ntR.'), Buffer.from('\x80\x02}q\x00.', 'latin1')]),
    format('safetensors', 'model.safetensors', [safetensors({ a: tensor(0, 16), __metadata__: { x: 'y' } }), safetensors({})]),
    format('GGUF', 'model.gguf', [gguf()]),
    format('ONNX', 'model.onnx', [onnx(), field(7, field(5, field(13, Buffer.concat([field(1, 'location'), field(2, 'w')]))))]),
    format('NumPy', 'a.npy', [npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8), npy("{'descr': '|O', 'shape': (1,), }", 8)]),
    format('joblib', 'model.joblib', [JOBLIB]),
    format('JSON', 'config.json', [Buffer.from('{"a":[1,-2.5e3,"\\u0061"],"auto_map":{"b":null},"weight_map":{"c":"d.safetensors"},"e":NaN}')]),
    format('YAML', 'config.yaml', [Buffer.from('a: 1\nb: !!python/name:os.system\nc: "_t\\x61rget_"\n%TAG ! x\n')]),
    format('formats in archives', 'model.bin', [
      zipOf([{ name: 'a/data.pkl', body: PICKLE }]),
      tarOf([{ name: 'x.npy', body: PICKLE }]),
      gzipSync(PICKLE),
      deflateSync(PICKLE),
    ]),
    archive('tar', tmp, [
      tarOf([
        { name: 'a', body: 'x' },
        { name: 'd/', type: '5' },
        { name: 'd/b', body: 'y'.repeat(700) },
      ]),
      tgzOf([paxOf({ path: 'long', size: '1' }), { name: 'a', body: 'x' }]),
      tarOf([{ name: 'link', type: '2', link: '../x' }]),
    ]),
    archive('zip', tmp, [
      zipOf([
        { name: 'a', body: 'x' },
        { name: 'd/b', body: 'y'.repeat(700) },
      ]),
    ]),
    {
      name: 'netrc',
      seeds: [Buffer.from('machine h login l password "p w"\n# comment\nmacdef init\ncd /\n\ndefault login a password b\n')],
      async run(input) {
        const login = await readNetrc(written(input), 'h');
        must(login === undefined || !/[\r\n\0]/.test(login), 'a login could end a header');
      },
    },
    {
      name: 'configuration file',
      seeds: [Buffer.from('public-key: [a, b]\nconnections: 4\ntimeout: 10m\n'), Buffer.from('{"header": ["a: b"], "max-file-size": "1GiB"}')],
      async run(input) {
        const file = await readConfigFile(written(input));
        const { values } = resolveOptions('pull', { flags: { 'public-key': [KEYS.publicPem] }, env: {}, file });
        makePullPlan(['/models/a', '/mnt/models'], values);
        must(!('polluted' in {}), 'prototypes are polluted');
      },
    },
    {
      name: 'policy',
      seeds: [
        Buffer.from(POLICY),
        ...['two-people.yaml', 'floor.yaml'].map((name) => readFileSync(resolve(import.meta.dirname, '../../examples/policies', name))),
      ],
      run(input) {
        readPolicy(input, 'input', 'policy');
        must(!('polluted' in {}), 'prototypes are polluted');
      },
    },
    {
      name: 'URI',
      seeds: [
        's3://bucket/k?versionId=1',
        'https://u:pw@h:80/a/b?sig=x#y',
        'hf://o/n@refs/pr/1/f',
        'pvc://c/p',
        'file:///x',
        'oms+https://h/#sha256=00',
        '/p',
      ].map((text) => Buffer.from(text)),
      run(input) {
        const text = input.toString('utf8');
        must(
          ['\n', '\r', '\u001b'].every((letter) => !redactUri(text).includes(letter)),
          'a URI breaks the line it is shown in',
        );
        const spec = parseSourceUri(text, '/mnt/pvc');
        if (spec.kind === 'http') must(spec.url.username === '' && spec.url.password === '', 'credentials are kept in a URL');
        if (spec.kind === 'file' && spec.claim !== undefined) must(!spec.path.split('/').includes('..'), 'a claim is left');
        materialRef(text);
      },
    },
    {
      name: 'patterns',
      seeds: [
        '^https://github\\.com/o/[^/]+/x@refs/(heads|tags)/.*$\nhttps://github.com/o/r/x@refs/heads/main',
        '(a|b)*c{2,5}\nababcc',
        '**/*.bin\na/b/c.bin',
        '[!a-c]*?x\ndddx',
      ].map((text) => Buffer.from(text)),
      run(input) {
        const [pattern = '', ...rest] = input.toString('utf8').split('\n');
        const text = rest.join('\n').slice(0, 4096);
        matchesName(pattern, text);
        fnmatch(pattern)(text);
        let matches: (text: string) => boolean;
        try {
          matches = compilePattern(pattern);
        } catch (error) {
          if (error instanceof PatternError) return;
          throw error;
        }
        matches(text);
        matches(`${text}${'a'.repeat(4000 - Math.min(4000, text.length))}`);
      },
    },
    {
      name: 'report',
      seeds: await reports(tmp),
      run(input) {
        const page = renderHtml(readReport(input, 'input'), { sha256: createHash('sha256').update(input).digest('hex') });
        must(
          !/<(?:script|img|iframe|svg|object|embed|link|base|form)[\s>]/i.test(page.replace(/<svg[\s\S]*?<\/svg>/g, '')),
          'a report puts elements into the page',
        );
        must(!/\son[a-z]+=/i.test(page.replace(/>[^<]*</g, '><')), 'a report puts handlers into the page');
      },
    },
  ];
}

/** A wrapper of joblib's, the eight bytes of its array, and what follows them. */
const JOBLIB = Buffer.from(
  '\x80\x04\x95\x0a\0\0\0\0\0\0\0U\x01xU\x01y\x86}\x940cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(U\x05shapeK\x01\x85U\x05dtypecnumpy\ndtype\nU\x02f8\x89\x88\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbub01234567.',
  'latin1',
);

/** A format is judged: never an exception, always a verdict. */
function format(name: string, file: string, seeds: readonly Buffer[]): Target {
  return {
    name,
    seeds,
    async run(input) {
      const findings = await identify(bufferSource(input), file);
      must(findings.length > 0 && findings.length < 20_000, 'a file is nothing, or too much');
      judgeFormats({ allow: FORMATS, rules: {} }, file, findings, new Set([file]));
    },
  };
}

function archive(kind: 'tar' | 'zip', tmp: Scratch, seeds: readonly Buffer[]): Target {
  return {
    name: `${kind} to unpack`,
    seeds,
    async run(input) {
      const path = tmp.at(`input.${kind}`);
      writeFileSync(path, input);
      await using file = await open(path);
      const claim = createClaims();
      let bytes = 0;
      for await (const member of readArchive(file, kind, LIMITS, new AbortController().signal)) {
        const name = claim(member);
        if (name === undefined) continue;
        must(!name.startsWith('/') && !name.split('/').includes('..'), 'a member leads out of the model');
        let length = 0;
        for await (const chunk of member.read()) length += chunk.length;
        must(length === member.sizeBytes, 'a member has another length than it said');
        bytes += length;
      }
      must(bytes <= LIMITS.unpackedBytes, 'more is unpacked than allowed');
    },
  };
}

const PICKLE = Buffer.from(
  '80049541000000000000007d94288c0161944b018c016294473ff80000000000008c0163945d9428680068008c016494890065758c0c636f6c6c656374696f6e73948c0b4f726465726564446963749493942952942e',
  'hex',
);

const tensor = (start: number, end: number): object => ({ dtype: 'F32', shape: [(end - start) / 4], data_offsets: [start, end] });

function safetensors(header: object): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  return Buffer.concat([u64(text.length), text, Buffer.alloc('a' in header ? 16 : 0)]);
}

function gguf(): Buffer {
  const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
  const pair = Buffer.concat([text('tokens'), u32(9), u32(8), u64(2), text('a'), text('b')]);
  return Buffer.concat([Buffer.from('GGUF'), u32(3), u64(1), u64(1), pair, text('w'), u32(1), u64(4), u32(0), u64(0), Buffer.alloc(64)]);
}

function onnx(): Buffer {
  return Buffer.concat([
    field(1, 8),
    field(2, 'maker'),
    field(7, Buffer.concat([field(2, 'graph'), field(5, Buffer.concat([field(1, 4), field(9, Buffer.alloc(16))]))])),
  ]);
}

function npy(header: string, dataBytes: number): Buffer {
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), u16(header.length), Buffer.from(header), Buffer.alloc(dataBytes, crc32(header) % 256)]);
}

const POLICY = `apiVersion: model-gate/policy/v1
mode: enforce
signers:
  a:
    key: |
      ${KEYS.publicPem.trim().replaceAll('\n', '\n      ')}
  b:
    sigstore: {identity: 'x@example.com', issuer: 'https://issuer.example'}
rules:
  - name: one
    source: ['s3://models/**', 'https://h/*', '*://**']
    require: {atLeast: 2, of: [a, b]}
    formats: {allow: [safetensors, json]}
`;

/** As the program writes them: of a model that passed, and of one that did not. */
async function reports(tmp: Scratch): Promise<readonly Buffer[]> {
  const model = tmp.at('model');
  const seeds: Buffer[] = [];
  for (const files of [signed(SMALL_MODEL), { ...signed(SMALL_MODEL), 'config.json': 'tampered' }]) {
    writeTree(model, files);
    const { evidence, error } = await pullHere([model, tmp.at(`to-${seeds.length}`)]);
    const failure = error === undefined ? undefined : { code: error.code, message: error.message, hint: error.hint, context: error.context };
    seeds.push(Buffer.from(JSON.stringify(makeReport(evidence, { name: 'model-gate', version: '1.2.3', embeddedRootDate: '2026-10-01' }, 'pull', failure))));
  }
  return seeds;
}
