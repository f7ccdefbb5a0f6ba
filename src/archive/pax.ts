// SPDX-License-Identifier: Apache-2.0
import { AppError } from '../base/errors.ts';
import { printable } from '../base/redact.ts';
import { invalid } from './bytes.ts';

/** Records that decide where a member lands and how long it is. */
const DECISIVE = /^\d+ (?:path|linkpath|size)=/;

/**
 * The library reads a PAX header line by line, others by the lengths in it: a value with line breaks could give a member one name here and
 * another there. What such a header says in two ways, or says that is not done here, is refused. Other headers' text (GNU long names) passes.
 */
export function findPaxProblem(text: string): AppError | undefined {
  if (!/^\d+ [^=\n]+=/.test(text)) return undefined;
  if (!text.endsWith('\n')) return twoWays();
  let doubtful = false;
  for (const line of text.slice(0, -1).split('\n')) {
    const decisive = DECISIVE.test(line);
    const binary = line.includes('\ufffd');
    const whole = !binary && Number.parseInt(line, 10) === Buffer.byteLength(line) + 1;
    // Binary values (attributes of macOS and SELinux) have lost their length in decoding; then only what comes before them is sure.
    if (!whole && (decisive || !binary)) return twoWays();
    if (decisive && doubtful) return twoWays();
    if (!whole) doubtful = true;
    if (line.includes(' GNU.sparse.')) return unsupported('a sparse file');
    if (decisive && line.includes('\0')) return new AppError('PATH_UNSAFE', `the archive names '${printable(line, 300)}', which holds a NUL byte`);
  }
  return undefined;
}

/** A kind of tar entry that is neither file, directory, link nor device. */
export function unsupported(name: string): AppError {
  return new AppError('FILE_TYPE', `the archive holds '${printable(name)}', which is neither a plain file nor a directory`, {
    hint: 'Make the archive again of regular files only (tar without --sparse).',
    context: { path: printable(name) },
  });
}

function twoWays(): AppError {
  return invalid('has an extended header that can be read in two ways');
}
