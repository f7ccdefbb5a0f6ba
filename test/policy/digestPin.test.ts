// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { checkDigestPin } from '../../src/policy/digestPin.ts';
import { digestOf, filesNamed, listed, read } from '../oms/payload.ts';

const manifest = read(listed(filesNamed('a', 'b')));

it('any model passes when none is pinned', () => {
  expect(() => checkDigestPin([], manifest)).not.toThrow();
});

it('a model passes when its root digest is one of the pins', () => {
  expect(() => checkDigestPin([manifest.rootDigest], manifest)).not.toThrow();
  expect(() => checkDigestPin([digestOf('other'), manifest.rootDigest], manifest)).not.toThrow();
});

it('another genuine model is refused, and both digests are told', () => {
  const older = read(listed(filesNamed('a')));
  expect(() => checkDigestPin([manifest.rootDigest], older)).toThrow(
    expect.objectContaining({
      code: 'DIGEST_NOT_PINNED',
      context: { expected: `sha256:${manifest.rootDigest}`, found: `sha256:${older.rootDigest}` },
    }),
  );
});

it('a pin is the root digest, not the digest of a file', () => {
  const single = read(listed(filesNamed('a')));
  expect(() => checkDigestPin([digestOf('a')], single)).toThrow(expect.objectContaining({ code: 'DIGEST_NOT_PINNED' }));
});
