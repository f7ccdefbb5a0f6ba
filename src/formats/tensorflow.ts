// SPDX-License-Identifier: Apache-2.0
import type { ByteSource } from './byteSource.ts';
import type { Finding } from './finding.ts';
import { judgeBySearch } from './searchBytes.ts';

/** Numbers of seven bits may be written with zeros behind them. */
const FIELD = '(?:\\x12|\\x92\\x80{0,8}\\0)';
const LENGTH = '(?:[\\x05-\\x20]|[\\x85-\\xa0]\\x80{0,8}\\0)';

/** Operations by which a graph does more than compute, as a protobuf writes them: the field, a length, the name. */
const ACTIVE_OPERATIONS = new RegExp(`${FIELD}${LENGTH}(?:ReadFile|WriteFile|MatchingFiles|PyFunc|PyFuncStateless|EagerPyFunc|ImmutableConst)`);

/** A saved model: nothing of its structure is read; the operations are looked for in all of it. */
export function judgeGraph(source: ByteSource): Promise<readonly Finding[]> {
  return judgeBySearch(source, 'tensorflow', [ACTIVE_OPERATIONS], 'has operations on files, or of Python');
}
