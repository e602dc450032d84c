// Run by kill-while-writing.pglite.test.ts as a process of its own: commits without end, and tells of every commit.
import { openStore } from '../../client-sdk/store/open-store.ts'
import { channelA, idOf, issue } from '../../client-sdk/testing/contract-rows.ts'
import { contractSchema } from '../../client-sdk/testing/contract-schema.ts'

const [dir = '', first = '1'] = process.argv.slice(2)
const store = await openStore({ kind: 'pglite', dir }, contractSchema)
for (let position = Number(first); ; position++) {
  const mutation = {
    id: idOf(position),
    clientSeq: position,
    table: 'issues',
    rowId: idOf(position),
    op: 'insert' as const,
    at: position,
  }
  await store.commit({
    rows: [{ table: 'issues', upserts: [issue(position, channelA)], deletes: [] }],
    outbox: { puts: [{ position, status: 'local', mutation, outcome: null, settled: false }], deletes: [] },
    meta: { clientSeq: position },
  })
  process.send?.(position)
}
