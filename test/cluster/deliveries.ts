// How long commits take to reach clients while something happens to the servers.
import type { Client } from '@tidewire/client'
import { expect } from 'vitest'
import { watchPace } from '../support/pace.ts'
import type { Cluster } from './cluster.ts'

/** Commits are made this far apart, so that the first one after any moment is as near to it. */
const everyMs = 20
/**
 * From a commit, whatever happens to the writer of the log then, until a client of another server has it: on a machine
 * that does nothing else.
 */
const mostMs = 5000

export interface Deliveries {
  /** Resolves when one more commit has reached all clients. */
  oneMore(): Promise<void>
  /** Resolves when a commit that begins after this call has reached all clients. */
  afterNow(): Promise<void>
  /**
   * Ends the commits, and waits for the last one. What took longest took at most 5 s, or as many times that as this
   * machine is slower now than alone.
   */
  expectInTime(): Promise<void>
}

interface Commit {
  readonly madeAt: number
  seenAt: number | undefined
}

/** Commits a task by plain SQL again and again from now on, and notes when the last of these clients has each. */
export function timeDeliveries({ pool, projectId }: Cluster, clients: readonly Client[], name: string): Deliveries {
  const [began, pace] = [performance.now(), watchPace()]
  const commits: Commit[] = []
  const seen = clients.map(() => 0)
  let isStopped = false
  let wake = Promise.withResolvers<void>()
  const title = `delivered ${name}`
  const stops = clients.map((client, index) =>
    client.tasks.live({ where: { title } }, (rows) => {
      seen[index] = rows.length
      const everywhere = Math.min(...seen)
      for (const commit of commits.slice(0, everywhere)) commit.seenAt ??= performance.now()
      wake.resolve()
      wake = Promise.withResolvers()
    }),
  )
  const run = async (): Promise<void> => {
    while (!isStopped) {
      commits.push({ madeAt: performance.now(), seenAt: undefined })
      await pool.query(
        'insert into tasks (organization_id, project_id, title) select organization_id, id, $2 from projects where id = $1',
        [projectId, title],
      )
      await new Promise((resolve) => setTimeout(resolve, everyMs))
    }
  }
  const running = run()
  const reached = async (count: number): Promise<void> => {
    while (Math.min(...seen) < count) await wake.promise
  }
  return {
    oneMore: () => reached(Math.min(...seen) + 1),
    afterNow: () => reached(commits.length + 1),
    async expectInTime() {
      isStopped = true
      await running
      await reached(commits.length)
      for (const stop of stops) stop()
      const slower = pace.stop()
      const took = commits.map(({ madeAt, seenAt }) => (seenAt ?? Number.POSITIVE_INFINITY) - madeAt)
      const longest = Math.max(...took)
      process.stderr.write(
        `The writer of the log ${name}: of ${took.length} commits in ${Math.round(performance.now() - began)} ms the one that waited longest reached ` +
          `clients of the other servers after ${Math.round(longest)} ms; computing took ${slower.toFixed(1)} times as long as it does alone\n`,
      )
      expect(longest).toBeLessThan(mostMs * slower)
    },
  }
}
