// SPDX-License-Identifier: Apache-2.0
// What the bundle has in place of the package y18n, from which yargs has its words: that one looks for a file of translations beside the
// program's folder, by a name that LC_ALL and the like choose. There is none, and a gate reads nothing that nobody mounted for it.
import { format } from 'node:util';

const DEFAULT_LOCALE = 'en_US';

export default function y18n() {
  const words = Object.create(null);
  let locale = DEFAULT_LOCALE;
  return {
    __: (text, ...values) => format(words[text] ?? text, ...values),
    __n(one, many, count, ...values) {
      const text = count === 1 ? one : many;
      return text.includes('%d') ? format(text, count, ...values) : format(text, ...values);
    },
    setLocale: (to) => void (locale = to),
    getLocale: () => locale,
    updateLocale: (more) => void Object.assign(words, more),
    locale,
  };
}
