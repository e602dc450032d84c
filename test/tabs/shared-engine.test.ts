import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ClientStatus } from '../../client-sdk/client-base.ts'
import { clientOf, type Client } from '../../client-sdk/client.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { defaultTail, type TailLimits } from '../../client-sdk/outbox/tail.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { OutboxEntry, ReplicaStore, StoreCommit } from '../../client-sdk/store/store.ts'
import type { EngineParts } from '../../client-sdk/tabs/engine.ts'
import { openSharedEngine, type Tabs } from '../../client-sdk/tabs/shared-engine.ts'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom } from '../../lib/random.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { TideError } from '../../protocol/error.ts'
import { linesOf, rowsOf } from '../export/read-export.ts'
import { ScriptedServer } from '../connection/scripted-server.ts'
import { welcome } from '../replica/open-replica.ts'
import { newId } from '../support/fixtures.ts'
import { TabBus } from './tab-bus.ts'

/** A browser whose tabs share a replica, far from any server. */
class Browser {
  readonly bus = new TabBus()
  readonly store = createMemoryStore(shippedSchema)
  readonly commits: StoreCommit[] = []
  opened = 0
  connections = 0
  /** Called before a commit reaches the store; what it throws or never answers is the tab's end. */
  onCommit: (tab: string, commit: StoreCommit) => Promise<void> = () => Promise.resolve()
  /** Called before a tab opens the store; what it throws keeps it from that. */
  onOpen: (tab: string) => void = () => undefined
  server: Transport | null = null
  tail: TailLimits = defaultTail
  readonly #clients = new Map<Tabs, Client>()

  async open(
    id: string,
    schema: Schema = shippedSchema,
  ): Promise<{ readonly tide: Client; readonly tabs: Tabs & { crash(): void } }> {
    const tabs = this.bus.open(id)
    const parts: EngineParts = {
      schema,
      clock: systemClock,
      random: seededRandom(id.charCodeAt(0)),
      transport: {
        open: (listener) => {
          this.connections += 1
          if (this.server !== null) return this.server.open(listener)
          return { send: () => undefined, close: () => undefined }
        },
      },
      token: () => Promise.resolve('token'),
      device: { name: id, kind: 'browser' },
      tail: this.tail,
    }
    const engine = await openSharedEngine(tabs, parts, async () => this.#openStore(id))
    const tide = clientOf<typeof shippedSchema>(parts, engine)
    this.#clients.set(tabs, tide)
    const crash = (): void => {
      this.#clients.delete(tabs)
      tabs.crash()
    }
    return { tide, tabs: { ...tabs, crash } }
  }

  async close(): Promise<void> {
    this.onCommit = () => Promise.resolve()
    await Promise.all([...this.#clients.values()].map((tide) => tide.close()))
  }

  #openStore(id: string): ReplicaStore {
    this.onOpen(id)
    this.opened += 1
    return {
      ...this.store,
      commit: async (commit) => {
        await this.onCommit(id, commit)
        this.commits.push(commit)
        await this.store.commit(commit)
      },
    }
  }
}

let browser = new Browser()
afterEach(async () => {
  await browser.close()
  browser = new Browser()
})

const projectId = newId()
const titles = async (tide: Client): Promise<readonly string[]> =>
  (await tide.tasks.find({ orderBy: [{ title: 'asc' }] })).map(({ title }) => title)

/** Waits until a live query of the tab shows these titles. */
async function shows(tide: Client, expected: readonly string[]): Promise<void> {
  for await (const rows of tide.tasks.live({ orderBy: [{ title: 'asc' }] }))
    if (JSON.stringify(rows.map(({ title }) => title)) === JSON.stringify(expected)) return
}

/** The first status that is so. */
function until(tide: Client, isSo: (status: ClientStatus) => boolean): Promise<ClientStatus> {
  return new Promise((resolve) => {
    const look = (status: ClientStatus): void => {
      if (!isSo(status)) return
      stop()
      resolve(status)
    }
    const stop = tide.onStatus(look)
    look(tide.status)
  })
}

describe('tabs of one browser', () => {
  test('share one replica and one connection, and see each other write', async () => {
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    await a.tide.tasks.insert({ projectId, title: 'From A' })
    await shows(b.tide, ['From A'])
    const row = await b.tide.tasks.insert({ projectId, title: 'From B' })
    expect(await titles(b.tide)).toEqual(['From A', 'From B'])
    await shows(a.tide, ['From A', 'From B'])
    expect(row.$sync).toMatchObject({ status: 'local' })
    expect(b.tide.status).toMatchObject({ pending: 2, connection: a.tide.status.connection })
    expect((await a.tide.writes.find()).map(({ id }) => id)).toEqual((await b.tide.writes.find()).map(({ id }) => id))
    expect(browser.opened).toBe(1)
    expect(browser.connections).toBe(1)
  })

  test('export the one replica from each of them', async () => {
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    await a.tide.tasks.insert({ projectId, title: 'From A' })
    await b.tide.tasks.insert({ projectId, title: 'From B' })
    for (const { tide } of [a, b]) {
      const lines = await linesOf(await tide.export())
      expect(new Set(rowsOf(lines, 'tasks').map(({ row }) => row['title']))).toEqual(new Set(['From A', 'From B']))
      expect(lines.filter(({ kind }) => kind === 'write')).toHaveLength(2)
    }
  })

  test('answer errors, vectors and transactions in a follower as in the leader', async () => {
    const { tide } = (await browser.open('a'), await browser.open('b'))
    await expect(tide.tasks.update(newId(), { title: 'x' })).rejects.toMatchObject({ code: 'not_found' })
    await expect(tide.sql`select 1`).rejects.toMatchObject({ code: 'sql_unavailable' })
    // @ts-expect-error There is no such table.
    await expect(tide.search('nothing', { text: 'x' })).rejects.toMatchObject({ code: 'unknown_table' })
    await expect(tide.call('tasks.claim', { agentId: newId() })).rejects.toMatchObject({ code: 'offline' })
    const embedding = Float32Array.from({ length: 384 }, (_, index) => index / 384)
    const memory = await tide.memories.insert({
      projectId,
      scope: 'project',
      agentId: newId(),
      content: 'm',
      embedding,
    })
    const hits = await tide.memories.search({ embedding, mode: 'local' })
    expect(hits.map(({ row, score }) => [row.id, Math.round(score * 1000)])).toEqual([[memory.id, 1000]])
    const writes = await tide.transaction(async (tx) => {
      await tx.tasks.insert({ projectId, title: 'One' })
      await tx.tasks.insert({ projectId, title: 'Two' })
    })
    expect(writes.map(({ status }) => status)).toEqual(['local', 'local'])
    expect(await titles(tide)).toEqual(['One', 'Two'])
  })

  test.each(['closes', 'crashes'] as const)('go on when the leader %s, with all that it had written', async (how) => {
    const [a, b, c] = [await browser.open('a'), await browser.open('b'), await browser.open('c')]
    await a.tide.tasks.insert({ projectId, title: 'From A' })
    const { $write } = await b.tide.tasks.insert({ projectId, title: 'From B' })
    const seen: string[][] = []
    const stop = c.tide.tasks.live({}, (rows) => seen.push(rows.map(({ title }) => title).sort()))
    if (how === 'closes') await a.tide.close()
    else a.tabs.crash()
    await b.tide.tasks.insert({ projectId, title: 'Later from B' })
    await c.tide.tasks.insert({ projectId, title: 'Later from C' })
    await shows(b.tide, ['From A', 'From B', 'Later from B', 'Later from C'])
    await shows(c.tide, ['From A', 'From B', 'Later from B', 'Later from C'])
    expect(seen.at(-1)).toEqual(['From A', 'From B', 'Later from B', 'Later from C'])
    expect($write.status).toBe('local')
    expect((await b.tide.writes.find()).map(({ status }) => status)).toEqual(['local', 'local', 'local', 'local'])
    expect(browser.opened).toBe(2)
    stop()
  })

  test.each([
    ['before the commit', false],
    ['after the commit, before the answer', true],
  ])('write once what was under way when the leader crashed %s', async (_, isCommitted) => {
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    const memory = await b.tide.memories.insert({ projectId, scope: 'project', agentId: newId(), content: 'counted' })
    browser.onCommit = async (tab) => {
      if (tab !== 'a') return
      a.tabs.crash()
      // A process that is gone commits nothing more, but what it had handed to the disk may be there.
      if (!isCommitted) await new Promise(() => undefined)
    }
    const write = await b.tide.memories.increment(memory.id, { reinforcementCount: 1 })
    expect(write.status).toBe('local')
    const [row] = await b.tide.memories.find({})
    expect(row?.reinforcementCount).toBe(1)
    browser.onCommit = () => Promise.resolve()
  })

  test('give a write up without an error when the leader crashed after it had done so', async () => {
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    await b.tide.tasks.insert({ projectId, title: 'Kept' })
    const { $write } = await b.tide.tasks.insert({ projectId, title: 'Given up' })
    browser.onCommit = async (tab, commit) => {
      if (tab !== 'a') return
      await browser.store.commit(commit)
      a.tabs.crash()
      await new Promise(() => undefined)
    }
    await b.tide.writes.discard($write.id)
    await shows(b.tide, ['Kept'])
    expect(await b.tide.writes.find()).toHaveLength(1)
    await expect(b.tide.writes.discard($write.id)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('send a refused write again once when the leader crashed after it had done so, and follow it under its new id', async () => {
    const first = await browser.open('first')
    await first.tide.tasks.insert({ projectId, title: 'Refused' })
    first.tabs.crash()
    const error = { code: 'forbidden', message: 'no', remedy: 'none' } as const
    const puts = (await browser.store.load()).outbox.map((entry) => ({
      ...(entry as OutboxEntry),
      status: 'rejected' as const,
      outcome: { mutationId: entry.mutation.id, clientSeq: 1, kind: 'rejected' as const, error },
    }))
    await browser.store.commit({ outbox: { puts, deletes: [] } })
    const [a, b, c] = [await browser.open('a'), await browser.open('b'), await browser.open('c')]
    const [refused] = await b.tide.writes.find({ status: 'rejected' })
    const id = refused?.id ?? ''
    browser.onCommit = async (tab, commit) => {
      if (tab !== 'a') return
      await browser.store.commit(commit)
      a.tabs.crash()
      await new Promise(() => undefined)
    }
    const again = await b.tide.writes.retry(id)
    expect(again.id).not.toBe(id)
    expect(again.status).toBe('local')
    expect((await c.tide.writes.retry(id)).id).toBe(again.id)
    const found = await c.tide.writes.find()
    expect(found.map((write) => [write.id, write.status])).toEqual([[again.id, 'local']])
    await c.tide.writes.discard(again.id)
    await expect(b.tide.writes.retry(id)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('stay offline under a new leader when they were so on purpose', async () => {
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    b.tide.disconnect()
    await new Promise<void>((resolve) => {
      const stop = b.tide.onStatus(({ connection }) => {
        if (connection !== 'offline') return
        stop()
        resolve()
      })
    })
    const { connections } = browser
    a.tabs.crash()
    await b.tide.tasks.insert({ projectId, title: 'Offline' })
    expect(b.tide.status.connection).toBe('offline')
    expect(browser.connections).toBe(connections)
  })

  test('are told when another one ends a subscription that they share, and can follow it anew', async () => {
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    const [one, two] = [await a.tide.subscribe({ project: projectId }), await b.tide.subscribe({ project: projectId })]
    const ended = new Promise<string>((resolve) => two.onState(resolve))
    await one.unsubscribe()
    expect(await ended).toBe('unsubscribed')
    await expect(two.ready).rejects.toMatchObject({ code: 'closed' })
    expect((await b.tide.subscribe({ project: projectId })).state).toBe('bootstrapping')
  })

  test('show a refusal of a subscription that came before they were opened', async () => {
    const server = new ScriptedServer()
    browser.server = server
    const a = await browser.open('a')
    await server.accept()
    await server.say(welcome({ resume: false }))
    const { id, ready } = await a.tide.subscribe({ project: projectId })
    const error = { code: 'subscription_limit', message: 'There are too many.', remedy: 'none' } as const
    await server.say({ type: 'subscribed', id, error })
    await expect(ready).rejects.toMatchObject(error)
    const b = await browser.open('b')
    const [followed] = b.tide.followed().filter((channel) => channel.id === id)
    expect(followed?.state).toBe('revoked')
    await expect(followed?.ready).rejects.toMatchObject(error)
    await server.say({ type: 'subscribed', id })
    await until(b.tide, ({ channels }) =>
      channels.some(({ channel, state }) => channel === `project/${projectId}` && state === 'bootstrapping'),
    )
  })

  test('say that they may be behind from the moment at which the leader is gone, until another one has the replica', async () => {
    const server = new ScriptedServer()
    browser.server = server
    const [a, b] = [await browser.open('a'), await browser.open('b')]
    await server.accept()
    await server.say(welcome({ resume: false }))
    await server.say({ type: 'frontier', seq: 1, at: 0 })
    await until(b.tide, ({ staleSince }) => staleSince === null)
    let isBroken = true
    browser.onOpen = () => {
      if (isBroken) throw new TideError('storage_full', 'The disk is full.')
    }
    a.tabs.crash()
    const lost = await until(b.tide, ({ error }) => error !== undefined)
    expect(lost).toMatchObject({ connection: 'connecting', error: { code: 'storage_full' } })
    expect(lost.staleSince).toBeTypeOf('number')
    isBroken = false
    await until(b.tide, ({ error }) => error === undefined)
    expect(browser.opened).toBe(2)
  })

  test('show a room what the newest of them shows, until each has left or was killed', async () => {
    const server = new ScriptedServer()
    browser.server = server
    const [a, b, c] = [await browser.open('a'), await browser.open('b'), await browser.open('c')]
    await server.accept()
    await server.say(welcome({ resume: false }))
    await server.say({ type: 'frontier', seq: 1, at: 0 })
    for (const { tide } of [a, b, c]) await until(tide, ({ connection }) => connection === 'live')
    const [roomOfA, roomOfB, roomOfC] = [a, b, c].map(({ tide }) => tide.presence({ project: projectId }))
    let shown: unknown
    const shows = (state: unknown): Promise<void> =>
      vi.waitFor(async () => {
        for (const message of await server.heardOf('presence')) shown = message.state
        expect(shown).toEqual(state)
      }, 10_000)
    roomOfA?.set({ tab: 'a' })
    await shows({ tab: 'a' })
    roomOfB?.set({ tab: 'b' })
    await shows({ tab: 'b' })
    roomOfC?.set({ tab: 'c' })
    await shows({ tab: 'c' })
    c.tabs.crash()
    await shows({ tab: 'b' })
    roomOfA?.set({ tab: 'a', again: true })
    await shows({ tab: 'a', again: true })
    roomOfA?.leave()
    await shows({ tab: 'b' })
    await b.tide.close()
    await shows(null)
  })

  test('of an older version stop when a newer one leads, and never open the replica again', async () => {
    const a = await browser.open('a')
    const newer = browser.bus.open('newer')
    const elected = newer.elect()
    const older = await browser.open('older')
    const task = await older.tide.tasks.insert({ projectId, title: 'Kept' })
    a.tabs.crash()
    await elected
    newer.post({ kind: 'leader', from: 'newer', schema: 'of another version' })
    const stopped = await until(older.tide, ({ connection }) => connection === 'stopped')
    expect(stopped).toMatchObject({ error: { code: 'replica_locked' } })
    await expect(older.tide.tasks.get(task.id)).rejects.toMatchObject({ code: 'replica_locked' })
    await expect(older.tide.synced()).rejects.toMatchObject({ code: 'replica_locked' })
    newer.close()
    expect((await browser.open('later')).tide.status.pending).toBe(1)
  })

  test.each([
    [10, 'discarded', 'not_found'],
    [0, 'local', 'closed'],
  ] as const)(
    'are told of a write that went with its leader what is known, with %i ended writes kept',
    async (writes, status, code) => {
      browser.tail = { ...defaultTail, writes }
      const [a, b] = [await browser.open('a'), await browser.open('b')]
      const { $write } = await b.tide.tasks.insert({ projectId, title: 'Gone' })
      a.tabs.crash()
      // The last that the leader did, before it could say so.
      await browser.store.commit({ outbox: { puts: [], deletes: [$write.id] } })
      await expect($write.wait('synced')).rejects.toMatchObject({ code })
      expect($write.status).toBe(status)
    },
  )

  test('of another version of the app are refused', async () => {
    await browser.open('a')
    const { agentTypes: _, ...older } = shippedSchema
    await expect(browser.open('b', older)).rejects.toMatchObject({ code: 'replica_locked' })
  })

  test('say nothing while there is only one', async () => {
    const { tide } = await browser.open('a')
    await tide.tasks.insert({ projectId, title: 'Alone' })
    expect(new Set(browser.bus.said.map(({ kind }) => kind))).toEqual(new Set(['who', 'leader']))
  })
})
