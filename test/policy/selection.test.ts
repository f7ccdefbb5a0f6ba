// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareByName } from '../../src/oms/path.ts';
import { select } from '../../src/policy/selection.ts';
import { filesNamed, listed, read, refused } from '../oms/payload.ts';

const NAMES = [
  '.hidden',
  'README.md',
  'config.json',
  'onnx/model.onnx',
  'onnx/model.onnx_data',
  'pytorch_model.bin',
  'sub/.cache/x.bin',
  'sub/model.safetensors',
];

/** What --include and --exclude ask for; KServe's patterns have tests of their own. */
function asked(include: readonly string[], exclude: readonly string[]): Parameters<typeof select>[1] {
  return { include, exclude, patterns: { allow: [], ignore: [] } };
}

function selected(include: readonly string[], exclude: readonly string[] = [], names: readonly string[] = NAMES): readonly string[] {
  const manifest = read(listed(filesNamed(...[...names].sort(compareByName))));
  return select(manifest, asked(include, exclude)).wanted.map((file) => file.path);
}

describe('the selection', () => {
  it('is everything when nothing is asked', () => {
    expect(selected([])).toEqual(NAMES);
  });

  it('without a slash goes by the last component, at any depth, hidden files too', () => {
    expect(selected(['*.bin'])).toEqual(['pytorch_model.bin', 'sub/.cache/x.bin']);
    expect(selected(['*'])).toEqual(NAMES);
    expect(selected(['config.json'])).toEqual(['config.json']);
    expect(selected(['.hidden'])).toEqual(['.hidden']);
  });

  it('with a slash goes by the whole name, and a star crosses no slash', () => {
    expect(selected(['sub/*'])).toEqual(['sub/model.safetensors']);
    expect(selected(['sub/**'])).toEqual(['sub/.cache/x.bin', 'sub/model.safetensors']);
    expect(selected(['**/*.bin'])).toEqual(['pytorch_model.bin', 'sub/.cache/x.bin']);
    expect(selected(['*/x.bin', 'README.md'])).toEqual(['README.md']);
  });

  it('takes what is included and not excluded, and names the rest', () => {
    const manifest = read(listed(filesNamed(...NAMES)));
    const { wanted, notRequested } = select(manifest, asked(['*.bin', '*.json'], ['sub/**']));
    expect(wanted.map((f) => f.path)).toEqual(['config.json', 'pytorch_model.bin']);
    expect(notRequested).toEqual(NAMES.filter((name) => name !== 'config.json' && name !== 'pytorch_model.bin'));
    expect(selected([], ['*.bin', 'onnx/*'])).toEqual(['.hidden', 'README.md', 'config.json', 'sub/model.safetensors']);
  });

  it('is case-sensitive and knows braces, classes and question marks; an exclamation mark turns nothing round', () => {
    expect(selected(['readme.md', 'config.*'])).toEqual(['config.json']);
    expect(selected(['*.{md,json}'])).toEqual(['README.md', 'config.json']);
    expect(selected(['[Rc]*'])).toEqual(['README.md', 'config.json']);
    expect(selected(['config.jso?'])).toEqual(['config.json']);
    expect(selected(['!config.json', '*.md'])).toEqual(['README.md']);
  });

  it('is not fooled by a line break in a directory’s name', () => {
    const names = ['a\nb/evil.py', 'a\nb/model.bin', 'model.bin'];
    expect(selected([], ['**/*.py'], names)).toEqual(['a\nb/model.bin', 'model.bin']);
    expect(selected([], ['**/evil.py'], names)).toEqual(['a\nb/model.bin', 'model.bin']);
    expect(selected(['a*/**'], [], names)).toEqual(['a\nb/evil.py', 'a\nb/model.bin']);
  });

  it('may not be empty', () => {
    expect(() => selected(['*.nothing'])).toThrow(refused('CONFIG_INVALID', /leave no file/));
    expect(() => selected([], ['**'])).toThrow(refused('CONFIG_INVALID'));
    expect(() => selected(['*.bin'], ['*.bin'])).toThrow(refused('CONFIG_INVALID'));
  });

  it('and the rest are the manifest, each file once', () => {
    const glob = fc.constantFrom('*', '*.bin', '*.json', 'sub/**', 'onnx/*', '**/model*', '.*');
    const manifest = read(listed(filesNamed(...NAMES)));
    fc.assert(
      fc.property(fc.array(glob, { maxLength: 3 }), fc.array(glob, { maxLength: 3 }), (include, exclude) => {
        let parts: readonly string[];
        try {
          const { wanted, notRequested } = select(manifest, asked(include, exclude));
          parts = [...wanted.map((f) => f.path), ...notRequested];
        } catch (error) {
          expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
          return;
        }
        expect([...parts].sort()).toEqual([...NAMES].sort());
      }),
    );
  });
});
