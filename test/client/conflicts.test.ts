import { expect, test } from 'vitest'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'

const [id, deviceId, taskId, projectId] = [newId(), newId(), newId(), newId()]
const at = '2026-11-22T00:00:00.000Z'

/** As the server sends it: every column is there. */
function rowOf(table: 'syncConflicts' | 'tasks', values: Row): Row {
  const columns = Object.keys(shippedSchema[table].columns)
  return { ...Object.fromEntries(columns.map((name) => [name, null])), version: 1, createdAt: at, ...values }
}

const task = rowOf('tasks', {
  id: taskId,
  projectId,
  title: 'theirs',
  status: 'pending',
  channel: `project/${projectId}`,
})
const conflict = rowOf('syncConflicts', {
  id,
  deviceId,
  tableName: 'tasks',
  rowId: taskId,
  kind: 'field',
  status: 'open',
  fields: { title: { base: 'base', mine: 'mine', theirs: 'theirs' } },
  channel: `project/${projectId}`,
})

test('a conflict says whose and when it is, and its settlement is a write like any other', async () => {
  const store = createMemoryStore(shippedSchema)
  await store.commit({
    rows: [
      { table: 'tasks', upserts: [task], deletes: [] },
      { table: 'sync_conflicts', upserts: [conflict], deletes: [] },
    ],
  })
  const tide = await lonelyClient(store)
  expect(await tide.conflicts.find({ where: { status: 'open' } })).toMatchObject([
    { id, table: 'tasks', rowId: taskId, device: deviceId, when: at, mine: { title: 'mine' } },
  ])
  // Values of the row, which the types do not know: any table may have a conflict.
  const wrong = { memoryType: 'semantic' } as const
  await expect(tide.conflicts.resolve(id, wrong)).rejects.toMatchObject({ code: 'unknown_column' })
  await expect(tide.conflicts.resolve(id, { status: 'active' })).rejects.toMatchObject({ code: 'invalid_value' })
  const deadline = new Date('2027-01-01T00:00:00Z')
  const write = await tide.conflicts.resolve(id, { title: 'Both', deadline })
  expect(write.status).toBe('local')
  expect(await tide.tasks.get(taskId)).toMatchObject({ title: 'Both', deadline: '2027-01-01T00:00:00.000Z' })
  await expect(tide.conflicts.resolve(id, 'client')).rejects.toMatchObject({ code: 'conflict_already_resolved' })
  await tide.close()
})
