import type pg from 'pg'
import { pause } from './pause.ts'

let nextPosition = 10_000_000

/**
 * The first of so many positions that no task has ever had, above all seeded ones: a write that gives a row what it has
 * changes nothing, and nobody would hear of it.
 */
export function reservePositions(count: number): number {
  const first = nextPosition
  nextPosition += count
  return first
}

/**
 * When each write was begun and when its commit was acknowledged: milliseconds of `performance.now()`, by number of the
 * write.
 */
export interface Writes {
  /** Write `n` gives its task the position `first + n`. */
  readonly first: number
  readonly begun: Float64Array
  readonly committed: Float64Array
  readonly count: number
  /** Commits per second that were reached. */
  readonly rate: number
}

/** Room for the times of so many writes, with positions of their own. */
export function planWrites(count: number): Omit<Writes, 'rate'> {
  return { first: reservePositions(count), count, begun: new Float64Array(count), committed: new Float64Array(count) }
}

/** One commit: the task at `index` gets the position that tells which write this was. */
function write(client: pg.Client, ids: readonly string[], first: number, index: number): Promise<unknown> {
  return client.query({
    name: 'bench_write',
    text: 'update tasks set position = $1 where id = $2',
    values: [first + index, ids[index % ids.length]],
  })
}

/**
 * Commits one-row updates at an even pace on one connection, each to another task in turn. A commit that takes longer
 * than its turn delays the next ones, which are then begun at once. `into` is filled while it runs.
 */
export async function writePaced(
  client: pg.Client,
  ids: readonly string[],
  perSecond: number,
  into: Omit<Writes, 'rate'>,
): Promise<Writes> {
  const { count, first } = into
  const start = performance.now()
  for (let index = 0; index < count; index++) {
    const wait = start + (index * 1000) / perSecond - performance.now()
    if (wait > 0) await pause(wait)
    into.begun[index] = performance.now()
    await write(client, ids, first, index)
    into.committed[index] = performance.now()
  }
  return { ...into, rate: count / ((performance.now() - start) / 1000) }
}

/**
 * Writes what nobody measures, before what is: V8 interprets what has not run often yet, so a process in its first
 * seconds takes twice as long for a commit as one that has been at work for a minute.
 */
export async function warmUp(client: pg.Client, ids: readonly string[], plan: Omit<Writes, 'rate'>): Promise<void> {
  await writePaced(client, ids, 250, plan)
}

/** Commits one-row updates as fast as the connections take them. */
export async function writeFast(
  clients: readonly pg.Client[],
  ids: readonly string[],
  into: Omit<Writes, 'rate'>,
): Promise<Writes> {
  const { count, first, begun, committed } = into
  const start = performance.now()
  let next = 0
  await Promise.all(
    clients.map(async (client) => {
      for (let index = next++; index < count; index = next++) {
        begun[index] = performance.now()
        await write(client, ids, first, index)
        committed[index] = performance.now()
      }
    }),
  )
  return { ...into, rate: count / ((performance.now() - start) / 1000) }
}
