// SPDX-License-Identifier: Apache-2.0
import { printable } from '../base/redact.ts';
import type { Signer } from '../trust/trust.ts';
import type { Requirement } from './policy.ts';

/** One genuine signature: who made it, and which signers of the policy that satisfies. */
export type Vote = { readonly signer: Signer; readonly satisfies: readonly string[] };

/** Why a requirement does not hold; `threshold` when distinct signers are missing. */
export type Unmet = { readonly kind: 'signer' | 'threshold'; readonly why: string };

/** Undefined: the requirement holds with these votes. */
export function unmet(requirement: Requirement, votes: readonly Vote[]): Unmet | undefined {
  switch (requirement.kind) {
    case 'signer':
      return votes.some((vote) => vote.satisfies.includes(requirement.signer))
        ? undefined
        : { kind: 'signer', why: `nobody signed as ${show(requirement.signer)}` };
    case 'allOf': {
      const failures = requirement.of.map((part) => unmet(part, votes)).filter((failure) => failure !== undefined);
      return combine(failures, ' and ');
    }
    case 'anyOf': {
      const failures = requirement.of.map((part) => unmet(part, votes));
      return failures.includes(undefined)
        ? undefined
        : combine(
            failures.filter((failure) => failure !== undefined),
            ', and ',
          );
    }
    case 'threshold': {
      const count = distinctSigners(requirement.of, votes);
      if (count >= requirement.atLeast) return undefined;
      const members = requirement.of.map((member) => member.map(show).join(' or ')).join(', ');
      return { kind: 'threshold', why: `${count} of ${requirement.atLeast} distinct signers have signed (of ${members})` };
    }
  }
}

/** The signers a requirement names, each once. */
export function signersOf(requirement: Requirement): readonly string[] {
  switch (requirement.kind) {
    case 'signer':
      return [requirement.signer];
    case 'threshold':
      return requirement.of.flat();
    case 'anyOf':
    case 'allOf':
      return [...new Set(requirement.of.flatMap(signersOf))];
  }
}

/** How many members can be satisfied by different people each: a largest matching between members and people. */
function distinctSigners(members: readonly (readonly string[])[], votes: readonly Vote[]): number {
  const people = peopleOf(votes);
  const wanted = members.map((member) =>
    people.flatMap((person, i) => (person.some((vote) => vote.satisfies.some((name) => member.includes(name))) ? [i] : [])),
  );
  const memberOf = new Map<number, number>();
  const assign = (member: number, tried: Set<number>): boolean => {
    for (const person of wanted[member] ?? []) {
      if (tried.has(person)) continue;
      tried.add(person);
      const holder = memberOf.get(person);
      if (holder === undefined || assign(holder, tried)) {
        memberOf.set(person, member);
        return true;
      }
    }
    return false;
  };
  return members.filter((_, i) => assign(i, new Set())).length;
}

/** Votes by who cast them: two that share a key, a name or a subject are one person's, by whatever methods they came. */
function peopleOf(votes: readonly Vote[]): readonly (readonly Vote[])[] {
  let people: { readonly marks: Set<string>; readonly votes: Vote[] }[] = [];
  for (const vote of votes) {
    const person = { marks: new Set(marksOf(vote.signer)), votes: [vote] };
    const same = people.filter((other) => [...person.marks].some((mark) => other.marks.has(mark)));
    for (const other of same) {
      for (const mark of other.marks) person.marks.add(mark);
      person.votes.push(...other.votes);
    }
    people = [...people.filter((other) => !same.includes(other)), person];
  }
  return people.map((person) => person.votes);
}

function marksOf(signer: Signer): readonly string[] {
  switch (signer.kind) {
    case 'key':
      return [`key ${signer.fingerprint}`];
    case 'certificate':
      return [
        ...(signer.key === undefined ? [] : [`key ${signer.key.fingerprint}`]),
        ...(signer.subject === '' ? [] : [`subject ${signer.subject}`]),
        ...signer.names.map((name) => `name ${name.toLowerCase()}`),
      ];
    case 'sigstore':
      // Whatever the issuer: an e-mail address is one person's at all of them.
      return [...(signer.key === undefined ? [] : [`key ${signer.key.fingerprint}`]), `name ${signer.identity.toLowerCase()}`];
    case 'nobody':
      return ['nobody'];
  }
}

function combine(failures: readonly Unmet[], separator: string): Unmet | undefined {
  const [first] = failures;
  if (first === undefined) return undefined;
  const kind = failures.some((failure) => failure.kind === 'threshold') ? 'threshold' : 'signer';
  return { kind, why: [...new Set(failures.map((failure) => failure.why))].join(separator) };
}

function show(name: string): string {
  return printable(name, 100);
}
