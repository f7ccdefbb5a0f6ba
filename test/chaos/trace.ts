// SPDX-License-Identifier: Apache-2.0

/** One system call of a recorded trace (`strace -f -y`) that succeeded. `began` and `ended` are lines of the trace. */
export type Call = {
  readonly name: string;
  /** Paths as the kernel resolved them, in the order of the arguments; of calls on a descriptor, the path that it was opened under or has now. */
  readonly paths: readonly string[];
  readonly flags: string;
  readonly began: number;
  readonly ended: number;
};

const LINE = /^(\d+) +(.*)$/;
const UNFINISHED = / <unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. (\w+) resumed>/;
const CALL = /^(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?(?: .*)?$/;

/** Calls in the order they ended. Paths that lead through a descriptor (/proc/self/fd/N/name) are resolved. */
export function readTrace(text: string): readonly Call[] {
  const calls: Call[] = [];
  const pending = new Map<string, { readonly text: string; readonly began: number }>();
  const descriptors = new Map<string, string>();
  text.split('\n').forEach((line, at) => {
    const [, pid = '', said = ''] = LINE.exec(line) ?? [];
    if (UNFINISHED.test(said)) {
      pending.set(pid, { text: said.replace(UNFINISHED, ''), began: at });
      return;
    }
    const begun = RESUMED.test(said) ? pending.get(pid) : undefined;
    const whole = begun === undefined ? said : begun.text + said.replace(RESUMED, '');
    const [, name, args = '', result = '', resultPath] = CALL.exec(whole) ?? [];
    if (name === undefined || result.startsWith('-')) return;
    if (resultPath !== undefined) descriptors.set(result, resultPath);
    calls.push({ name, paths: pathsOf(args, resultPath, descriptors), flags: args, began: begun?.began ?? at, ended: at });
  });
  return calls;
}

function pathsOf(args: string, resultPath: string | undefined, descriptors: ReadonlyMap<string, string>): readonly string[] {
  if (resultPath !== undefined) return [resultPath];
  const onDescriptor = /^\d+<([^>]*)>/.exec(args)?.[1];
  if (onDescriptor !== undefined) return [onDescriptor];
  return [...args.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, path = '']) =>
    path.replace(/^\/proc\/self\/fd\/(\d+)/, (whole, fd: string) => descriptors.get(fd) ?? whole).replace(/\/\.$/, ''),
  );
}
