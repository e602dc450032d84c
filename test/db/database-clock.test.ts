import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../lib/clock.ts'
import { openDatabaseClock, type DatabaseClock } from '../../server/db/db.ts'
import { ManualClock } from '../support/manual-clock.ts'

const noon = Date.UTC(2026, 10, 22, 12)
const hour = 3_600_000

describe('the clock of the database', () => {
  let machine: ManualClock
  /** What the machine's wall clock is wrong by, and what the database's is. */
  let [skew, databaseSkew, pauseMs] = [0, 0, 0]
  let isAway = false
  let clock: DatabaseClock
  let own: Clock

  beforeEach(async () => {
    machine = new ManualClock(noon)
    ;[skew, databaseSkew, pauseMs, isAway] = [0, 0, 0, false]
    own = {
      now: () => machine.now() + skew,
      monotonic: () => machine.monotonic() - noon,
      after: (ms, run) => machine.after(ms, run),
    }
    clock = await openDatabaseClock(async () => {
      if (isAway) throw new Error('away')
      const now = machine.now() + databaseSkew
      if (pauseMs > 0) await new Promise<void>((resolve) => void machine.after(pauseMs, resolve))
      return now
    }, own)
  })
  afterEach(() => clock.stop())

  test.each([
    ['an hour ahead', hour],
    ['a year behind', -365 * 24 * hour],
  ])('is right while that of the machine jumps to %s', async (_, jump) => {
    skew = jump
    expect(clock.now()).toBe(noon)
    await machine.advance(60_000)
    expect(clock.now()).toBe(noon + 60_000)
    expect(clock.monotonic()).toBe(60_000)
  })

  test('follows the database within ten seconds when that one is set', async () => {
    databaseSkew = -hour
    await machine.advance(10_000)
    expect(clock.now()).toBe(noon + 10_000 - hour)
  })

  test('goes on by itself while the database is away, and asks again', async () => {
    isAway = true
    databaseSkew = hour
    await machine.advance(60_000)
    expect(clock.now()).toBe(noon + 60_000)
    isAway = false
    await machine.advance(10_000)
    expect(clock.now()).toBe(noon + 70_000 + hour)
  })

  test('does not believe an answer that took seconds', async () => {
    databaseSkew = hour
    pauseMs = 3000
    await machine.advance(13_000)
    expect(clock.now()).toBe(machine.now())
    expect(clock.now()).toBeLessThan(noon + hour)
  })
})
