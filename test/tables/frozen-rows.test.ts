import { expect, test } from 'vitest'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'

test("a row cannot be changed but by a write, and what a caller hands in stays the caller's", async () => {
  const tide = await lonelyClient()
  const metadata = { labels: ['one'], depth: { level: 1 } }
  const task = await tide.tasks.insert({ projectId: newId(), title: 'Frozen', metadata })
  metadata.labels.push('two')
  const found = await tide.tasks.get(task.id)
  for (const row of [task, found]) {
    const held = row?.metadata as typeof metadata
    expect(held).toEqual({ labels: ['one'], depth: { level: 1 } })
    expect(() => held.labels.push('three')).toThrow(TypeError)
    expect(() => Object.assign(held.depth, { level: 2 })).toThrow(TypeError)
  }
  const write = await tide.tasks.update(task.id, { metadata: { labels: ['one', 'two'] } })
  expect(write.status).toBe('local')
  expect((await tide.tasks.get(task.id))?.metadata).toEqual({ labels: ['one', 'two'] })
  await tide.close()
})
