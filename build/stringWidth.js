// SPDX-License-Identifier: Apache-2.0
// What the bundle has in place of the package string-width, with which yargs lays out --help: loading that one takes as long as starting
// Node (it compiles Unicode tables), and our help is plain ASCII.

/** Columns of a text on a terminal. */
export default function stringWidth(text) {
  return text.length;
}
