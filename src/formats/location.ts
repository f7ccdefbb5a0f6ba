// SPDX-License-Identifier: Apache-2.0
import { Defect } from './finding.ts';

/** The plain relative name of a file that a loader will open beside the one that names it. @throws Defect when it leads elsewhere */
export function fileBeside(location: string): string {
  const parts = location.replace(/^(\.\/)+/, '').split('/');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  const unsafe = parts.some((part) => part === '' || part === '.' || part === '..') || /[\\\u0000-\u001f]|^[a-zA-Z]:/.test(location);
  if (unsafe) throw new Defect('takes data from outside the model');
  return parts.join('/');
}
