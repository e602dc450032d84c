// @vitest-environment happy-dom
import { createElement as h, useEffect, useReducer, type ReactElement, type ReactNode } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from '../../client-sdk/client.ts'
import {
  TidewireProvider,
  useConflicts,
  useLive,
  useStatus,
  useSubscribe,
  useTide,
  useWrite,
  type LiveResult,
} from '../../client-sdk/react/react.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { TideError } from '../../protocol/error.ts'
import { ScriptedServer } from '../connection/scripted-server.ts'
import { welcome } from '../replica/open-replica.ts'
import { testIds as newId } from '../replica/replica-schema.ts'
import { lonelyClient } from '../support/lonely-client.ts'
import { render, type Rendered } from './rendered.ts'

const projectId = newId()
let tide: Client
let page: Rendered | null = null

beforeEach(async () => {
  tide = await lonelyClient()
})
afterEach(async () => {
  page?.unmount()
  page = null
  await tide.close()
})

const shown = (): string | undefined => page?.text
/** A busy machine renders late, and effects run after what they belong to is shown. */
const patient = { timeout: 8_000 }
const insert = (title: string): ReturnType<Client['tasks']['insert']> => tide.tasks.insert({ projectId, title })

/** Counts the live queries of tasks that run. */
function countQueries(): { running: number; started: number } {
  const count = { running: 0, started: 0 }
  const live = tide.tasks.live.bind(tide.tasks) as (...args: readonly unknown[]) => () => void
  Object.assign(tide.tasks, {
    live: (...args: readonly unknown[]) => {
      count.running += 1
      count.started += 1
      const stop = live(...args)
      return () => {
        count.running -= 1
        stop()
      }
    },
  })
  return count
}

type Task = Awaited<ReturnType<Client['tasks']['find']>>[number]

function Titles({ status, told }: { status?: Task['status']; told?: (result: LiveResult<Task>) => void }): string {
  // Written in place: another function and another object each time.
  const tasks = useLive((client) => client.tasks, {
    where: status === undefined ? {} : { status },
    orderBy: [{ title: 'asc' }],
  })
  told?.(tasks)
  return tasks.status === 'loading' ? 'loading' : `[${tasks.rows.map(({ title }) => title).join()}]`
}

describe('useLive', () => {
  test('shows the rows, and every change of them', async () => {
    await insert('b')
    page = render(tide, h(Titles))
    await expect.poll(shown, patient).toBe('[b]')
    const a = await insert('a')
    await expect.poll(shown, patient).toBe('[a,b]')
    await tide.tasks.delete(a.id)
    await expect.poll(shown, patient).toBe('[b]')
  })

  test('answers the same objects while nothing of the result changes', async () => {
    await insert('a')
    const results: LiveResult<Task>[] = []
    let again = (): void => undefined
    function Page(): ReactElement {
      const [, render] = useReducer((count: number) => count + 1, 0)
      again = render
      return h(Titles, { status: 'pending', told: (result: LiveResult<Task>) => void results.push(result) })
    }
    page = render(tide, h(Page))
    await expect.poll(shown, patient).toBe('[a]')
    const before = results.at(-1)
    const renders = results.length
    await tide.tasks.insert({ projectId, title: 'x', status: 'blocked' })
    await tide.projects.insert({ name: 'One', slug: 'one' })
    await insert('b')
    await expect.poll(shown, patient).toBe('[a,b]')
    // One for what changed, none for what did not concern it.
    expect(results).toHaveLength(renders + 1)
    expect(results.at(-1)?.rows[0]).toBe(before?.rows[0])
    again()
    await expect.poll(() => results.length, patient).toBe(renders + 2)
    expect(results.at(-1)).toBe(results.at(-2))
  })

  test('shares one query among components that ask for the same, and ends it with the last of them', async () => {
    const count = countQueries()
    await insert('a')
    page = render(tide, [h(Titles, { key: 1 }), h(Titles, { key: 2 })])
    await expect.poll(shown, patient).toBe('[a][a]')
    await expect.poll(() => count, patient).toEqual({ running: 1, started: 1 })
    page.show([h(Titles, { key: 1 })])
    await expect.poll(shown, patient).toBe('[a]')
    await expect.poll(() => count.running, patient).toBe(1)
    page.show('gone')
    await expect.poll(shown, patient).toBe('gone')
    await expect.poll(() => count.running, patient).toBe(0)
  })

  test('shows a component that comes later the rows at once', async () => {
    await insert('a')
    page = render(tide, [h(Titles, { key: 1 })])
    await expect.poll(shown, patient).toBe('[a]')
    const first: string[] = []
    const told = (result: LiveResult<Task>): void => void first.push(result.status)
    page.show([h(Titles, { key: 1 }), h(Titles, { key: 2, told })])
    await expect.poll(shown, patient).toBe('[a][a]')
    expect(new Set(first)).toEqual(new Set(['ready']))
  })

  test('shows the same rows in all components of one commit', async () => {
    const results = new Map<number, LiveResult<Task>>()
    const commits: number[] = []
    const told = (at: number) => (result: LiveResult<Task>) => void results.set(at, result)
    function Watch(): ReactNode {
      useLive((client) => client.tasks, { orderBy: [{ title: 'asc' }] })
      useEffect(() => void commits.push(new Set([...results.values()].map(({ rows }) => rows)).size))
      return Array.from({ length: 20 }, (_, at) => h(Titles, { key: at, told: told(at) }))
    }
    page = render(tide, h(Watch))
    for (let index = 0; index < 10; index += 1) await insert(String(index))
    await expect.poll(shown, patient).toBe('[0,1,2,3,4,5,6,7,8,9]'.repeat(20))
    expect(commits.length).toBeGreaterThan(1)
    expect(new Set(commits)).toEqual(new Set([1]))
  })

  test('runs another query when what is asked for changes, and none for `null`', async () => {
    const count = countQueries()
    await insert('a')
    await tide.tasks.insert({ projectId, title: 'b', status: 'blocked' })
    page = render(tide, h(Titles, { status: 'pending' }))
    await expect.poll(shown, patient).toBe('[a]')
    page.show(h(Titles, { status: 'blocked' }))
    await expect.poll(shown, patient).toBe('[b]')
    await expect.poll(() => count, patient).toEqual({ running: 1, started: 2 })
    function Nothing(): string {
      const { rows, status } = useLive((client) => client.tasks, null)
      return `${rows.length} ${status}`
    }
    page.show(h(Nothing))
    await expect.poll(shown, patient).toBe('0 loading')
    await expect.poll(() => count, patient).toEqual({ running: 0, started: 2 })
  })

  test('throws a query that cannot be right to the error boundary', async () => {
    function Wrong(): string {
      // @ts-expect-error There is no such column.
      return String(useLive((client) => client.tasks, { where: { statsu: 'pending' } }).rows.length)
    }
    page = render(tide, h(Wrong))
    await expect.poll(shown, patient).toBe('error: bad_filter')
  })

  test('works in strict mode, in which effects run twice', async () => {
    const count = countQueries()
    await insert('a')
    page = render(tide, h(Titles), { strict: true })
    await expect.poll(shown, patient).toBe('[a]')
    await insert('b')
    await expect.poll(shown, patient).toBe('[a,b]')
    page.unmount()
    await expect.poll(() => count.running, patient).toBe(0)
  })
})

describe('the provider', () => {
  test('takes the promise of a client, and hooks say that nothing is here yet', async () => {
    const opening = Promise.withResolvers<Client>()
    function Page(): string {
      const { conflicts, status } = useConflicts()
      const parts = [String(useTide() === tide), String(useStatus()?.pending), status, conflicts.length]
      return parts.join(' ')
    }
    page = render(opening.promise, h(Page))
    await expect.poll(shown, patient).toBe('false undefined loading 0')
    opening.resolve(tide)
    await expect.poll(shown, patient).toBe('true 0 ready 0')
  })

  test('tells the error boundary why a client could not be opened', async () => {
    const opening = Promise.withResolvers<Client>()
    page = render(opening.promise, h(Titles))
    await expect.poll(shown, patient).toBe('loading')
    opening.reject(new TideError('replica_locked', 'Somebody has it.'))
    await expect.poll(shown, patient).toBe('error: replica_locked')
  })

  test('is missed by name', async () => {
    expect(() => renderToString(h(Titles))).toThrow('useLive is used outside of <TidewireProvider>')
  })

  test('renders on a server without a client, and goes on in the browser from there', async () => {
    const count = countQueries()
    await insert('a')
    const shell = (client: Client | null): ReactElement => h(TidewireProvider, { client }, h(Titles))
    expect(renderToString(shell(tide))).toBe('loading')
    expect(count.started).toBe(0)
    const container = document.createElement('div')
    container.innerHTML = renderToString(shell(null))
    const problems: unknown[] = []
    const root = hydrateRoot(container, shell(tide), { onRecoverableError: (error) => void problems.push(error) })
    await expect.poll(() => container.textContent, patient).toBe('[a]')
    expect(problems).toEqual([])
    root.unmount()
  })
})

describe('useStatus', () => {
  test('follows the status, and renders only when it differs', async () => {
    const seen: number[] = []
    function Pending(): string {
      const status = useStatus()
      seen.push(status?.pending ?? -1)
      return `${status?.pending} pending`
    }
    page = render(tide, h(Pending))
    await expect.poll(shown, patient).toBe('0 pending')
    const task = await insert('a')
    await expect.poll(shown, patient).toBe('1 pending')
    // Folded into the write that waits: the status stays as it is.
    await tide.tasks.update(task.id, { title: 'b' })
    await insert('c')
    await expect.poll(shown, patient).toBe('2 pending')
    expect(seen).toEqual([...new Set(seen)])
  })
})

describe('useWrite', () => {
  interface Saved {
    run: (title: string) => Promise<unknown>
    reset: () => void
  }
  let save: Saved

  function Save(): string {
    const { run, reset, status, error } = useWrite((client, title: string) => client.tasks.insert({ projectId, title }))
    save = { run, reset }
    return `${status} ${error instanceof TideError ? error.code : ''}`
  }

  test('says how far a write is, up to the reason of a refusal', async () => {
    const server = new ScriptedServer()
    await tide.close()
    tide = await lonelyClient(undefined, server)
    page = render(tide, h(Save))
    await expect.poll(shown, patient).toBe('idle ')
    const { run } = save
    expect(await run('a')).toMatchObject({ title: 'a' })
    await expect.poll(shown, patient).toBe('local ')
    expect(save.run).toBe(run)
    await server.accept()
    await server.say(welcome({ schemaHash: 'other' }))
    await expect.poll(shown, patient).toBe('syncing ')
    const [mutation] = (await server.heardOf('push')).flatMap(({ mutations }) => mutations)
    if (mutation === undefined) throw new Error('Nothing was sent.')
    const { id: mutationId, clientSeq } = mutation
    const error = { code: 'forbidden', message: 'Not yours.', remedy: 'Ask.' } as const
    await server.say({ type: 'outcomes', outcomes: [{ mutationId, clientSeq, kind: 'rejected', error }] })
    await expect.poll(shown, patient).toBe('rejected forbidden')
    save.reset()
    await expect.poll(shown, patient).toBe('idle ')
  })

  test('says why a call failed, and rejects nothing', async () => {
    page = render(tide, h(Save))
    await expect.poll(shown, patient).toBe('idle ')
    expect(await save.run('x'.repeat(10_000))).toBeUndefined()
    await expect.poll(shown, patient).toBe('failed invalid_value')
    await save.run('short')
    await expect.poll(shown, patient).toBe('local ')
  })

  test('waits for a client that is being opened', async () => {
    const opening = Promise.withResolvers<Client>()
    page = render(opening.promise, h(Save))
    await expect.poll(shown, patient).toBe('idle ')
    const saved = save.run('a')
    await expect.poll(shown, patient).toBe('writing ')
    opening.resolve(tide)
    expect(await saved).toMatchObject({ title: 'a' })
    await expect.poll(shown, patient).toBe('local ')
  })
})

describe('useConflicts', () => {
  test('shows open conflicts and settles them', async () => {
    const store = createMemoryStore(shippedSchema)
    const blank = Object.fromEntries(Object.keys(shippedSchema.syncConflicts.columns).map((name) => [name, null]))
    const id = newId()
    const conflict = {
      ...blank,
      id,
      channel: `project/${projectId}`,
      tableName: 'tasks',
      rowId: newId(),
      mutationId: newId(),
      kind: 'field',
      status: 'open',
      fields: { title: { base: 'base', mine: 'mine', theirs: 'theirs' } },
      clientPatch: { title: 'mine' },
      createdAt: '2026-11-22T00:00:00.000Z',
      version: 1,
    }
    await store.load()
    await store.commit({ rows: [{ table: 'sync_conflicts', upserts: [conflict], deletes: [] }] })
    await tide.close()
    tide = await lonelyClient(store)
    let settle: Client['conflicts']['resolve'] | null = null
    function Conflicts(): string {
      const { conflicts, status, resolve } = useConflicts()
      settle = resolve
      return `${status} ${conflicts.map(({ mine }) => String(mine['title'])).join()}`
    }
    page = render(tide, h(Conflicts))
    await expect.poll(shown, patient).toBe('ready mine')
    await (settle as Client['conflicts']['resolve'] | null)?.(id, 'server')
    await expect.poll(shown, patient).toBe('ready ')
  })
})

describe('useSubscribe', () => {
  const kept = newId()

  function Follow({ id, keep = false }: { readonly id: string; readonly keep?: boolean }): string {
    const { state, error } = useSubscribe({ project: id }, { tables: ['tasks'], keep })
    return `${state} ${error === null ? '' : 'error'}`
  }

  test('follows a channel while it is shown, and longer with `keep`', async () => {
    const channels = (): readonly string[] => tide.followed().map(({ channel }) => channel)
    page = render(tide, [h(Follow, { key: 1, id: kept, keep: true }), h(Follow, { key: 2, id: projectId })], {
      strict: true,
    })
    await expect.poll(shown, patient).toBe('bootstrapping bootstrapping ')
    expect(new Set(channels())).toEqual(new Set([`project/${projectId}`, `project/${kept}`]))
    page.show('gone')
    await expect.poll(channels, patient).toEqual([`project/${kept}`])
  })

  test('says why a channel is not followed', async () => {
    function Wrong(): string {
      const { state, error } = useSubscribe({ project: 'no id' })
      return `${state} ${error instanceof TideError ? error.code : ''}`
    }
    page = render(tide, h(Wrong))
    await expect.poll(shown, patient).toBe('waiting invalid_value')
  })
})
