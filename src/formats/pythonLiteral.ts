// SPDX-License-Identifier: Apache-2.0
import { Defect } from './finding.ts';

const MAX_DEPTH = 16;

/** A text stands as it is written: its escapes are not resolved. */
export type Literal =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'truth' }
  | { readonly kind: 'tuple' | 'list'; readonly items: readonly Literal[] }
  | { readonly kind: 'dictionary'; readonly entries: readonly (readonly [key: Literal, value: Literal])[] };

/** A mark stands for itself, the end for an empty one. */
type Token = Exclude<Literal, { kind: 'tuple' | 'list' | 'dictionary' }> | string;

/**
 * The one literal of Python that `text` is. Comments, operators, prefixes of texts, numbers of more than 16 digits, and texts one behind the other
 * are refused. Each token is looked at once, so that the time is linear in the text. @throws Defect
 */
export function readLiteral(text: string): Literal {
  const tokens = tokensOf(text);
  let next = tokens.next();
  const take = (): Token => {
    const token = next.value ?? '';
    next = tokens.next();
    return token;
  };
  const value = (depth: number): Literal => {
    const token = take();
    if (typeof token !== 'string') return token;
    const close = CLOSING.get(token);
    if (close === undefined) throw unreadable();
    if (depth > MAX_DEPTH) throw new Defect('the header is nested too deeply');
    const entries: (readonly [Literal, Literal])[] = [];
    const items: Literal[] = [];
    let comma = false;
    while (next.value !== close) {
      if (items.length > 0 && !comma) throw unreadable();
      const item = value(depth + 1);
      items.push(item);
      if (token === '{') {
        if (take() !== ':') throw unreadable();
        entries.push([item, value(depth + 1)]);
      }
      comma = next.value === ',';
      if (comma) take();
    }
    take();
    if (token === '{') return { kind: 'dictionary', entries };
    const [only] = items;
    // Without a comma they are no more than brackets.
    if (token === '(' && only !== undefined && items.length === 1 && !comma) return only;
    return { kind: token === '(' ? 'tuple' : 'list', items };
  };
  const literal = value(0);
  if (take() !== '') throw unreadable();
  return literal;
}

const CLOSING: ReadonlyMap<string, string> = new Map([
  ['(', ')'],
  ['[', ']'],
  ['{', '}'],
]);

function* tokensOf(text: string): Generator<Token, undefined> {
  // Blanks, and then a text, a number (Python 2 wrote an L behind long ones), a truth value, a mark, or the end.
  const pattern =
    /[ \t\f\r\n]*(?:'([^'\\\r\n]*(?:\\.[^'\\\r\n]*)*)'|"([^"\\\r\n]*(?:\\.[^"\\\r\n]*)*)"|(?:(0|[1-9]\d{0,15})L?|(True|False))(?!\w)|([()[\]{},:]|$))/y;
  for (;;) {
    const found = pattern.exec(text);
    if (found === null) throw unreadable();
    const [, single, double, digits, truth, mark] = found;
    const quoted = single ?? double;
    if (quoted !== undefined) yield { kind: 'text', text: quoted };
    else if (digits !== undefined) yield { kind: 'number', value: BigInt(digits) };
    else if (truth !== undefined) yield { kind: 'truth' };
    else if (mark) yield mark;
    else return undefined;
  }
}

function unreadable(): Defect {
  return new Defect('the header cannot be read');
}
