// SPDX-License-Identifier: Apache-2.0
import { AppError, EXIT } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import type { Host } from './run.ts';
import { VERSION } from './version.ts';

const HELP = `Usage: model_signing [--log-level LEVEL] COMMAND [METHOD] MODEL_PATH …

  sign    key|certificate|sigstore       Sign a model; without a method: sigstore.
  verify  key|certificate|sigstore       Verify a model; without a method: sigstore.
  digest                                 Print the root digest of a model.

  Flags may be written with dashes or underscores. COMMAND METHOD --help shows them.
`;

/**
 * The command line of the reference implementation, model_signing 1.1.1 and its next release, in both spellings of every flag.
 * Exit 0 done, 1 failed, 2 wrong usage; the words are the ones people look for. @throws USAGE
 */
export async function runModelSigning(argv: readonly string[], host: Host): Promise<number> {
  const [command, ...rest] = skipLogLevel(argv);
  switch (command) {
    case 'verify':
      return (await import('./referenceVerify.ts')).runReferenceVerify(rest, host);
    case 'sign':
      return (await import('./referenceSign.ts')).runReferenceSign(rest, host);
    case 'digest':
      return (await import('./referenceSign.ts')).runReferenceDigest(rest, host);
    case '--help':
    case '-h':
      process.stdout.write(HELP);
      return EXIT.ok;
    case '--version':
      process.stdout.write(`model_signing (model-gate ${VERSION})\n`);
      return EXIT.ok;
    case undefined:
      throw new AppError('USAGE', 'Missing command: sign, verify or digest');
    default:
      throw new AppError('USAGE', `No such command '${printable(command, 80)}'`);
  }
}

/** The one option that stands before the command. It changes nothing here: warnings are always told. */
function skipLogLevel(argv: readonly string[]): readonly string[] {
  const name = argv[0]?.replace('_', '-');
  if (name === '--log-level') return skipLogLevel(argv.slice(2));
  return name?.startsWith('--log-level=') === true ? skipLogLevel(argv.slice(1)) : argv;
}
