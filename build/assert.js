// SPDX-License-Identifier: Apache-2.0
// What the bundle has in place of Node's `assert`, with which yargs compares two values and tar looks at one: Node's own brings differences of
// texts, colours and the terminal along, and takes as long to load as all of yargs.
export default function assert(value, message = 'assertion failed') {
  if (!value) throw new Error(message);
}

export function strictEqual(actual, expected, message) {
  assert(Object.is(actual, expected), message);
}

export function notStrictEqual(actual, expected, message) {
  assert(!Object.is(actual, expected), message);
}

assert.equal = strictEqual;
