import { Cron } from 'croner'
import { backoffDelay, type BackoffPolicy } from '../../lib/backoff.ts'
import type { CancelTimer, Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'

/** Again and again, `everyMs` after the last end; for the first time after `firstMs`, or else after `everyMs`. */
export interface Again {
  readonly everyMs: number
  readonly firstMs?: number
}

/**
 * At the times of a cron pattern, in the time zone of the server. A server that was off at such a time makes up for it:
 * `makeUpMs` after its start the job is asked for, unless one was done within `periodMs`.
 */
export interface AtTimes {
  readonly cron: string
  readonly periodMs: number
  readonly makeUpMs: number
}

export interface Job {
  /** As the log has it, and `maintenance_runs.kind` where the job leaves rows there. */
  readonly name: string
  readonly when: Again | AtTimes
  /** A job at times does nothing when one was done within so many milliseconds, on whichever server. */
  run(unlessDoneMs: number): Promise<void>
  /** What is left to do when the server stops. */
  end?(): Promise<void>
}

export interface ScheduleOptions {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
}

/** Of a job that failed, however seldom it comes otherwise: a database that is away is back in a while. */
const retry: BackoffPolicy = { minMs: 10_000, maxMs: 60 * 60_000 }
/** Of several servers the first one does it; a server whose clock is a little late finds it done. */
const doneMs = 12 * 60 * 60_000
/** Of one timer: the time of day may be set meanwhile, and a machine may sleep. */
const longestWaitMs = 60_000

/**
 * Does jobs at their times, each one run after the other. A failure is logged and tried again, in ten seconds at first
 * and within an hour at the latest. Answers how to stop: no job begins then, and those that run are waited for.
 */
export function schedule(jobs: readonly Job[], options: ScheduleOptions): () => Promise<void> {
  const stops = jobs.map((job) =>
    'cron' in job.when ? atTimes(job, job.when, options) : again(job, job.when, options),
  )
  return async () => {
    await Promise.all(stops.map((stop) => stop()))
    // A database that is away has its own lines in the log.
    for (const job of jobs) await job.end?.().catch(() => undefined)
  }
}

/** False: it failed. */
async function attempt(job: Job, unlessDoneMs: number, log: Log): Promise<boolean> {
  try {
    await job.run(unlessDoneMs)
    return true
  } catch (error) {
    log.error('A maintenance job failed', { job: job.name, error: errorText(error) })
    return false
  }
}

function atTimes(
  job: Job,
  { cron, periodMs, makeUpMs }: AtTimes,
  { clock, log, random }: ScheduleOptions,
): () => Promise<void> {
  const times = new Cron(cron, { paused: true })
  const nextAfter = (ms: number): number => times.nextRun(new Date(ms))?.getTime() ?? Infinity
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let cancelRetry: CancelTimer = () => undefined
  const begin = (unlessDoneMs: number, failures = 0): void => {
    cancelRetry()
    running = running.then(async () => {
      if ((await attempt(job, unlessDoneMs, log)) || stopped) return
      cancelRetry = clock.after(backoffDelay(retry, failures, random), () => begin(unlessDoneMs, failures + 1))
    })
  }
  let cancel: CancelTimer
  const waitFor = (at: number): void => {
    const ms = at - clock.now()
    if (ms > 0) {
      cancel = clock.after(Math.min(ms, longestWaitMs), () => waitFor(at))
      return
    }
    begin(doneMs)
    waitFor(nextAfter(Math.max(at, clock.now())))
  }
  waitFor(nextAfter(clock.now()))
  const cancelMakingUp = clock.after(makeUpMs, () => begin(periodMs))
  return async () => {
    stopped = true
    cancel()
    cancelMakingUp()
    cancelRetry()
    await running
  }
}

function again(
  job: Job,
  { everyMs, firstMs = everyMs }: Again,
  { clock, log, random }: ScheduleOptions,
): () => Promise<void> {
  let stopped = false
  let failures = 0
  let running: Promise<void> = Promise.resolve()
  let cancel: CancelTimer
  const round = (): void => {
    running = attempt(job, 0, log).then((isDone) => {
      const ms = isDone ? everyMs : Math.min(everyMs, backoffDelay(retry, failures, random))
      failures = isDone ? 0 : failures + 1
      if (!stopped) cancel = clock.after(ms, round)
    })
  }
  cancel = clock.after(firstMs, round)
  return async () => {
    stopped = true
    cancel()
    await running
  }
}
