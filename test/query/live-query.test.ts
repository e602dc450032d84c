import { expect, test } from 'vitest'
import { LiveQuery } from '../../client-sdk/query/live-query.ts'
import type { ReplicaChange } from '../../client-sdk/replica/replica-change.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Row } from '../../protocol/rows/row.ts'

const change = (tables: ReplicaChange['tables']): ReplicaChange => ({
  tables,
  writes: [],
  states: new Map(),
  subscriptions: new Set(),
  left: new Set(),
})
const everything = change(new Map([['tasks', { all: true }]]))
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a query whose read failed is told, and reads again at the next change, whatever that concerns', async () => {
  const changes = new Listeners<ReplicaChange>()
  const told: (readonly Row[])[] = []
  const failures: unknown[] = []
  let rows: readonly Row[] = []
  let isBroken = false
  const live = new LiveQuery<Row>({
    table: 'tasks',
    rules: { matches: () => true, compare: (a, b) => String(a['id']).localeCompare(String(b['id'])) },
    source: {
      read: async (use) => {
        if (isBroken) throw new Error('the store is busy')
        use(rows)
      },
      onChange: (listener) => changes.add(listener),
    },
    present: (row) => row,
    notify: (result) => told.push(result),
    failed: (error) => failures.push(error),
  })
  live.start()
  await turn()
  expect(told).toEqual([[]])

  rows = [{ id: 'a' }]
  isBroken = true
  changes.tell(everything)
  await turn()
  expect(failures).toHaveLength(1)

  isBroken = false
  changes.tell(change(new Map()))
  await turn()
  expect(told.at(-1)).toEqual([{ id: 'a' }])

  rows = []
  changes.tell(everything)
  await turn()
  expect(told.at(-1)).toEqual([])
})
