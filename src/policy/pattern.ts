// SPDX-License-Identifier: Apache-2.0

/** A text exactly, or a pattern that has to match all of it. */
export type TextPattern =
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'pattern'; readonly source: string; readonly test: (text: string) => boolean };

const MAX_SOURCE = 500;
const MAX_STATES = 2000;
const MAX_TEXT = 4096;

export class PatternError extends Error {}

/**
 * A regular expression in time linear in the text: a common subset of the usual syntax, run as a set of states and never by backtracking,
 * which a hostile identity could make last for ever. Letters, `\` before punctuation, `.`, `[a-z]` and `[^/]`, `\d` `\w`, groups, `|`, `*` `+` `?` `{m,n}`.
 * Matches the whole text, so `^` at the beginning and `$` at the end are understood and change nothing. @throws PatternError
 */
export function compilePattern(source: string): (text: string) => boolean {
  if (source === '') throw new PatternError('is empty');
  if (source.length > MAX_SOURCE) throw new PatternError(`is longer than ${MAX_SOURCE} characters`);
  const letters = [...source];
  const body = letters.slice(letters[0] === '^' ? 1 : 0, endsInAnchor(letters) ? -1 : undefined);
  const program = build(parse(body));
  return (text) => text.length <= MAX_TEXT && run(program, [...text]);
}

export function matchesText(pattern: TextPattern, text: string): boolean {
  return pattern.kind === 'exact' ? pattern.text === text : pattern.test(text);
}

export function describeText(pattern: TextPattern): string {
  return pattern.kind === 'exact' ? `'${pattern.text}'` : `/${pattern.source}/`;
}

type Node =
  | { readonly kind: 'letter'; readonly fits: (letter: string) => boolean }
  | { readonly kind: 'sequence' | 'choice'; readonly of: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly min: number; readonly max: number };

/** `\$` at the end is a letter, `\\$` an anchor behind one. */
function endsInAnchor(letters: readonly string[]): boolean {
  if (letters.at(-1) !== '$') return false;
  let backslashes = 0;
  while (letters[letters.length - 2 - backslashes] === '\\') backslashes++;
  return backslashes % 2 === 0;
}

function parse(letters: readonly string[]): Node {
  let at = 0;

  function choice(depth: number): Node {
    if (depth > 20) throw new PatternError('is nested too deeply');
    const of = [sequence(depth)];
    while (letters[at] === '|') {
      at++;
      of.push(sequence(depth));
    }
    return of.length === 1 && of[0] !== undefined ? of[0] : { kind: 'choice', of };
  }

  function sequence(depth: number): Node {
    const of: Node[] = [];
    while (at < letters.length && letters[at] !== '|' && letters[at] !== ')') of.push(quantified(atom(depth)));
    return { kind: 'sequence', of };
  }

  function atom(depth: number): Node {
    const letter = letters[at++] ?? '';
    switch (letter) {
      case '(': {
        if (letters[at] === '?') {
          if (letters[at + 1] !== ':') throw new PatternError('has a group that begins with (? and is not (?:');
          at += 2;
        }
        const inner = choice(depth + 1);
        if (letters[at++] !== ')') throw new PatternError('has a group that does not end');
        return inner;
      }
      case '.':
        return { kind: 'letter', fits: (c) => !'\n\r\u2028\u2029'.includes(c) };
      case '[':
        return { kind: 'letter', fits: set() };
      case '\\':
        return { kind: 'letter', fits: escaped() };
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
      case '^':
      case '$':
        throw new PatternError(`has '${letter}' where it cannot stand; write \\${letter}`);
      default:
        return { kind: 'letter', fits: (c) => c === letter };
    }
  }

  function quantified(of: Node): Node {
    const bounds = quantifier();
    if (bounds === undefined) return of;
    if (['*', '+', '?', '{'].includes(letters[at] ?? '')) throw new PatternError('has two quantifiers in a row');
    return { kind: 'repeat', of, ...bounds };
  }

  function quantifier(): { min: number; max: number } | undefined {
    switch (letters[at]) {
      case '*':
        at++;
        return { min: 0, max: Number.POSITIVE_INFINITY };
      case '+':
        at++;
        return { min: 1, max: Number.POSITIVE_INFINITY };
      case '?':
        at++;
        return { min: 0, max: 1 };
      case '{': {
        const close = letters.indexOf('}', at);
        const [, low, comma, high] = /^(\d{1,3})(?:(,)(\d{1,3})?)?$/.exec(letters.slice(at + 1, Math.max(at + 1, close)).join('')) ?? [];
        if (low === undefined) throw new PatternError('has a quantifier that is not {m}, {m,} or {m,n}');
        at = close + 1;
        const [min, max] = [Number(low), comma === undefined ? Number(low) : high === undefined ? Number.POSITIVE_INFINITY : Number(high)];
        if (max < min) throw new PatternError('has a quantifier whose end is below its beginning');
        return { min, max };
      }
      default:
        return undefined;
    }
  }

  function escaped(): (letter: string) => boolean {
    const letter = letters[at++];
    if (letter === 'd') return isDigit;
    if (letter === 'w') return isWord;
    if (letter === undefined || /[\p{L}\p{N}\s_]/u.test(letter)) throw new PatternError(`has the unknown escape \\${letter ?? ''}`);
    return (c) => c === letter;
  }

  function set(): (letter: string) => boolean {
    const negated = letters[at] === '^';
    if (negated) at++;
    const members: ((letter: string) => boolean)[] = [];
    while (at < letters.length && letters[at] !== ']') {
      const from = letters[at++] ?? '';
      if (from === '[') throw new PatternError("has '[' in a set; write \\[");
      if (from === '\\') members.push(escaped());
      else if (letters[at] === '-' && letters[at + 1] !== ']' && letters[at + 1] !== undefined) {
        const to = letters[at + 1] ?? '';
        at += 2;
        if (to === '\\' || to === '[' || point(to) < point(from)) throw new PatternError(`has the range ${from}-${to}`);
        members.push((c) => point(from) <= point(c) && point(c) <= point(to));
      } else members.push((c) => c === from);
    }
    if (letters[at++] !== ']' || members.length === 0) throw new PatternError('has a set that does not end or is empty');
    return (c) => members.some((fits) => fits(c)) !== negated;
  }

  const tree = choice(0);
  if (at < letters.length) throw new PatternError("has a ')' too many");
  return tree;
}

/** Thompson's construction: a state reads a letter and goes on, or goes on to two places without reading. */
type State = { readonly fits?: (letter: string) => boolean; readonly next: readonly number[] };
type Program = { readonly states: readonly State[]; readonly start: number };
const MATCH = 0;

function build(tree: Node): Program {
  const states: State[] = [{ next: [] }];
  const add = (state: State): number => {
    if (states.length >= MAX_STATES) throw new PatternError('is too complex');
    return states.push(state) - 1;
  };
  const emit = (node: Node, next: number): number => {
    switch (node.kind) {
      case 'letter':
        return add({ fits: node.fits, next: [next] });
      case 'sequence':
        return node.of.reduceRight((after, part) => emit(part, after), next);
      case 'choice':
        return add({ next: node.of.map((part) => emit(part, next)) });
      case 'repeat': {
        let after = next;
        if (node.max === Number.POSITIVE_INFINITY) {
          const targets: number[] = [next];
          after = add({ next: targets });
          targets.push(emit(node.of, after));
        } else {
          for (let i = node.min; i < node.max; i++) after = add({ next: [emit(node.of, after), next] });
        }
        for (let i = 0; i < node.min; i++) after = emit(node.of, after);
        return after;
      }
    }
  };
  return { start: emit(tree, MATCH), states };
}

function run({ states, start }: Program, letters: readonly string[]): boolean {
  let current = closure(states, [start]);
  for (const letter of letters) {
    const next: number[] = [];
    for (const id of current) {
      const state = states[id];
      if (state?.fits?.(letter) === true) next.push(...state.next);
    }
    current = closure(states, next);
    if (current.size === 0) return false;
  }
  return current.has(MATCH);
}

/** All states that can be reached without reading. */
function closure(states: readonly State[], from: readonly number[]): ReadonlySet<number> {
  const seen = new Set<number>();
  const open = [...from];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const state = states[id];
    if (state !== undefined && state.fits === undefined) open.push(...state.next);
  }
  return seen;
}

function isDigit(letter: string): boolean {
  return letter >= '0' && letter <= '9';
}

function isWord(letter: string): boolean {
  return /^[A-Za-z0-9_]$/.test(letter);
}

function point(letter: string): number {
  return letter.codePointAt(0) ?? 0;
}
