import { describe, expect, test } from 'vitest'
import type { Client } from '../../client-sdk/client.ts'
import { exportReplica } from '../../client-sdk/export/export.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import { vectorFromBase64 } from '../../protocol/rows/base64.ts'
import { batch, openHeld, openReplica } from '../replica/open-replica.ts'
import { blockOf, channel, replicaSchema, serverTask } from '../replica/replica-schema.ts'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'
import { linesOf, rowsOf } from './read-export.ts'

const projectId = newId()

async function insertTasks(tide: Client, count: number): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, newId)
  for (let start = 0; start < count; start += 100) {
    await tide.transaction(async (tx) => {
      for (const [index, id] of ids.slice(start, start + 100).entries())
        await tx.tasks.insert({ id, projectId, title: `Task ${start + index}` })
    })
  }
  return ids
}

/** A store that says how many rows were asked for at once, and runs something before a query is answered. */
function watched(): { readonly store: ReplicaStore; largest: number; before: (table: string) => Promise<void> } {
  const store = createMemoryStore(shippedSchema)
  const watch = {
    largest: 0,
    before: (_table: string): Promise<void> => Promise.resolve(),
    store: {
      ...store,
      load: () => store.load(),
      rows: (table: string, ids: readonly string[]) => store.rows(table, ids),
      commit: (commit: Parameters<ReplicaStore['commit']>[0]) => store.commit(commit),
      staged: (subscription: string, table: string, ids: readonly string[]) => store.staged(subscription, table, ids),
      nearest: (table: string, request: Parameters<ReplicaStore['nearest']>[1]) => store.nearest(table, request),
      close: () => store.close(),
      query: async (table: string, query: Parameters<ReplicaStore['query']>[1]) => {
        await watch.before(table)
        const rows = await store.query(table, query)
        watch.largest = Math.max(watch.largest, rows.length)
        return rows
      },
    },
  }
  return watch
}

describe('an export', () => {
  test('has every row with its state and values, and every write that has not ended', async () => {
    const tide = await lonelyClient()
    await tide.subscribe({ project: projectId }, { tables: ['tasks'] })
    const task = await tide.tasks.insert({ projectId, title: 'Ümläut\n✓', tags: ['a'] })
    const embedding = Float32Array.from({ length: 384 }, (_, index) => index / 384)
    const memory = await tide.memories.insert({
      projectId,
      scope: 'project',
      agentId: newId(),
      content: 'Kept',
      embedding,
    })
    const lines = await linesOf(await tide.export())
    const [row] = rowsOf(lines, 'tasks')
    expect(row).toMatchObject({ row: { id: task.id, title: 'Ümläut\n✓', tags: ['a'] }, sync: { status: 'local' } })
    const [kept] = rowsOf(lines, 'memories')
    expect(vectorFromBase64(String(kept?.row['embedding']))).toEqual(embedding)
    expect(lines.filter(({ kind }) => kind === 'write')).toMatchObject([
      { status: 'local', outcome: null, mutation: { id: task.$write.id, table: 'tasks', op: 'insert' } },
      { status: 'local', mutation: { id: memory.$write.id, set: { content: 'Kept' } } },
    ])
    expect(lines.filter(({ kind }) => kind === 'subscription')).toMatchObject([
      { subscription: { channel: `project/${projectId}`, tables: ['sync_conflicts', 'tasks'] }, state: 'new' },
    ])
    expect(lines[0]).toMatchObject({ device: { id: null, name: 'lonely' }, embeddings: true })
    const [plain] = rowsOf(await linesOf(await tide.export({ embeddings: false })), 'memories')
    expect(plain?.row).not.toHaveProperty('embedding')
    await tide.close()
  })

  test('says what the server has sent without a state, deleted rows too, and nothing that identifies the replica', async () => {
    const { replica } = await openHeld()
    const rows = [serverTask({ title: 'Here' }), serverTask({ title: 'Gone', deletedAt: '2026-11-22T00:00:00.000Z' })]
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', rows)] }))
    const stream = exportReplica({ schema: replicaSchema, replica, deviceName: 'here' })
    const lines = await linesOf(stream)
    const found = rowsOf(lines, 'tasks')
    expect(new Set(found.map(({ row }) => row['title']))).toEqual(new Set(['Gone', 'Here']))
    expect(found.filter((line) => line.sync !== undefined)).toEqual([])
    expect(lines.at(-1)).toMatchObject({ kind: 'end', cursor: { epoch: 'first', seq: 2 } })
    expect(JSON.stringify(lines)).not.toContain(replica.meta.fingerprint)
  })

  test('is read a page at a time, and only when somebody reads', async () => {
    const watch = watched()
    const tide = await lonelyClient(watch.store)
    await insertTasks(tide, 3_000)
    watch.largest = 0
    const stream = await tide.export()
    expect(watch.largest).toBe(0)
    expect(rowsOf(await linesOf(stream), 'tasks')).toHaveLength(3_000)
    expect(watch.largest).toBeGreaterThan(0)
    expect(watch.largest).toBeLessThanOrEqual(1_000)
    await tide.close()
  })

  test('takes fewer rows at once where rows are large', async () => {
    const watch = watched()
    const tide = await lonelyClient(watch.store)
    for (let index = 0; index < 130; index += 1)
      await tide.tasks.insert({ projectId, title: 'Large', description: 'x'.repeat(50_000) })
    const pages: number[] = []
    for await (const chunk of await tide.export())
      if (new TextDecoder().decode(chunk).startsWith('{"kind":"row","table":"tasks"')) pages.push(chunk.length)
    // The first page cannot know; those after it do.
    expect(pages.length).toBeGreaterThan(5)
    expect(Math.max(...pages.slice(1))).toBeLessThan(1_000_000)
    await tide.close()
  })

  test('that is read while rows change is the replica of the moment at which it ends', async () => {
    const watch = watched()
    const tide = await lonelyClient(watch.store)
    const ids = await insertTasks(tide, 300)
    const [first = '', second = ''] = ids
    const changes = [
      () => tide.tasks.update(first, { title: 'Changed after it was told' }),
      () => tide.tasks.delete(second),
      () => tide.tasks.insert({ projectId, title: 'Came late' }),
    ]
    let pages = 0
    for await (const _ of tide.tasks.live()) break
    const stream = await tide.export()
    const reader = stream.getReader()
    const parts: Uint8Array<ArrayBuffer>[] = []
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      parts.push(value)
      if (new TextDecoder().decode(value).includes('"table":"tasks"')) {
        pages += 1
        await changes.shift()?.()
      }
    }
    expect(pages).toBeGreaterThan(2)
    const lines = await linesOf(new Blob(parts).stream())
    const told = rowsOf(lines, 'tasks')
    const here = await tide.tasks.find({ withDeleted: true })
    const shown = (rows: readonly { readonly id?: unknown; readonly title?: unknown }[]): unknown =>
      rows.map(({ id, title }) => `${String(id)} ${String(title)}`).toSorted()
    expect(shown(told.map(({ row }) => row))).toEqual(shown(here))
    expect(told.find(({ row }) => row['id'] === second)?.row['deletedAt']).toBeTypeOf('string')
    expect(lines.filter(({ kind }) => kind === 'write')).toHaveLength((await tide.writes.find()).length)
    await tide.close()
  })

  test('tells a table again that is loaded anew meanwhile', async () => {
    const { replica } = await openHeld()
    const before = Array.from({ length: 150 }, (_, index) => serverTask({ title: `Before ${index}` }))
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', before)] }))
    const reader = exportReplica({ schema: replicaSchema, replica, deviceName: 'here' }).getReader()
    const parts: Uint8Array<ArrayBuffer>[] = []
    for (let isLoaded = false; ;) {
      const { done, value } = await reader.read()
      if (done) break
      parts.push(value)
      if (isLoaded || !new TextDecoder().decode(value).includes('Before')) continue
      isLoaded = true
      await replica.refetch('project')
      await replica.stagePage('project', {
        from: 2,
        next: null,
        blocks: [blockOf('tasks', [serverTask({ title: 'After' })])],
      })
      await replica.applyBatch(batch(3, { activated: ['project'] }))
    }
    const lines = await linesOf(new Blob(parts).stream())
    expect(lines).toContainEqual({ kind: 'again', table: 'tasks' })
    expect(rowsOf(lines, 'tasks').map(({ row }) => row['title'])).toEqual(['After'])
    expect(lines).toContainEqual({
      kind: 'subscription',
      subscription: { id: 'project', channel, embeddings: false },
      state: 'held',
    })
  })

  test('notes nothing any more when it is cancelled', async () => {
    const { replica } = await openReplica()
    let listeners = 0
    const onChange = replica.onChange.bind(replica)
    Object.assign(replica, {
      onChange: (listener: Parameters<typeof onChange>[0]) => {
        listeners += 1
        const stop = onChange(listener)
        return () => {
          listeners -= 1
          stop()
        }
      },
    })
    const reader = exportReplica({ schema: replicaSchema, replica, deviceName: 'here' }).getReader()
    await reader.read()
    expect(listeners).toBe(1)
    await reader.cancel()
    expect(listeners).toBe(0)
  })

  test('fails with the reason of its signal, and with `closed` when the client closes', async () => {
    const tide = await lonelyClient()
    const abort = new AbortController()
    const aborted = (await tide.export({ signal: abort.signal })).getReader()
    await aborted.read()
    abort.abort(new Error('enough'))
    await expect(aborted.read()).rejects.toThrow('enough')
    const cut = (await tide.export()).getReader()
    await cut.read()
    await tide.close()
    await expect(cut.read()).rejects.toMatchObject({ code: 'closed' })
    await expect(tide.export()).rejects.toMatchObject({ code: 'closed' })
  })
})
