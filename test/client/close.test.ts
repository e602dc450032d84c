import { expect, test } from 'vitest'
import type { Client } from '../../client-sdk/client.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'

const projectId = newId()

test('whoever waits for the server learns that the client was closed, and what is kept stays', async () => {
  const tide = await lonelyClient()
  const task = await tide.tasks.insert({ projectId, title: 'Kept' })
  const followed = await tide.subscribe({ project: projectId })
  const waits = [
    tide.synced(),
    tide.subscribe({ organization: true }),
    followed.ready,
    task.$write.wait('synced'),
    task.$write.outcome,
  ].map((wait) => expect(wait).rejects.toMatchObject({ code: 'closed' }))
  await tide.close()
  await Promise.all(waits)
  await expect(tide.subscribe({ project: projectId })).rejects.toMatchObject({ code: 'closed' })
  await expect(tide.synced()).rejects.toMatchObject({ code: 'closed' })
})

test('live queries end with the client, also those that wait', async () => {
  const tide = await lonelyClient()
  const seen: number[] = []
  const iteration = (async () => {
    for await (const rows of tide.tasks.live()) {
      seen.push(rows.length)
      if (rows.length === 1) void tide.close()
    }
  })()
  await tide.tasks.insert({ projectId, title: 'The last' })
  await iteration
  expect(seen.at(-1)).toBe(1)
})

test('a client is closed once, however often it is asked', async () => {
  const tide = await lonelyClient()
  expect(tide.close()).toBe(tide.close())
  await tide.close()
  expect(tide.status.connection).toBe('offline')
})

test('waits end when their signal aborts', async () => {
  const tide = await lonelyClient()
  await tide.tasks.insert({ projectId, title: 'Unsent' })
  const abort = new AbortController()
  const waits = [tide.synced({ signal: abort.signal }), tide.subscribe({ user: true }, { signal: abort.signal })].map(
    (wait) => expect(wait).rejects.toThrow('enough'),
  )
  abort.abort(new Error('enough'))
  await Promise.all(waits)
  await tide.close()
})

test('a channel that is not followed any more will not be ready', async () => {
  const tide = await lonelyClient()
  const followed = await tide.subscribe({ project: projectId })
  await followed.unsubscribe()
  await expect(followed.ready).rejects.toMatchObject({ code: 'closed' })
  await tide.close()
})

test('an insert answers its row without reading it again: it is durable whatever comes after', async () => {
  const store = createMemoryStore(shippedSchema)
  const opened: Client[] = []
  const tide = await lonelyClient({
    ...store,
    commit: async (commit) => {
      await store.commit(commit)
      void opened[0]?.close()
    },
  })
  opened.push(tide)
  const task = await tide.tasks.insert({ projectId, title: 'Durable' })
  expect(task).toMatchObject({ projectId, title: 'Durable', status: 'pending', version: 0 })
  const [stored] = await store.rows('tasks', [task.id])
  expect(stored).toEqual({ ...stored, title: task.title, createdAt: task.createdAt })
})
