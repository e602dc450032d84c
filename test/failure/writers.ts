// People who write all the time, and remember what they were told.
import { randomUUID } from 'node:crypto'
import type { Client } from '@tidewire/client'
import { expect, onTestFinished } from 'vitest'
import type { Stage } from './stage.ts'

/** Where is written: as much of a stage as is needed for it. */
export type Place = Pick<Stage, 'projectId' | 'sql'>

/** Somebody who inserts one task after the other, and remembers what the server acknowledged. */
export interface Writer {
  /** Titles the server has acknowledged. */
  readonly acknowledged: ReadonlySet<string>
  /** Resolves when one more has been acknowledged. */
  oneMore(): Promise<void>
  /** Ends; what was begun goes on waiting on the device. Answers all titles. */
  stop(): Promise<ReadonlySet<string>>
}

/** At most so many writes of one writer are unanswered. */
const open = 10

/** Writes as a client does; the next task when the one before was taken by the replica, and `pauseMs` later. */
export function keepWriting(stage: Pick<Place, 'projectId'>, tide: Client, pauseMs = 2): Writer {
  const [name, acknowledged, all] = [randomUUID().slice(0, 8), new Set<string>(), new Set<string>()]
  let [stopped, unanswered] = [false, 0]
  let wake = Promise.withResolvers<void>()
  const told = (title: string): void => {
    acknowledged.add(title)
    unanswered--
    wake.resolve()
    wake = Promise.withResolvers()
  }
  const run = async (): Promise<void> => {
    for (let n = 0; !stopped; n++) {
      const title = `${name} ${n}`
      all.add(title)
      const task = await tide.tasks.insert({ projectId: stage.projectId, title })
      unanswered++
      task.$write.wait('acknowledged').then(
        () => told(title),
        () => undefined,
      )
      while (unanswered >= open && !stopped) await Promise.race([wake.promise, pause(200)])
      await pause(pauseMs)
    }
  }
  const running = run()
  // A story that fails closes its clients under their writers: told by `stop`, and by nobody else.
  running.catch(() => undefined)
  endWithStory(() => (stopped = true))
  return {
    acknowledged,
    oneMore: async () => wake.promise,
    async stop() {
      stopped = true
      await running
      return all
    },
  }
}

/**
 * Writes as a service of its own does: with SQL, one commit after the other; what fails is tried again with a new
 * title.
 */
export function keepWritingSql(stage: Place, pauseMs = 5): Writer {
  const [name, acknowledged] = [`sql ${randomUUID().slice(0, 8)}`, new Set<string>()]
  let stopped = false
  let wake = Promise.withResolvers<void>()
  const run = async (): Promise<void> => {
    for (let n = 0; !stopped; n++) {
      const title = `${name} ${n}`
      const written = await addTask(stage, title).then(
        () => true,
        () => false,
      )
      if (written) {
        acknowledged.add(title)
        wake.resolve()
        wake = Promise.withResolvers()
      }
      await pause(written ? pauseMs : 50)
    }
  }
  const running = run()
  endWithStory(() => (stopped = true))
  return {
    acknowledged,
    oneMore: async () => wake.promise,
    async stop() {
      stopped = true
      await running
      return acknowledged
    },
  }
}

/** One task by plain SQL. Answers its id. */
export async function addTask(stage: Place, title: string): Promise<string> {
  const [row] = await stage.sql(
    'insert into tasks (organization_id, project_id, title) select organization_id, id, $2 from projects where id = $1 returning id',
    [stage.projectId, title],
  )
  return row?.['id'] ?? ''
}

/** Every title is in the database exactly once. */
export async function expectOnce(stage: Place, titles: ReadonlySet<string>): Promise<void> {
  const rows = await stage.sql<{ title: string; count: number }>(
    'select t as title, (select count(*)::integer from tasks where title = t) as count from unnest($1::text[]) t',
    [[...titles]],
  )
  expect(rows.filter(({ count }) => count !== 1)).toEqual([])
}

/** The next story of the file finds nobody writing, also where one fails. */
const endWithStory = (end: () => unknown): void => onTestFinished(() => void end())

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
