import type { Client } from '@tidewire/client'
import pg from 'pg'
import { expect } from 'vitest'
import type { Stage } from './stage.ts'

/**
 * So long clients may take to hear of a commit, milliseconds: then something was in the way that needs the log, a
 * canary for one.
 */
const patienceMs = 5000

/**
 * Changes a task, which clients are told of while the log cannot be written. Answers its title, and how to give the log
 * free (a server or a database that goes does so too).
 */
export async function tellAhead(
  stage: Pick<Stage, 'sql' | 'url'>,
  clients: readonly Client[],
  id: string,
): Promise<{ readonly title: string; readonly release: () => Promise<void> }> {
  for (let attempt = 1; ; attempt++) {
    const title = `Told ${attempt}`
    const holder = new pg.Client({ connectionString: stage.url })
    holder.on('error', () => undefined)
    await holder.connect()
    await holder.query('begin; lock table sync_changes in share mode')
    await stage.sql('update tasks set title = $2 where id = $1', [id, title])
    const titles = (): Promise<unknown> => Promise.all(clients.map(async (tide) => (await tide.tasks.get(id))?.title))
    try {
      await expect.poll(titles, { timeout: patienceMs, interval: 20 }).toEqual(clients.map(() => title))
      return { title, release: () => holder.end() }
    } catch {
      await holder.end()
      // Told by way of the log: so the commit is in it, and is not counted as a later one's.
      await expect.poll(titles, { timeout: 60_000 }).toEqual(clients.map(() => title))
    }
  }
}
