import { expect, test } from 'vitest'
import { seededRandom, type Random } from '../../lib/random.ts'
import { schedule, type Job } from '../../server/maintenance/schedule.ts'
import { silentLog, type Log } from '../../server/telemetry/telemetry.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** Pauses are as long as they may be. */
const random: Random = { ...seededRandom(1), next: () => 1 }
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
    { clock, log: silentLog, random },
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
  const stop = schedule([{ name: 'one', when: { everyMs: minute }, run }], { clock, log: silentLog, random })
  await clock.advance(10 * minute)
  expect(begun).toBe(1)
  ended()
  await stop()
})

test.for([
  ['seldom', { everyMs: 24 * hour, firstMs: 20_000 }, 20_000],
  ['at night', atTwo, 5 * minute],
] as const)(
  'a job that comes %s is named in the log when it fails, and is tried again soon, later and later until it succeeds',
  async ([, when, firstMs]) => {
    const clock = new ManualClock(noon)
    const asks: (readonly [seconds: number, unlessDoneMs: number])[] = []
    const told: unknown[] = []
    const log: Log = { ...silentLog, error: (_, details) => void told.push(details) }
    const run = async (unlessDoneMs: number): Promise<void> => {
      asks.push([(clock.now() - noon - firstMs) / 1000, unlessDoneMs])
      if (asks.length < 5) throw new Error('No.')
    }
    const stop = schedule([{ name: 'one', when, run }], { clock, log, random })
    await clock.advance(13 * hour)
    await stop()
    expect(asks.map(([seconds]) => seconds)).toEqual([0, 10, 30, 70, 150])
    expect(new Set(asks.map(([, unlessDoneMs]) => unlessDoneMs)).size).toBe(1)
    expect(told).toEqual(Array(4).fill({ job: 'one', error: 'No.' }))
  },
)

test('a job that fails for long is tried again every hour, or as often as it comes', async () => {
  const failing = async (when: Job['when'], ms: number): Promise<readonly number[]> => {
    const clock = new ManualClock(noon)
    const tries: number[] = []
    const run = async (): Promise<void> => {
      tries.push(clock.now())
      throw new Error('No.')
    }
    const stop = schedule([{ name: 'one', when, run }], { clock, log: silentLog, random })
    await clock.advance(ms)
    await stop()
    return tries.map((at, index) => at - (tries[index - 1] ?? noon))
  }
  expect((await failing({ everyMs: 24 * hour }, 34 * hour)).at(-1)).toBe(hour)
  expect(new Set(await failing({ everyMs: 5000 }, minute))).toEqual(new Set([5000]))
})

test('a job of the night that waits to be tried again is done at its time, once', async () => {
  const clock = new ManualClock(noon)
  const asks: number[] = []
  const run = async (): Promise<void> => {
    asks.push((clock.now() - noon) / hour)
    if (asks.length === 1) throw new Error('No.')
  }
  const when = { cron: '0 2 * * *', periodMs: 23 * hour, makeUpMs: 14 * hour - 5000 }
  const stop = schedule([{ name: 'one', when, run }], { clock, log: silentLog, random })
  await clock.advance(20 * hour)
  await stop()
  expect(asks.map((hours) => Math.round(hours * 3600) - 14 * 3600)).toEqual([-5, 0])
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
    { clock, log: silentLog, random },
  )
  await clock.advance(5 * minute)
  const stopped = stop()
  ended()
  await stopped
  await clock.advance(48 * hour)
  expect(happened).toEqual(['run', 'end'])
})
