// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHead } from '../../src/transfer/responseHead.ts';

const head = (...lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
const OK = 'HTTP/1.1 200 OK';

describe('the head of an answer', () => {
  test('is read up to its empty line, names in lower case, values trimmed', () => {
    const bytes = Buffer.concat([head(OK, 'Content-Length: 5', 'ETag:"x"\t ', 'X-Name: a: b'), Buffer.from('hello')]);
    expect(parseHead(bytes)).toEqual({
      status: 200,
      headers: { 'content-length': '5', etag: '"x"', 'x-name': 'a: b' },
      bodyBytes: 5,
      keepAlive: true,
      headBytes: bytes.length - 5,
    });
  });

  test('is not there before its empty line is', () => {
    const bytes = head(OK, 'Content-Length: 5');
    for (let length = 0; length < bytes.length; length++) expect(parseHead(bytes.subarray(0, length))).toBeUndefined();
  });

  test('may close the connection after its body, and repeat names that may be repeated', () => {
    expect(parseHead(head(OK, 'content-length: 0', 'connection: close', 'x: 1', 'X: 2', 'x: 3'))).toMatchObject({
      keepAlive: false,
      headers: { x: ['1', '2', '3'] },
    });
    expect(parseHead(head(OK, 'content-length: 0', 'connection: keep-alive, upgrade'))).toMatchObject({ keepAlive: false });
  });

  test.each([
    ['another version', ['HTTP/1.0 200 OK', 'content-length: 1']],
    ['no HTTP at all', ['SSH-2.0-OpenSSH']],
    ['an interim answer', ['HTTP/1.1 100 Continue', 'content-length: 1']],
    ['a status of four digits', ['HTTP/1.1 2000 OK', 'content-length: 1']],
    ['no length', [OK]],
    ['two lengths', [OK, 'content-length: 1', 'content-length: 1']],
    ['a list of lengths', [OK, 'content-length: 1, 1']],
    ['a negative length', [OK, 'content-length: -1']],
    ['a length with a sign', [OK, 'content-length: +1']],
    ['a length in hexadecimal', [OK, 'content-length: 0x10']],
    ['an absurd length', [OK, 'content-length: 99999999999999999999']],
    ['chunks', [OK, 'transfer-encoding: chunked']],
    ['chunks and a length, as request smugglers send them', [OK, 'content-length: 5', 'Transfer-Encoding : chunked']],
    ['both in order', [OK, 'content-length: 5', 'transfer-encoding: identity']],
    ['a coding', [OK, 'content-length: 5', 'content-encoding: gzip']],
    ['an upgrade', [OK, 'content-length: 5', 'upgrade: h2c']],
    ['a folded line', [OK, 'x: a', ' b', 'content-length: 5']],
    ['a name with a blank', [OK, 'x y: a', 'content-length: 5']],
    ['a line without a colon', [OK, 'nothing', 'content-length: 5']],
    ['a bare line feed', [OK, 'x: a\ncontent-length: 5', 'content-length: 6']],
    ['a bare carriage return', [OK, 'x: a\rcontent-length: 5', 'content-length: 6']],
    ['a NUL', [OK, 'x: a\0', 'content-length: 5']],
    ['too many lines', [OK, ...Array.from({ length: 300 }, (_, i) => `x${i}: 1`), 'content-length: 5']],
  ])('with %s is left to the HTTP library', (_, lines) => {
    expect(parseHead(head(...lines))).toBe('unusual');
  });

  test('that announces no object may send its message in any way', () => {
    expect(parseHead(head('HTTP/1.1 404 Not Found', 'transfer-encoding: chunked'))).toMatchObject({ status: 404, bodyBytes: 'open', keepAlive: false });
    expect(parseHead(head('HTTP/1.1 503', 'content-length: 3'))).toMatchObject({ status: 503, bodyBytes: 3, keepAlive: true });
    expect(parseHead(head('HTTP/1.1 304 Not Modified', 'content-length: 1'))).toMatchObject({ status: 304, bodyBytes: 0 });
  });

  test('does not reach into prototypes', () => {
    const parsed = parseHead(head(OK, '__proto__: x', 'constructor: y', 'content-length: 5'));
    expect(parsed).toMatchObject({ status: 200 });
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  test('whatever its bytes are, is a head, unusual, or not yet there, and never longer than they are', () => {
    const piece = fc.constantFrom('HTTP/1.1 200 OK', '\r\n', '\r', '\n', ':', ' ', 'content-length', '5', 'transfer-encoding', 'chunked', '\0', '\xff', 'x');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
        ),
        (bytes) => {
          const parsed = parseHead(Buffer.from(bytes));
          if (parsed === undefined || parsed === 'unusual') return;
          expect(parsed.headBytes).toBeLessThanOrEqual(bytes.length);
          expect(parsed.bodyBytes).toBeGreaterThanOrEqual(0);
          expect(parsed.headers['transfer-encoding']).toBeUndefined();
        },
      ),
      { numRuns: 5000 },
    );
  });
});
