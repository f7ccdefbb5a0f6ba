// SPDX-License-Identifier: Apache-2.0

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** `64MiB`, `10G`, `1048576` → bytes; undefined for anything else, and for 0. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,12})\s*([KMGT]i?)?B?$/.exec(text) ?? [];
  const bytes = Number(digits) * (SIZE_UNITS[unit] ?? Number.NaN);
  return Number.isSafeInteger(bytes) && bytes >= 1 ? bytes : undefined;
}
