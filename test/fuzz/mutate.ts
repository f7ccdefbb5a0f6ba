// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';

/** What makes one input from others. Plain data, so that fast-check can print it, play it again and shrink it. */
export type Change =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'remove'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number; readonly times: number }
  | { readonly kind: 'move'; readonly from: number; readonly at: number; readonly length: number }
  | { readonly kind: 'cut'; readonly at: number }
  /** The n-th run of digits becomes another number. */
  | { readonly kind: 'number'; readonly nth: number; readonly value: string }
  | { readonly kind: 'token'; readonly at: number; readonly token: string; readonly over: boolean }
  /** The n-th value of a JSON document becomes another one, or vanishes, or comes twice. */
  | { readonly kind: 'json'; readonly nth: number; readonly action: 'remove' | 'twice' | 'replace'; readonly value: unknown }
  /** Part of another seed. */
  | { readonly kind: 'splice'; readonly seed: number; readonly from: number; readonly at: number; readonly length: number };

const NUMBERS = ['0', '-1', '1e999', '4294967296', '9007199254740993', '18446744073709551615', '99999999999999999999', '007', '1.5', '0x10', ''];
const BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x20, 0x22, 0x2f, 0x5c, 0x30, 0x31];
export const HOSTILE_VALUES: readonly unknown[] = [
  ...[null, true, 0, -1, 1e308, 2 ** 53, '', '../x', '/etc/passwd', 'a\u0000b', '\ud800', 'x'.repeat(5000), [], {}, [[]], [null]],
  ...[{ __proto__: null }, JSON.parse('{"__proto__":{"polluted":true}}'), { constructor: { prototype: {} } }, { toString: 1, length: -1 }, { kind: 'key' }],
];
const TOKENS = [
  ...['"', '{', '}', '[', ']', ',', ':', '\\', '\\u0000', '"__proto__":', '"constructor":', 'null', '1e999', '\r\n', '\n', '\r\n\r\n', '\t'],
  ...['..', '../', '/', '%2e%2e', '%00', '?', '#', '@', '&a [*a]', '!!js/function', '<<: *a', '---\n', '- ', ': ', '|', '>', '\u0000', '\u202e', '\ufeff'],
  ...['Content-Length: 5', 'Content-Length: 18446744073709551616', 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity', 'Content-Range: bytes 0-4/5'],
  ...[
    'Connection: close',
    'Content-Encoding: gzip',
    'Location: http://169.254.169.254/',
    'HTTP/1.1 100 Continue',
    'HTTP/1.1 206 Partial Content',
    'Upgrade: h2c',
  ],
  ...[
    '-----BEGIN CERTIFICATE-----',
    '-----END PUBLIC KEY-----',
    'machine',
    'default',
    'macdef',
    'password',
    'PK\u0003\u0004',
    'PK\u0005\u0006',
    'ustar',
    'cos\nsystem\n',
  ],
];

const at = fc.nat({ max: 1 << 20 });
const length = fc.oneof(fc.nat({ max: 16 }), fc.nat({ max: 2000 }));

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('set' as const), at, byte: fc.oneof(fc.constantFrom(...BYTES), fc.nat({ max: 255 })) }),
  fc.record({ kind: fc.constant('insert' as const), at, bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }) }),
  fc.record({ kind: fc.constant('remove' as const), at, length }),
  fc.record({ kind: fc.constant('repeat' as const), at, length, times: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 300 })) }),
  fc.record({ kind: fc.constant('move' as const), from: at, at, length }),
  fc.record({ kind: fc.constant('cut' as const), at }),
  fc.record({ kind: fc.constant('number' as const), nth: fc.nat({ max: 200 }), value: fc.constantFrom(...NUMBERS) }),
  fc.record({ kind: fc.constant('token' as const), at, token: fc.constantFrom(...TOKENS), over: fc.boolean() }),
  fc.record({
    kind: fc.constant('json' as const),
    nth: fc.nat({ max: 200 }),
    action: fc.constantFrom('remove' as const, 'twice' as const, 'replace' as const),
    value: fc.constantFrom(...HOSTILE_VALUES),
  }),
  fc.record({ kind: fc.constant('splice' as const), seed: fc.nat({ max: 100 }), from: at, at, length }),
);

export type Recipe = { readonly seed: number; readonly changes: readonly Change[] };

export const recipe: fc.Arbitrary<Recipe> = fc.record({ seed: fc.nat({ max: 1000 }), changes: fc.array(change, { minLength: 1, maxLength: 6 }) });

const MAX_BYTES = 1024 * 1024;

/** The input that a recipe means. */
export function prepare({ seed, changes }: Recipe, seeds: readonly Buffer[]): Buffer {
  const first = seeds[seed % seeds.length] ?? Buffer.alloc(0);
  return changes.reduce((bytes, one) => apply(one, bytes, seeds).subarray(0, MAX_BYTES), first);
}

function apply(one: Change, bytes: Buffer, seeds: readonly Buffer[]): Buffer {
  const place = 'at' in one ? one.at % (bytes.length + 1) : 0;
  const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)];
  switch (one.kind) {
    case 'flip':
      return withByte(bytes, place, (bytes[place] ?? 0) ^ (1 << one.bit));
    case 'set':
      return withByte(bytes, place, one.byte);
    case 'insert':
      return Buffer.concat([before, one.bytes, after]);
    case 'remove':
      return Buffer.concat([before, after.subarray(one.length)]);
    case 'repeat':
      return Buffer.concat([before, ...Array<Buffer>(one.times).fill(after.subarray(0, one.length)), after]);
    case 'move':
      return Buffer.concat([before, bytes.subarray(one.from % (bytes.length + 1)).subarray(0, one.length), after]);
    case 'cut':
      return before;
    case 'number':
      return withNumber(bytes, one.nth, one.value);
    case 'token':
      return Buffer.concat([before, Buffer.from(one.token), after.subarray(one.over ? Buffer.byteLength(one.token) : 0)]);
    case 'json':
      return withJson(bytes, one);
    case 'splice': {
      const other = seeds[one.seed % seeds.length] ?? Buffer.alloc(0);
      return Buffer.concat([before, other.subarray(one.from % (other.length + 1)).subarray(0, one.length), after]);
    }
  }
}

function withByte(bytes: Buffer, at: number, byte: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = byte;
  return changed;
}

function withNumber(bytes: Buffer, nth: number, value: string): Buffer {
  const text = bytes.toString('latin1');
  const numbers = [...text.matchAll(/\d+/g)];
  const match = numbers[nth % Math.max(1, numbers.length)];
  if (match === undefined) return bytes;
  return Buffer.from(text.slice(0, match.index) + value + text.slice(match.index + match[0].length), 'latin1');
}

/** Documents that are no JSON any more stay as they are. */
function withJson(bytes: Buffer, { nth, action, value }: Extract<Change, { kind: 'json' }>): Buffer {
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    return bytes;
  }
  const places: { readonly holder: Record<string, unknown>; readonly key: string }[] = [];
  const walk = (holder: unknown): void => {
    if (typeof holder !== 'object' || holder === null) return;
    for (const key of Object.keys(holder)) {
      places.push({ holder: holder as Record<string, unknown>, key });
      walk((holder as Record<string, unknown>)[key]);
    }
  };
  walk(document);
  const place = places[nth % Math.max(1, places.length)];
  if (place === undefined) return Buffer.from(JSON.stringify(value) ?? '');
  const { holder, key } = place;
  if (action === 'replace') holder[key] = value;
  else if (Array.isArray(holder)) holder.splice(Number(key), action === 'remove' ? 1 : 0, ...(action === 'remove' ? [] : [holder[Number(key)]]));
  else if (action === 'remove') delete holder[key];
  else holder[`${key}2`] = holder[key];
  return Buffer.from(JSON.stringify(document));
}
