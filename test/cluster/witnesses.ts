// What would betray servers that lose, repeat or reorder commits, or let a device load again what it has.
import type { Client } from '@tidewire/client'
import { expect } from 'vitest'
import type { Writer } from '../failure/writers.ts'
import type { ServerProcess } from '../support/server-process.ts'
import type { Cluster } from './cluster.ts'

/** Somebody who updates one task of their own, each time when the update before was acknowledged. */
export interface Counter {
  /**
   * Ends with the update that is under way. The row was then updated just so often: an update that is applied twice
   * makes one version more.
   */
  expectEachOnce(): Promise<void>
}

/** Counts up in the description of a new task. */
export async function keepCounting({ pool, projectId }: Cluster, tide: Client): Promise<Counter> {
  const { id, $write } = await tide.tasks.insert({ projectId, title: 'counts' })
  await $write.wait('acknowledged')
  let [updates, isStopped] = [0, false]
  const run = async (): Promise<void> => {
    while (!isStopped) {
      const write = await tide.tasks.update(id, { description: String(++updates) })
      await write.wait('acknowledged')
    }
  }
  const running = run()
  running.catch(() => undefined)
  return {
    async expectEachOnce() {
      isStopped = true
      await running
      const { rows } = await pool.query('select version, description from tasks where id = $1', [id])
      expect(rows).toEqual([{ version: 1 + updates, description: String(updates) }])
    },
  }
}

/**
 * Watches that a device sees what one connection commits in the order of the commits, without a gap and never taken
 * back: who sees a title has all that were acknowledged before it.
 */
export function watchOrder(tide: Client, sql: Writer): { expectNone(): void } {
  const seen = new Set<string>()
  const faults: string[] = []
  const stop = tide.tasks.live({ where: { title: { like: 'sql %' } } }, (_, { added, removed }) => {
    for (const { title } of added) seen.add(title)
    if (removed.length > 0) faults.push(`${removed.length} were taken back`)
    const known = [...sql.acknowledged]
    const gap = known.findIndex((title) => !seen.has(title))
    if (gap !== -1 && known.slice(gap).some((title) => seen.has(title)))
      faults.push(`${known[gap] ?? ''} is missing before one that is there`)
  })
  return {
    expectNone() {
      stop()
      expect(faults).toEqual([])
    },
  }
}

/** Counts what these servers read for first loads, by their metrics. */
export async function watchLoads(servers: readonly ServerProcess[]): Promise<{ expectNone(): Promise<void> }> {
  const read = (): Promise<readonly { readonly pid: number; readonly pages: number }[]> =>
    Promise.all(servers.map(async (server) => ({ pid: server.pid, pages: await pagesOf(server) })))
  const before = await read()
  return {
    async expectNone() {
      const after = await read()
      // A process that was started since has read none.
      expect(after.map(({ pages }) => pages)).toEqual(
        after.map(({ pid }, index) => (before[index]?.pid === pid ? before[index].pages : 0)),
      )
    },
  }
}

async function pagesOf({ url }: ServerProcess): Promise<number> {
  const text = await fetch(`${url}/metrics`).then((answer) => answer.text())
  const found = /^tidewire_pages_total (\d+)$/m.exec(text)
  if (!found) throw new Error(`${url}/metrics says nothing of pages.`)
  return Number(found[1])
}
