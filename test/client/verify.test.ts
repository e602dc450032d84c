import { expect, test } from 'vitest'
import { verifyReplica } from '../../client-sdk/verify/verify.ts'
import { RangeSums } from '../../protocol/rows/verify.ts'
import { Waits } from '../../lib/waits.ts'
import { liveAndHeld } from '../connection/scripted-server.ts'
import { batch, shown } from '../replica/open-replica.ts'
import { blockOf, replicaSchema, serverTask } from '../replica/replica-schema.ts'
import { settled } from '../support/manual-clock.ts'

test('what differs is named, and is here again when the comparison ends', async () => {
  const connected = await liveAndHeld()
  const { replica, connection } = connected
  const row = serverTask({ title: 'as it is', version: 2 })
  const id = String(row['id'])
  await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [{ ...row, title: 'as it was', version: 1 }])] }))
  const theirs = new RangeSums()
  theirs.add(id, 2)
  const waits = new Waits()
  let isDone = false
  const verification = verifyReplica({
    schema: replicaSchema,
    replica,
    connection: Object.assign(connection, {
      verify: async () => ({
        type: 'verified' as const,
        ref: 1,
        to: batch(2).to,
        tables: [{ table: 'tasks', ranges: theirs.toRanges() }],
      }),
    }),
    until: (isThere) => waits.until((look) => replica.onChange(look), isThere),
  }).finally(() => {
    isDone = true
  })
  await settled()
  expect(replica.subscriptions.map(({ state }) => state)).toEqual(['new'])
  expect(await shown(connected, 'tasks', id)).toMatchObject({ title: 'as it was' })
  expect(isDone).toBe(false)
  await replica.stagePage('project', { from: batch(2).to, next: null, blocks: [blockOf('tasks', [row])] })
  await replica.applyBatch(batch(3, { activated: ['project'] }))
  expect(await verification).toEqual({
    equal: false,
    repaired: [{ channel: expect.any(String), table: 'tasks', range: Number.parseInt(id.slice(-1), 16) }],
  })
  expect(await shown(connected, 'tasks', id)).toMatchObject({ title: 'as it is' })
})
