import { expect, test } from 'vitest'
import { ReadPace } from '../../server/capture/wal/read-pace.ts'

/** Reads of 100 bytes at these times; each answers how long the socket rests after it. */
const restsOf = (pace: ReadPace, times: readonly number[], bytes = 100): readonly number[] =>
  times.map((time) => pace.rest(time, bytes))
const every = (ms: number, count: number, from = 0): readonly number[] =>
  Array.from({ length: count }, (_, index) => from + index * ms)
/** As many reads in quick succession as make it busy. */
const busyAt = 40

test('commits at an even pace are read as they come, in however many pieces', () => {
  const commits = every(20, 200).flatMap((at) => [at, at + 0.1, at + 0.2, at + 0.3])
  expect(new Set(restsOf(new ReadPace(), commits))).toEqual(new Set([0]))
})

test('a few commits in quick succession are read as they come', () => {
  expect(restsOf(new ReadPace(), [0, ...every(1, 10, 1000)])).toEqual(Array(11).fill(0))
})

test('while many come, each read is followed by a rest, and the reads between rests keep it so', () => {
  const pace = new ReadPace()
  restsOf(pace, every(1, busyAt))
  const rested = restsOf(pace, every(4.5, 20, busyAt))
  expect(rested).toEqual(Array(20).fill(4))
})

test('what comes after a silence is read at once again', () => {
  const pace = new ReadPace()
  restsOf(pace, every(1, busyAt))
  expect(restsOf(pace, every(20, 10, busyAt + 1000))).toEqual(Array(10).fill(0))
})

test('a backlog is read without a rest', () => {
  expect(new Set(restsOf(new ReadPace(), every(1, 200), 64 * 1024))).toEqual(new Set([0]))
})
