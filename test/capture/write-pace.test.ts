import { expect, test } from 'vitest'
import { WritePace } from '../../server/capture/wal/write-pace.ts'

/** How long it waits when it is asked that long after the last write began. */
function waitAfter(pace: WritePace, ms: number): number {
  pace.begin(1000)
  return pace.wait(1000 + ms)
}

test('the first commit, and one after a pause, waits only until those here are told', () => {
  const pace = new WritePace()
  expect(pace.wait(0)).toBe(1)
  expect(waitAfter(pace, 50)).toBe(1)
})

test('a commit right after a write waits for the rest of the pause', () => {
  const pace = new WritePace()
  expect(waitAfter(pace, 0)).toBe(3)
  expect(waitAfter(pace, 1.5)).toBe(1.5)
})

test('while many come at once the pause doubles up to its limit, and a write of few makes it short again', () => {
  const pace = new WritePace()
  const waits = [5, 5, 5, 5, 4].map((commits) => {
    pace.wrote(commits)
    return waitAfter(pace, 0)
  })
  expect(waits).toEqual([6, 12, 24, 24, 3])
})
