// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import type { ControlGroup } from '../support/controlGroup.ts';
import {
  type Contestant,
  cp,
  curl,
  hfTransfer,
  inspectEntries,
  kserveAndVerify,
  modelSigning,
  onProcessors,
  openssl,
  ours,
  pullHttp,
  pullS3,
  rclone,
  runtimeAlone,
  type Setting,
  s5cmd,
  verifyInPlace,
} from './contestants.ts';
import type { Data, WorkloadName } from './data.ts';
import { LINK_BYTES_PER_SECOND } from './servers.ts';
import type { Goal, Metric } from './verdict.ts';

/** Where a run writes; `none`: nowhere. */
export type Place = 'tmpfs' | 'disk' | 'none';

export type Row = {
  readonly id: string;
  readonly title: string;
  readonly places: readonly Place[];
  readonly workloads: readonly WorkloadName[];
  /** `complete`: every run finds what the first one left. */
  readonly destination: 'empty' | 'complete';
  readonly ours: Contestant;
  readonly peers: readonly Contestant[];
  readonly goals: readonly Goal[];
  /** After the rounds: what went wrong that no clock shows. */
  readonly finding?: (setting: Setting) => string | undefined;
  /** Peer that `bench:quick` compares with the baseline; absent: not a row of it. */
  readonly guardedBy?: string;
};

const MIB = 1024 * 1024;
const EVERYWHERE = ['tmpfs', 'disk'] as const;
const RSS: Goal = { kind: 'absolute', metric: 'peakRssBytes', atMost: 200 * MIB };

/** The table of docs/performance.md. `limit` is a control group of 256 MiB. */
export function rowsOf(data: Data, limit: ControlGroup | undefined): readonly Row[] {
  return [
    row('s3-shards', 'shards from S3', 'shards', {
      ours: ours((setting) => pullS3(setting, 'shards')),
      peers: [s5cmd('shards'), rclone('shards'), kserveAndVerify('shards'), openssl('shards', 'cores'), cp('shards')],
      goals: [wall(1.1, 's5cmd', 'rclone'), wall(0.4, 'kserve + verify'), RSS],
      guardedBy: 's5cmd',
    }),
    row('s3-one', 'one file from S3', 'one', {
      ours: ours((setting) => pullS3(setting, 'one')),
      peers: [s5cmd('one'), rclone('one'), kserveAndVerify('one'), openssl('one', 'one'), cp('one')],
      goals: [wall(1.25, 's5cmd', 'rclone'), wall(0.35, 'kserve + verify'), RSS],
      guardedBy: 's5cmd',
    }),
    row('http-shards', 'shards from nginx', 'shards', {
      ours: ours((setting) => pullHttp(setting, 'shards', setting.servers.http)),
      peers: [curl('shards'), hfTransfer('shards'), cp('shards')],
      goals: [wall(1.05, 'curl -Z', 'hf_transfer'), RSS],
      guardedBy: 'curl -Z',
    }),
    row('http-one', 'one file from nginx', 'one', {
      ours: ours((setting) => pullHttp(setting, 'one', setting.servers.http)),
      peers: [curl('one'), hfTransfer('one'), cp('one')],
      goals: [wall(1.25, 'curl -Z', 'hf_transfer'), RSS],
      guardedBy: 'curl -Z',
    }),
    row('formats', 'formats looked into while pulling', 'formats', {
      ours: ours((setting) => pullHttp(setting, 'formats', setting.servers.http, '--allow-formats', 'safetensors,json,text')),
      peers: [ours((setting) => pullHttp(setting, 'formats', setting.servers.http), 'without formats')],
      goals: [wall(1.1, 'without formats'), RSS],
    }),
    row('s3-tls', 'shards from S3 over TLS', 'shards', {
      ours: ours((setting) => pullS3(setting, 'shards', 'tls')),
      peers: [s5cmd('shards', 'tls')],
      goals: [wall(1.15, 's5cmd'), RSS],
    }),
    row('http-tls', 'shards from nginx over TLS', 'shards', {
      ours: ours((setting) => pullHttp(setting, 'shards', setting.servers.httpTls)),
      peers: [curl('shards', 'tls')],
      goals: [wall(1.15, 'curl -Z'), RSS],
    }),
    row('s3-many', 'many files from S3', 'many', {
      ours: ours((setting) => pullS3(setting, 'many')),
      peers: [s5cmd('many'), rclone('many'), kserveAndVerify('many'), openssl('many', 'cores'), cp('many')],
      goals: [wall(1, 's5cmd'), wall(0.25, 'kserve + verify'), RSS],
      guardedBy: 's5cmd',
    }),
    row('http-many', 'many files from nginx', 'many', {
      ours: ours((setting) => pullHttp(setting, 'many', setting.servers.http)),
      peers: [curl('many'), hfTransfer('many')],
      goals: [RSS],
    }),
    row('tiny-s3', 'tiny model from S3', 'tiny', {
      ours: ours((setting) => pullS3(setting, 'tiny')),
      peers: [s5cmd('tiny'), kserveAndVerify('tiny')],
      goals: [atMost(0.25, 'cpuSeconds'), wall(2, 's5cmd'), RSS],
      guardedBy: 's5cmd',
    }),
    row('tiny-http', 'tiny model from nginx', 'tiny', {
      ours: ours((setting) => pullHttp(setting, 'tiny', setting.servers.http)),
      peers: [curl('tiny'), s5cmd('tiny')],
      goals: [atMost(0.25, 'cpuSeconds'), wall(2, 's5cmd'), RSS],
    }),
    row('tiny-verify', 'tiny model in place', 'tiny', {
      places: ['none'],
      ours: ours((setting) => verifyInPlace(setting, data.folderOf('tiny'))),
      peers: [modelSigning(() => data.folderOf('tiny')), openssl('tiny', 'one'), { ...s5cmd('tiny'), name: 's5cmd (download)' }, runtimeAlone],
      goals: [atMost(0.25, 'cpuSeconds'), wall(0.35, 'model_signing'), wall(2, 's5cmd (download)'), RSS],
      guardedBy: 'node alone',
    }),
    row('verify-shards', 'verify of shards in place', 'shards', {
      places: ['none'],
      ours: ours((setting) => verifyInPlace(setting, data.folderOf('shards'))),
      peers: [openssl('shards', 'cores'), openssl('shards', 'one'), modelSigning(() => data.folderOf('shards'))],
      goals: [wall(1.1, 'openssl × cores'), RSS],
      guardedBy: 'openssl × cores',
    }),
    row('verify-one', 'verify of one file in place', 'one', {
      places: ['none'],
      ours: ours((setting) => verifyInPlace(setting, data.folderOf('one'))),
      peers: [openssl('one', 'one'), modelSigning(() => data.folderOf('one'))],
      goals: [wall(1.1, 'openssl × 1'), RSS],
      guardedBy: 'openssl × 1',
    }),
    row('restart', 'restart over a complete destination', 'shards', {
      destination: 'complete',
      ours: ours((setting) => pullHttp(setting, 'shards', setting.servers.http)),
      peers: [ours((setting) => verifyInPlace(setting, setting.to), 'verify')],
      goals: [wall(1.1, 'verify'), RSS],
      finding: objectsFetched,
    }),
    limitRow('shards', limit),
    limitRow('many', limit),
    ...[2, 4, 8].flatMap((connections) => [linkRow(data, 'eighths', connections), linkRow(data, 'one', connections)]),
    coresRow(data),
    row('entries', '100,000 manifest entries', 'tiny', {
      places: ['none'],
      ours: ours(inspectEntries),
      peers: [],
      goals: [atMost(2, 'wallSeconds'), { kind: 'absolute', metric: 'peakRssBytes', atMost: 150 * MIB }],
    }),
  ];
}

type Details = Pick<Row, 'ours' | 'peers' | 'goals'> & Partial<Row>;

function row(id: string, title: string, workload: WorkloadName, details: Details): Row {
  return { id, title, workloads: [workload], places: EVERYWHERE, destination: 'empty', ...details };
}

function linkRow(data: Data, workload: WorkloadName, connections: number): Row {
  const sizeBytes = data.workload(workload).files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const pull = (setting: Setting, base: string) => pullHttp(setting, workload, base, '--connections', `${connections}`);
  return row(
    `link-${workload}-${connections}`,
    `50 ms, 80 MB/s per connection, ${connections} connections, ${workload === 'one' ? 'one file' : '8 files'}`,
    workload,
    {
      places: ['tmpfs'],
      ours: ours((setting) => pull(setting, setting.servers.throttled)),
      peers: [ours((setting) => pull(setting, setting.servers.delayed), 'without the rate')],
      goals: [{ kind: 'throughput', sizeBytes, ceiling: connections * LINK_BYTES_PER_SECOND, carriedBy: 'without the rate', atLeast: 0.9 }, RSS],
    },
  );
}

function limitRow(workload: WorkloadName, limit: ControlGroup | undefined): Row {
  const pull = ours((setting) => {
    const command = pullS3(setting, workload);
    return limit === undefined ? command : { ...command, argv: [...limit.wrapper, ...command.argv] };
  });
  return row(`limit-${workload}`, `${workload === 'many' ? 'many files' : workload} in a control group of 256 MiB`, workload, {
    // tmpfs would count as memory.
    places: ['disk'],
    ours: { ...pull, needs: limit === undefined ? ['a memory control group that can be written'] : [] },
    peers: [ours((setting) => pullS3(setting, workload), 'without the limit')],
    goals: [RSS],
  });
}

function coresRow(data: Data): Row {
  const [first, second] = processors();
  const verify = (list: string, name: string): Contestant => ({
    name,
    needs: second === undefined ? ['a second processor'] : ['taskset'],
    command: (setting) => onProcessors(list, verifyInPlace(setting, data.folderOf('shards'))),
  });
  return row('cores', 'verify on two cores instead of one', 'shards', {
    places: ['none'],
    ours: verify(`${first},${second}`, 'model-gate'),
    peers: [verify(`${first}`, 'on one core')],
    goals: [wall(1 / 1.8, 'on one core')],
  });
}

function wall(atMost: number, ...against: readonly string[]): Goal {
  return { kind: 'ratio', metric: 'wallSeconds', against, atMost };
}

function atMost(value: number, metric: Metric): Goal {
  return { kind: 'absolute', metric, atMost: value };
}

function objectsFetched({ servers }: Setting): string | undefined {
  const fetched = servers.requests().filter((path) => path.endsWith('.safetensors'));
  return fetched.length === 0 ? undefined : `${fetched.length} requests for objects, the first for ${fetched[0]}`;
}

/** Those this process may run on, by number. */
function processors(): readonly number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
