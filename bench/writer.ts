import type pg from 'pg'
import { pause } from './pause.ts'

/** Positions that writers give begin here, above all seeded ones. */
export const firstPosition = 10_000_000

/** When each write was begun and when its commit was acknowledged: milliseconds of `performance.now()`, by number of the write. */
export interface Writes {
  readonly begun: Float64Array
  readonly committed: Float64Array
  readonly count: number
  /** Commits per second that were reached. */
  readonly rate: number
}

/** One commit: the task at `index` gets the position that tells which write this was. */
function write(client: pg.Client, ids: readonly string[], index: number): Promise<unknown> {
  return client.query({
    name: 'bench_write',
    text: 'update tasks set position = $1 where id = $2',
    values: [firstPosition + index, ids[index % ids.length]],
  })
}

/**
 * Commits one-row updates at an even pace on one connection, each to another task in turn. A commit that takes longer than
 * its turn delays the next ones, which are then begun at once. `into` is filled while it runs.
 */
export async function writePaced(client: pg.Client, ids: readonly string[], perSecond: number, seconds: number, into: { begun: Float64Array; committed: Float64Array }): Promise<Writes> {
  const count = Math.round(perSecond * seconds)
  const start = performance.now()
  for (let index = 0; index < count; index++) {
    const wait = start + (index * 1000) / perSecond - performance.now()
    if (wait > 0) await pause(wait)
    into.begun[index] = performance.now()
    await write(client, ids, index)
    into.committed[index] = performance.now()
  }
  return { ...into, count, rate: count / ((performance.now() - start) / 1000) }
}

/** Commits one-row updates as fast as the connections take them. */
export async function writeFast(clients: readonly pg.Client[], ids: readonly string[], count: number): Promise<Writes> {
  const begun = new Float64Array(count)
  const committed = new Float64Array(count)
  const start = performance.now()
  let next = 0
  await Promise.all(
    clients.map(async (client) => {
      for (let index = next++; index < count; index = next++) {
        begun[index] = performance.now()
        await write(client, ids, index)
        committed[index] = performance.now()
      }
    }),
  )
  return { begun, committed, count, rate: count / ((performance.now() - start) / 1000) }
}
