// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');

const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: ROOT }).toString().split('\n').filter(Boolean);

describe('every link within the repository', () => {
  it.each(pages)('of %s leads somewhere', (page) => {
    const broken = linksOf(readFileSync(join(ROOT, page), 'utf8')).filter((link) => !leadsSomewhere(link, page));
    expect(broken).toEqual([]);
  });
});

function linksOf(markdown: string): readonly string[] {
  const text = withoutCode(markdown);
  return [...text.matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)\)|(?:src|srcset|href)="([^"]+)"/g)]
    .map(([, inline, attribute]) => inline ?? attribute ?? '')
    .filter((link) => !/^[a-z]+:/i.test(link));
}

function leadsSomewhere(link: string, page: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), decodeURIComponent(path));
  if (!existsSync(target) || relative(ROOT, target).startsWith('..')) return false;
  if (anchor === undefined) return true;
  const file = statSync(target).isDirectory() ? join(target, 'README.md') : target;
  return existsSync(file) && anchorsOf(readFileSync(file, 'utf8')).has(anchor);
}

/** Headings as GitHub names them: lower case, punctuation dropped, blanks to hyphens, a number for those that come again. */
function anchorsOf(markdown: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutCode(markdown, 'fences').matchAll(/^#{1,6}\s+(.+?)\s*$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const name = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-');
    let unique = name;
    for (let n = 1; anchors.has(unique); n++) unique = `${name}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}

function withoutCode(markdown: string, what: 'fences' | 'all' = 'all'): string {
  const open = markdown.replace(/^(\s*)(```+|~~~+).*\n[\s\S]*?^\s*\2\s*$/gm, '');
  return what === 'fences' ? open : open.replace(/`[^`\n]*`/g, '');
}
