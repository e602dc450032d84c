import { expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { RowReader } from '../../server/hub/row-reader.ts'
import type { Snapshot } from '../../server/hub/snapshot.ts'
import { taskId } from './changes.ts'

/** Answers every id, or as many rows as are asked for, with a row of so many bytes; counts them. */
function database(bytes: number) {
  const asked = { statements: 0, rows: 0 }
  const each: Snapshot['each'] = async ({ values = [] }, take) => {
    const [ids, limit] = values as readonly [readonly string[], number | undefined]
    asked.statements++
    for (let n = 0; n < (limit ?? ids.length); n++, asked.rows++) {
      const row = Buffer.alloc(bytes)
      row.writeInt32BE(16, 2)
      row.writeUInt32BE(asked.rows, 18)
      take(row, 0, bytes)
    }
  }
  return { asked, each }
}

const catalog = loadCatalog()
const ids = Array.from({ length: 20_000 }, (_, n) => taskId(n))
const tasks = catalog.synced.get('tasks')
const maxBytes = 64 * 1024 ** 2

test('finds out by a few rows that they are too large, and does not read all', async () => {
  const { asked, each } = database(64 * 1024)
  const reader = new RowReader({ catalog, each, embeddings: false, maxBytes })
  expect(await reader.byId('tasks', ids)).toBeUndefined()
  expect(asked.rows).toBeLessThan(1500)
})

test('reads small rows by the thousands', async () => {
  const { asked, each } = database(100)
  const reader = new RowReader({ catalog, each, embeddings: false, maxBytes })
  expect((await reader.byId('tasks', ids))?.size).toBe(ids.length)
  expect(asked).toEqual({ statements: 5, rows: ids.length })
  expect(reader.bytes).toBe(ids.length * 100)
})

test('finds out by a few rows of a channel that they are too large', async () => {
  const { asked, each } = database(512 * 1024)
  const reader = new RowReader({ catalog, each, embeddings: false, maxBytes })
  if (!tasks) throw new Error('There are tasks.')
  expect(await reader.inChannels(tasks, ['project/x'], 250_000)).toBeUndefined()
  expect(asked.rows).toBeLessThan(1000)
})
