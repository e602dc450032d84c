import { expect, test } from 'vitest'
import { schedule, type Job } from '../../server/maintenance/schedule.ts'
import { silentLog, type Log } from '../../server/telemetry/telemetry.ts'
import { ManualClock } from '../support/manual-clock.ts'

const minute = 60_000
const hour = 60 * minute
const noon = new Date(2026, 10, 22, 12).getTime()
const atTwo = { cron: '0 2 * * *', periodMs: 23 * hour, makeUpMs: 5 * minute }

/** When the job was asked for, in hours after noon, and within how many hours it need not have been done. */
async function asked(when: Job['when'], ms: number) {
  const clock = new ManualClock(noon)
  const asks: (readonly [at: number, unlessDone: number])[] = []
  const stop = schedule(
    [
      {
        name: 'one',
        when,
        run: async (unlessDoneMs) => void asks.push([(clock.now() - noon) / hour, unlessDoneMs / hour]),
      },
    ],
    { clock, log: silentLog },
  )
  await clock.advance(ms)
  await stop()
  return asks
}

test('a job of the night is asked for at its time, and once after the start for what a server that was off has missed', async () => {
  expect(await asked(atTwo, 39 * hour)).toEqual([
    [1 / 12, 23],
    [14, 12],
    [38, 12],
  ])
})

test('a job that comes again and again waits for the end of its last run', async () => {
  expect(await asked({ everyMs: hour, firstMs: 0 }, 2 * hour)).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
  ])
  const clock = new ManualClock(noon)
  let begun = 0
  let ended = (): void => undefined
  const run = (): Promise<void> => {
    begun += 1
    return new Promise((resolve) => (ended = resolve))
  }
  const stop = schedule([{ name: 'one', when: { everyMs: minute }, run }], { clock, log: silentLog })
  await clock.advance(10 * minute)
  expect(begun).toBe(1)
  ended()
  await stop()
})

test('a job that fails is named in the log, and comes again', async () => {
  const clock = new ManualClock(noon)
  const told: unknown[] = []
  const log: Log = { ...silentLog, error: (_, details) => void told.push(details) }
  const run = (): Promise<void> => Promise.reject(new Error('No.'))
  const stop = schedule([{ name: 'one', when: { everyMs: minute }, run }], { clock, log })
  await clock.advance(2 * minute)
  await stop()
  expect(told).toEqual([
    { job: 'one', error: 'No.' },
    { job: 'one', error: 'No.' },
  ])
})

test('a schedule that is stopped begins nothing, waits for what runs, and lets jobs do what is left', async () => {
  const clock = new ManualClock(noon)
  const happened: string[] = []
  let ended = (): void => undefined
  const stop = schedule(
    [
      {
        name: 'one',
        when: atTwo,
        run: async () => {
          await new Promise<void>((resolve) => (ended = resolve))
          happened.push('run')
        },
        end: async () => void happened.push('end'),
      },
    ],
    { clock, log: silentLog },
  )
  await clock.advance(5 * minute)
  const stopped = stop()
  ended()
  await stopped
  await clock.advance(48 * hour)
  expect(happened).toEqual(['run', 'end'])
})
