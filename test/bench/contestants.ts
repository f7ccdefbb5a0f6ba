// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BUCKET, type Data, PROGRAM, type WorkloadName } from './data.ts';
import type { Command } from './measure.ts';
import type { S3Access, Servers } from './servers.ts';

/** What a run of a row has to do with. */
export type Setting = {
  readonly data: Data;
  readonly servers: Servers;
  /** An empty directory, or in rows about restarts a complete one. */
  readonly to: string;
  /** For logs and the like; outlives the run. */
  readonly folder: string;
};

export type Contestant = {
  readonly name: string;
  /** Programs it needs on PATH; how they get there is said in docs/performance.md. */
  readonly needs: readonly string[];
  command(setting: Setting): Command;
};

type Link = 'plain' | 'tls';

const PEERS = new URL('peers/', import.meta.url).pathname;
const s3Of = (servers: Servers, link: Link): S3Access => (link === 'plain' ? servers.s3 : servers.s3Tls);
const urlsOf = ({ data }: Setting, base: string, name: WorkloadName): readonly string[] =>
  data.workload(name).files.map((file) => `${base}${name}/${file.name}`);

export function ours(command: (setting: Setting) => Command, name = 'model-gate'): Contestant {
  return { name, needs: [], command };
}

export function pullS3(setting: Setting, name: WorkloadName, link: Link = 'plain'): Command {
  return { argv: gate(setting, 'pull', `s3://${BUCKET}/${name}/`, setting.to, ...caFlags(setting, link)), env: s3Of(setting.servers, link).env };
}

export function pullHttp(setting: Setting, name: WorkloadName, base: string, ...flags: readonly string[]): Command {
  return { argv: gate(setting, 'pull', `${base}${name}/`, setting.to, ...flags, ...caFlags(setting, base.startsWith('https:') ? 'tls' : 'plain')) };
}

export function verifyInPlace(setting: Setting, folder: string): Command {
  return { argv: gate(setting, 'verify', folder) };
}

export function inspectEntries({ data }: Setting): Command {
  return { argv: [process.execPath, PROGRAM, 'inspect', data.entriesBundle, '--public-key', data.publicKey] };
}

export function s5cmd(name: WorkloadName, link: Link = 'plain'): Contestant {
  return {
    name: 's5cmd',
    needs: ['s5cmd'],
    command: ({ servers, to }) => ({
      argv: ['s5cmd', 'cp', `s3://${BUCKET}/${name}/*`, `${to}/`],
      env: { ...s3Of(servers, link).env, S3_ENDPOINT_URL: s3Of(servers, link).url, ...(link === 'tls' && { AWS_CA_BUNDLE: servers.caFile }) },
    }),
  };
}

export function rclone(name: WorkloadName): Contestant {
  return {
    name: 'rclone',
    needs: ['rclone'],
    command: ({ servers, to }) => ({
      // Its own check of MD5 sums is off: it is here for how fast bytes can come.
      argv: ['rclone', 'copy', '--ignore-checksum', `bench:${BUCKET}/${name}`, to],
      env: {
        ...servers.s3.env,
        RCLONE_CONFIG: '/dev/null',
        RCLONE_CONFIG_BENCH_TYPE: 's3',
        RCLONE_CONFIG_BENCH_PROVIDER: 'Other',
        RCLONE_CONFIG_BENCH_ENV_AUTH: 'true',
        RCLONE_CONFIG_BENCH_ENDPOINT: servers.s3.url,
      },
    }),
  };
}

/** Today's way. */
export function kserveAndVerify(name: WorkloadName): Contestant {
  return {
    name: 'kserve + verify',
    needs: ['python-kserve', 'model_signing'],
    command: ({ servers, data, to }) => ({
      argv: inTurn(['python-kserve', join(PEERS, 'kserve.py'), `s3://${BUCKET}/${name}/`, to], referenceVerify(data, to)),
      env: servers.s3.env,
    }),
  };
}

export function modelSigning(folderOf: (setting: Setting) => string): Contestant {
  return { name: 'model_signing', needs: ['model_signing'], command: (setting) => ({ argv: referenceVerify(setting.data, folderOf(setting)) }) };
}

export function curl(name: WorkloadName, link: Link = 'plain'): Contestant {
  return {
    name: 'curl -Z',
    needs: ['curl'],
    command: (setting) => {
      const base = link === 'plain' ? setting.servers.http : setting.servers.httpTls;
      const flags = [
        '--fail',
        '--silent',
        '--show-error',
        '--output-dir',
        setting.to,
        '--remote-name-all',
        ...(link === 'tls' ? ['--cacert', setting.servers.caFile] : []),
      ];
      return { argv: ['curl', '-Z', ...flags, ...urlsOf(setting, base, name)] };
    },
  };
}

export function hfTransfer(name: WorkloadName): Contestant {
  return {
    name: 'hf_transfer',
    needs: ['python-hf'],
    command: (setting) => ({ argv: ['python-hf', join(PEERS, 'hfTransfer.py'), setting.to, ...urlsOf(setting, setting.servers.http, name)] }),
  };
}

export function cp(name: WorkloadName): Contestant {
  return { name: 'cp', needs: [], command: ({ data, to }) => ({ argv: ['cp', '-r', `${data.folderOf(name)}/.`, to] }) };
}

export function openssl(name: WorkloadName, processes: 'one' | 'cores'): Contestant {
  return {
    name: processes === 'one' ? 'openssl × 1' : 'openssl × cores',
    needs: ['openssl', 'xargs'],
    command: ({ data }) => ({
      argv: [
        ...(['sh', '-c', 'folder=$1 jobs=$2; printf "%s\\0" "$folder"/*.* | xargs -0 -n 1 -P "$jobs" openssl dgst -sha256', 'sh'] as const),
        data.folderOf(name),
        processes === 'one' ? '1' : `${availableParallelism()}`,
      ],
    }),
  };
}

/** The least that a program of this runtime can take. */
export const runtimeAlone: Contestant = { name: 'node alone', needs: [], command: () => ({ argv: [process.execPath, '--eval', '0'] }) };

/** Runs a command on these processors only. */
export function onProcessors(list: string, command: Command): Command {
  return { ...command, argv: ['taskset', '--cpu-list', list, ...command.argv] };
}

function gate({ data, folder }: Setting, ...args: readonly string[]): Command['argv'] {
  return [process.execPath, PROGRAM, ...args, '--public-key', data.publicKey, '--termination-log', join(folder, 'termination-log'), '--log-format', 'json'];
}

function caFlags({ servers }: Setting, link: Link): readonly string[] {
  return link === 'tls' ? ['--ca-bundle', servers.caFile] : [];
}

function referenceVerify(data: Data, folder: string): Command['argv'] {
  return ['model_signing', 'verify', 'key', folder, '--signature', join(folder, 'model.sig'), '--public_key', data.publicKey];
}

/** The second command when the first has succeeded. */
function inTurn(first: Command['argv'], second: Command['argv']): Command['argv'] {
  return ['sh', '-c', [first, second].map((argv) => argv.map(quoted).join(' ')).join(' && ')];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
