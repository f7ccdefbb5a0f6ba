// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMAND_NAMES } from '../../src/cli/parser.ts';
import { runProgram } from '../../src/cli/program.ts';
import { OPTION_NAMES, optionOf } from '../../src/plan/options.ts';
import { KEYS, type Scratch, SMALL_MODEL, scratch, signed, treeFrom, treeOf, writeTree } from '../support/model.ts';
import { pullHere, runGate, startGate, until } from '../support/run.ts';
import { type ModelServer, serveModel } from '../support/servers.ts';
import { makeKeys, rootDigestOf } from '../support/signer.ts';

const files = signed(SMALL_MODEL);
const env = { MODEL_GATE_PUBLIC_KEY: KEYS.publicPem };

let tmp: Scratch;
let server: ModelServer;
beforeAll(async () => {
  tmp = scratch();
  server = await serveModel(files);
  writeTree(tmp.path, { 'keys/pub.pem': KEYS.publicPem, 'keys/other.pem': makeKeys().publicPem });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  tmp[Symbol.dispose]();
});

let count = 0;
const fresh = (): string => tmp.at(`t${++count}`, 'models');

/** What the program throws before it does anything; nothing of that writes. */
const planning = (argv: readonly string[], environment: Record<string, string>): Promise<unknown> =>
  runProgram(argv, { env: environment, signal: new AbortController().signal, signalName: () => undefined }).catch((error: unknown) => error);

describe('called like a KServe storage initializer', () => {
  test('with bare pairs and nothing but the environment, it pulls all of them', async () => {
    const [a, b] = [fresh(), fresh()];
    const ended = await runGate([server.url, a, server.url, b], { env });
    expect(ended).toMatchObject({ code: 0, stdout: '', termination: { verdict: 'verified', fileCount: 8, models: 2 } });
    for (const to of [a, b]) expect(treeOf(to)).toEqual(treeFrom(files));
  });

  test('with keys as several PEM blocks in one variable, any of them will do', async () => {
    const ended = await runGate([server.url, fresh()], { env: { MODEL_GATE_PUBLIC_KEY: `${makeKeys().publicPem}\n${KEYS.publicPem}` } });
    expect(ended.code).toBe(0);
  });
});

describe('exit codes', () => {
  test('1: another key', async () => {
    const ended = await runGate(['pull', server.url, fresh(), '--public-key', tmp.at('keys', 'other.pem')]);
    expect(ended).toMatchObject({ code: 1, termination: { verdict: 'refused', reason: 'SIGNATURE_INVALID', exitCode: 1 }, report: { verdict: 'refused' } });
    expect(ended.stderr).toMatch(/BLOCKED SIGNATURE_INVALID \(exit 1\): .*\n(.*found: .*\n)?.*what now: /);
  });

  test('2: no trust, never a default', async () => {
    const to = fresh();
    const ended = await runGate(['pull', server.url, to]);
    expect(ended).toMatchObject({ code: 2, termination: { reason: 'TRUST_METHOD_MISSING', exitCode: 2 } });
    expect(ended.stderr).toContain('--public-key');
    expect(existsSync(to)).toBe(false);
    for (const empty of ['', ' ', '\n'])
      expect(await planning(['pull', server.url, to], { MODEL_GATE_PUBLIC_KEY: empty })).toMatchObject({ code: 'TRUST_METHOD_MISSING' });
  });

  test('2: two ways to trust at once, a key that is none, a key that is not there', async () => {
    expect(await planning(['pull', server.url, fresh(), '--identity', 'a@b', '--issuer', 'https://i'], env)).toMatchObject({ code: 'PLAN_CONTRADICTION' });
    for (const key of [tmp.at('absent.pem'), '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'])
      expect(await pullHere([server.url, fresh()], { flags: { 'public-key': [key] } })).toMatchObject({ reason: 'ANCHORS_INVALID', exitCode: 2 });
  });

  test('2: unknown flags, variables, commands and configuration keys, each with the nearest known one', async () => {
    writeTree(tmp.path, { 'config.yaml': `public-keys: ${tmp.at('keys', 'pub.pem')}\n` });
    const pull = ['pull', server.url, fresh()];
    expect(await planning([...pull, '--expect-digets', 'x'], env)).toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('did you mean --expect-digest?'),
    });
    expect(await planning(pull, { ...env, MODEL_GATE_EXPECTED_DIGEST: 'sha256:00' })).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('did you mean MODEL_GATE_EXPECT_DIGEST?'),
    });
    expect(await planning(['verfy', fresh()], env)).toMatchObject({ code: 'USAGE', message: expect.stringContaining('did you mean verify?') });
    expect(await planning([...pull, '--config', tmp.at('config.yaml')], env)).toMatchObject({ message: expect.stringContaining("did you mean 'public-key'?") });
    expect(await planning([], env)).toMatchObject({ code: 'USAGE' });
    expect(await planning([...pull, server.url], env)).toMatchObject({ code: 'USAGE' });
  });

  test('3: a source that is not there', async () => {
    const ended = await runGate(['pull', 'http://127.0.0.1:1/m/', fresh()], { env });
    expect(ended).toMatchObject({ code: 3, termination: { verdict: 'failed', reason: 'SOURCE_UNAVAILABLE', exitCode: 3 } });
  });

  test('4: a report that was asked for and cannot be written', async () => {
    const ended = await runGate(['pull', server.url, fresh(), '--report', tmp.at('absent', 'report.json')], { env });
    expect(ended.code).toBe(4);
  });

  test('0: a termination log that cannot be written does no harm', async () => {
    expect((await runGate(['pull', server.url, fresh(), '--termination-log', tmp.at('absent', 'log')], { env })).code).toBe(0);
  });
});

describe('the termination message', () => {
  test('says that the gate was at work while it is at work, so that a kill leaves that behind', async () => {
    await using stalled = await serveModel(files);
    stalled.always(stalled.pathOf('model.sig'), { kind: 'silence' });
    const log = tmp.at('termination');
    const gate = startGate(['pull', stalled.url, fresh(), '--termination-log', log], { env });
    await until(() => stalled.seen.length > 0, 'the first request');
    expect(JSON.parse(readFileSync(log, 'utf8'))).toMatchObject({ verdict: 'unfinished' });
    gate.kill('SIGKILL');
    await gate.ended;
    expect(JSON.parse(readFileSync(log, 'utf8'))).toMatchObject({ verdict: 'unfinished' });
  });

  test('stays below 1000 bytes with the longest names', async () => {
    const long = signed(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${'ü'.repeat(120)}/${'x'.repeat(250)}${i}`, 'x'])));
    await using incomplete = await serveModel({ 'model.sig': long['model.sig'] ?? '' });
    const ended = await runGate(['pull', incomplete.url, fresh()], { env });
    expect(ended.termination).toMatchObject({ reason: 'FILE_MISSING', exitCode: 1 });
    expect(Buffer.byteLength(ended.terminationText)).toBeLessThanOrEqual(1000);
  });

  test('is written for a wrong request too, wherever flag or variable say', async () => {
    const log = tmp.at('early');
    await runGate(['pull', '--no-such-flag', '--termination-log', log]);
    expect(JSON.parse(readFileSync(log, 'utf8'))).toMatchObject({ reason: 'USAGE', exitCode: 2 });
  });
});

describe('settings', () => {
  test('come from flag before environment before file before default, and --dry-run tells which', async () => {
    writeTree(tmp.path, { 'settings.yaml': `public-key: ${tmp.at('keys', 'pub.pem')}\nconnections: 3\nstall-timeout: 7s\nconnect-timeout: 3s\n` });
    const to = fresh();
    const ended = await runGate(['pull', server.url, to, '--config', tmp.at('settings.yaml'), '--connections', '5', '--dry-run'], {
      env: { MODEL_GATE_CONNECTIONS: '4', MODEL_GATE_STALL_TIMEOUT: '8s' },
    });
    expect(ended.code).toBe(0);
    const line = (name: string): string => ended.stdout.split('\n').find((text) => text.trim().startsWith(`${name} `)) ?? '';
    expect(line('connections')).toMatch(/5 +flag --connections/);
    expect(line('stall-timeout')).toMatch(/8000 +environment MODEL_GATE_STALL_TIMEOUT/);
    expect(line('connect-timeout')).toMatch(/3000 +configuration file/);
    expect(line('max-bundle-size')).toMatch(/67108864 +default/);
    expect(existsSync(to)).toBe(false);
  });

  test('from a JSON file alone are enough', async () => {
    writeTree(tmp.path, {
      'settings.json': JSON.stringify({
        'public-key': [tmp.at('keys', 'pub.pem')],
        'expect-digest': [`sha256:${rootDigestOf(Buffer.from(files['model.sig'] ?? ''))}`],
      }),
    });
    expect((await runGate([server.url, fresh()], { env: { MODEL_GATE_CONFIG: tmp.at('settings.json') } })).code).toBe(0);
  });

  test('that weaken the check are named in warning, report and termination message', async () => {
    const ended = await runGate(['pull', server.url, fresh(), '--ignore-unsigned-files'], { env });
    expect(ended).toMatchObject({ code: 0, termination: { relaxations: ['--ignore-unsigned-files'] }, report: { relaxations: ['--ignore-unsigned-files'] } });
    expect(ended.stderr).toContain('WARN  --ignore-unsigned-files');
  });

  test('of Kubernetes’ own making are no misspelled variables', async () => {
    const ended = await runGate(['pull', server.url, fresh()], {
      env: { ...env, MODEL_GATE_SERVICE_HOST: '10.0.0.1', MODEL_GATE_PORT_80_TCP: 'tcp://10.0.0.1:80' },
    });
    expect(ended.code).toBe(0);
  });
});

describe('help and version', () => {
  test('go to standard output and need no trust', async () => {
    const help = await runGate(['--help']);
    expect(help.code).toBe(0);
    for (const words of ['pull', 'verify', 'completion', 'COMMAND --help']) expect(help.stdout).toContain(words);
    const pull = await runGate(['pull', '--help']);
    expect(pull.code).toBe(0);
    for (const words of ['--public-key', 'Trust:', 'Destination:']) expect(pull.stdout).toContain(words);
    for (const words of ['--private-key', '--hub-cache', '--shard-size']) expect(pull.stdout).not.toContain(words);
    const version = await runGate(['--version']);
    expect([version.code, version.stdout]).toEqual([0, expect.stringMatching(/^model-gate \d+\.\d+\.\d+ .*root of \d{4}-/)]);
  });
});

describe('help', () => {
  test.each([...COMMAND_NAMES, ''])('of %s fits 100 columns', async (command) => {
    const { code, stdout } = await runGate([...(command === '' ? [] : [command]), '--help']);
    expect(code).toBe(0);
    for (const line of stdout.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(100);
  });
});

describe('a completion script', () => {
  test('for bash completes commands, the options of a command, and choices', async () => {
    const { code, stdout } = await runGate(['completion', 'bash']);
    expect(code).toBe(0);
    const complete = (...words: string[]): string =>
      execFileSync('bash', ['-c', `${stdout}\nCOMP_WORDS=(model-gate "$@"); COMP_CWORD=$#; _model_gate; echo "\${COMPREPLY[*]}"`, 'bash', ...words])
        .toString()
        .trim();
    expect(complete('ver')).toBe('verify');
    expect(complete('pull', '--pub')).toBe('--public-key');
    expect(complete('verify', '--repl')).toBe('');
    expect(complete('pull', '--log-format', 'h')).toBe('human');
    expect(complete('sign', 'ce')).toBe('certificate');
  });

  test.each(['zsh', 'fish'])('for %s names every option of the table that is a flag', async (shell) => {
    const { code, stdout } = await runGate(['completion', shell]);
    expect(code).toBe(0);
    for (const name of OPTION_NAMES)
      if (optionOf(name).variableOnly !== true) expect(stdout).toMatch(new RegExp(shell === 'fish' ? `-l ${name} ` : `--${name}\\[`));
  });

  test('is refused for other shells', async () => {
    expect(await runGate(['completion', 'tcsh'])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('bash, zsh or fish') });
  });
});

describe('called as model_signing', () => {
  test('it verifies like the reference command line, with its exit codes and words', async () => {
    // A link to the entry decides the name; the tests run the entry itself through it.
    mkdirSync(tmp.at('bin'));
    const entry = tmp.at('bin', process.env['MODEL_GATE_DIST'] === undefined ? 'model_signing.ts' : 'model_signing.js');
    symlinkSync(join(import.meta.dirname, '../..', process.env['MODEL_GATE_DIST'] === undefined ? 'src/main.ts' : 'dist/main.js'), entry);
    const model = fresh();
    writeTree(model, files);
    const args = ['verify', 'key', model, '--signature', `${model}/model.sig`, '--public_key', tmp.at('keys', 'pub.pem')];
    expect(await runGate(args, { entry })).toMatchObject({ code: 0, stdout: 'Verification succeeded\n' });
    writeTree(model, { 'extra.py': 'x' });
    const extra = await runGate(args, { entry });
    expect([extra.code, extra.stderr]).toEqual([1, expect.stringContaining('Verification failed with error: Extra files found in model')]);
    expect((await runGate([...args, '--ignore_unsigned_files'], { entry })).code).toBe(0);
    expect((await runGate(['verify', 'key', model], { entry })).code).toBe(2);
  });
});
