// SPDX-License-Identifier: Apache-2.0
import { AppError, EXIT } from '../base/errors.ts';
import { MAX_YAML_BYTES } from '../base/limits.ts';
import { printable } from '../base/redact.ts';
import { parseSourceUri } from '../plan/uri.ts';
import { sourceName } from '../policy/match.ts';
import { readSmallFile } from '../transfer/fetchSmall.ts';

const HELP = `Usage: model-gate policy check FILE [--floor]
       model-gate policy test FILE --cases CASES.yaml [--floor]

  check   validates a policy and says in words what it asks for
  test    runs expectations (facts → verdict) against it; exit 1 when one fails
  --floor judges the file as a floor policy, which may depend on nothing that a pod says
`;

/** `policy check|test`: for people, and for the CI of a repository of policies. Exit 0, 1 (a case failed), 2 (a broken policy). @throws USAGE, POLICY_INVALID */
export async function runPolicy(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === '--help' || command === '-h' || rest.includes('--help')) {
    process.stdout.write(HELP);
    return EXIT.ok;
  }
  if (command !== 'check' && command !== 'test')
    throw new AppError('USAGE', `policy needs check or test${command === undefined ? '' : `, not '${printable(command, 80)}'`}`);
  const { file, cases, layer } = parse(command, rest);
  const { readPolicy } = await import('../policy/read.ts');
  const policy = readPolicy(await read(file), file, layer);
  if (cases === undefined) {
    process.stdout.write((await import('../policy/explain.ts')).explainPolicy(policy));
    return EXIT.ok;
  }
  const results = (await import('../policy/cases.ts')).runCases(policy, await read(cases), new Date(), nameOf);
  for (const { name, problems } of results)
    process.stdout.write(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${printable(name, 200)}${problems.map((problem) => `\n     ${problem}`).join('')}\n`);
  const failed = results.filter((result) => result.problems.length > 0).length;
  process.stdout.write(`${results.length - failed} of ${results.length} cases as expected\n`);
  return failed === 0 ? EXIT.ok : EXIT.rejected;
}

function parse(
  command: 'check' | 'test',
  argv: readonly string[],
): { readonly file: string; readonly cases: string | undefined; readonly layer: 'floor' | 'policy' } {
  const files: string[] = [];
  let cases: string | undefined;
  let layer: 'floor' | 'policy' = 'policy';
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (arg === '--floor') layer = 'floor';
    else if (arg === '--cases') cases = argv[++i];
    else if (arg.startsWith('--cases=')) cases = arg.slice('--cases='.length);
    else if (arg.startsWith('-')) throw new AppError('USAGE', `unknown option ${printable(arg, 80)}`);
    else files.push(arg);
  }
  const [file] = files;
  if (file === undefined || files.length > 1) throw new AppError('USAGE', `policy ${command} needs one file`);
  if ((command === 'test') !== (cases !== undefined))
    throw new AppError('USAGE', command === 'test' ? 'policy test needs --cases' : 'policy check has no --cases');
  return { file, cases, layer };
}

/** As the gate names it, without looking at any disk. */
function nameOf(uri: string): ReturnType<typeof sourceName> {
  const spec = parseSourceUri(uri, '/mnt/pvc');
  return sourceName(spec, spec.kind === 'file' ? spec.path.replace(/(?<=.)\/+$/, '') : undefined);
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readSmallFile(path, MAX_YAML_BYTES, 'follow');
  } catch (cause) {
    throw new AppError('POLICY_INVALID', `${printable(path, 300)} cannot be read: ${cause instanceof Error ? cause.message : 'unknown failure'}`, { cause });
  }
}
