// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, test } from 'vitest';
import { type Crew, createCrew } from '../../src/transfer/crew.ts';

const MIB = 1024 * 1024;
const http = { verifyTls: true, connectTimeoutMs: 1000, stallTimeoutMs: 1000 };
const signal = new AbortController().signal;
const crews: Crew[] = [];

function crewOf(files: number, workers: number, knownBytes = 0): Crew {
  const crew = createCrew({ files, knownBytes, budget: { connections: 16, workers }, http }, signal);
  crews.push(crew);
  return crew;
}

afterEach(async () => {
  for (const crew of crews.splice(0)) await crew[Symbol.asyncDispose]();
});

describe('a crew', () => {
  test('spreads large files that come at the same time evenly over its workers', async () => {
    const crew = crewOf(4, 2);
    for (let i = 0; i < 4; i++) crew.known();
    const places = await Promise.all([1, 2, 3, 4].map(() => crew.placeLarge(300 * MIB)));
    const counts = Map.groupBy(places, ({ executor }) => executor);
    expect([...counts.values()].map((list) => list.length)).toEqual([2, 2]);
    expect(places.every(({ executor }) => !executor.isLocal)).toBe(true);
  });

  test('gives a worker again when its file is over, before it hires another one', async () => {
    const crew = crewOf(2, 2);
    for (let i = 0; i < 2; i++) crew.known();
    const first = await crew.placeLarge(200 * MIB);
    first[Symbol.dispose]();
    expect((await crew.placeLarge(200 * MIB)).executor).toBe(first.executor);
  });

  test('has the hash of a single large file in a thread of its own, not that of one among others', async () => {
    const alone = crewOf(3, 2);
    const place = alone.placeLarge(300 * MIB);
    for (let i = 0; i < 3; i++) alone.known();
    expect((await place).hashApart).toBe(true);
    expect((await alone.placeLarge(300 * MIB)).hashApart).toBe(false);
    const few = crewOf(1, 2);
    few.known();
    expect((await few.placeLarge(129 * MIB)).hashApart).toBe(false);
  });

  test('opens files itself until the first ones tell that there is enough to come, and again when there is not', async () => {
    const crew = crewOf(100, 2);
    for (let i = 0; i < 4; i++) {
      expect((await crew.place(undefined)).executor.isLocal).toBe(true);
      crew.done(MIB);
    }
    expect((await crew.place(undefined)).executor.isLocal).toBe(false);
    for (let i = 0; i < 90; i++) crew.done(MIB);
    expect((await crew.place(undefined)).executor.isLocal).toBe(true);
    const tiny = crewOf(1000, 2);
    for (let i = 0; i < 10; i++) tiny.done(1024);
    expect((await tiny.place(undefined)).executor.isLocal).toBe(true);
  });

  test('takes its share of many small files in place of one worker: half as many at a time as each of them', async () => {
    const executorsOf = async (workers: number): Promise<readonly number[]> => {
      const crew = crewOf(100, workers);
      for (let i = 0; i < 50; i++) crew.done(MIB);
      const places = await Promise.all(Array.from({ length: 15 }, () => undefined).map(() => crew.place(undefined)));
      // Those that came before the first worker was there have gone to it.
      for (const place of places.splice(0)) place[Symbol.dispose]();
      for (let i = 0; i < 15; i++) places.push(await crew.place(undefined));
      const counts = Map.groupBy(places, ({ executor }) => executor);
      const local = places.filter(({ executor }) => executor.isLocal).length;
      return [local, ...[...counts].filter(([{ isLocal }]) => !isLocal).map(([, list]) => list.length)];
    };
    expect(await executorsOf(2)).toEqual([5, 10]);
    expect((await executorsOf(3)).length).toBe(3);
  });

  test('keeps files of middling length itself until there are enough of them, and has one worker less for the others', async () => {
    const crew = crewOf(10, 2);
    const places = await Promise.all(Array.from({ length: 5 }, () => crew.place(undefined)));
    const kept = places.map((place) => place.keeps?.(100 * MIB));
    expect(kept).toEqual([true, true, false, false, false]);
    // Too short to be opened twice.
    expect((await crew.place(undefined)).keeps?.(31 * MIB)).toBe(true);
    const others = await Promise.all([1, 2, 3].map(() => crew.placeLarge(100 * MIB)));
    expect(others.some(({ executor }) => executor.isLocal)).toBe(false);
    expect(new Set(others.map(({ executor }) => executor)).size).toBe(1);
    expect(others.some((place) => 'keeps' in place)).toBe(false);
    for (const place of places) place[Symbol.dispose]();
    const again = await crew.place(undefined);
    expect([again.keeps?.(100 * MIB), again.executor.isLocal]).toEqual([true, true]);
  });

  test('keeps no file of more than 128 MiB, and every one where there is one processor', async () => {
    const first = await crewOf(1, 1).place(undefined);
    expect([first.keeps?.(128 * MIB), (await crewOf(1, 1).place(undefined)).keeps?.(128 * MIB + 1)]).toEqual([true, false]);
    expect('keeps' in (await crewOf(1, 0).place(undefined))).toBe(false);
  });

  test('reads no small files of a volume itself once it has workers: it might never come back', async () => {
    const crew = createCrew({ files: 100, knownBytes: 0, budget: { connections: 16, workers: 2 }, http: undefined }, signal);
    crews.push(crew);
    for (let i = 0; i < 50; i++) crew.done(MIB);
    const places = [];
    for (let i = 0; i < 6; i++) places.push(await crew.place(undefined));
    expect(places.some(({ executor }) => executor.isLocal)).toBe(false);
    expect(new Set(places.map(({ executor }) => executor)).size).toBe(2);
  });

  test('uses workers from the start where lengths are known to be worth it, and never where there is one processor', async () => {
    expect((await crewOf(2, 2, 600 * MIB).place(300 * MIB)).executor.isLocal).toBe(false);
    expect((await crewOf(2, 2, 600 * MIB).place(MIB)).executor.isLocal).toBe(true);
    expect((await crewOf(2, 0, 600 * MIB).place(300 * MIB)).executor.isLocal).toBe(true);
  });
});
