import { expect, it } from 'vitest'
import { Replica } from '../../client-sdk/replica/replica.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { seededRandom } from '../../lib/random.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openHeld, outcomeOf, sure } from './open-replica.ts'
import { projectId, replicaSchema } from './replica-schema.ts'

const insertTask = (body = '') => ({ table: 'tasks', op: 'insert', set: { projectId, title: 'T', body } }) as const

async function open(outbox: { readonly writes: number; readonly bytes: number }): Promise<Replica> {
  const parts = { schema: replicaSchema, clock: new ManualClock(), random: seededRandom(1) }
  return Replica.open({ ...parts, store: createMemoryStore(replicaSchema), outbox })
}

it('takes so many writes and no more, and none of a transaction that goes beyond', async () => {
  const replica = await open({ writes: 3, bytes: 1e6 })
  await replica.write([insertTask(), insertTask()])
  await expect(replica.write([insertTask(), insertTask()], { group: true })).rejects.toMatchObject({
    code: 'outbox_full',
  })
  expect(replica.pendingCount).toBe(2)
  await replica.write([insertTask()])
  await expect(replica.write([insertTask()])).rejects.toMatchObject({ code: 'outbox_full' })
})

it('takes so much text and no more, until some of it has gone', async () => {
  const replica = await open({ writes: 100, bytes: 3000 })
  const [first] = await replica.write([insertTask('x'.repeat(1000))])
  const [second] = await replica.write([insertTask('x'.repeat(1000))])
  await expect(replica.write([insertTask('x'.repeat(1000))])).rejects.toMatchObject({
    code: 'outbox_full',
    message: expect.stringMatching(/3 of 3\d\d\d characters .* 3000/),
  })
  // A patch that folds into what waits needs little room; one that grows it does.
  const rowId = sure(first).mutation.rowId
  const patch = (body: string) => ({ table: 'tasks', op: 'patch', rowId, set: { body } }) as const
  await expect(replica.write([patch('x'.repeat(2500))])).rejects.toMatchObject({ code: 'outbox_full' })
  await replica.write([patch('short')])
  await replica.write([insertTask('x'.repeat(500))])
  await replica.discard(sure(second).mutation.id)
  await replica.write([insertTask('x'.repeat(1000))])
})

it('gives up or repeats only what is parked: what is on its way may have arrived', async () => {
  const { replica } = await openHeld()
  const [entry] = await replica.write([insertTask()])
  const { id } = sure(entry).mutation
  await expect(replica.retry(id)).rejects.toMatchObject({ code: 'write_in_flight' })
  const [sent] = await replica.nextPush(100, 1e6)
  await expect(replica.discard(id)).rejects.toMatchObject({ code: 'write_in_flight' })
  await replica.applyOutcomes([outcomeOf({ mutation: sure(sent) }, 'applied')])
  await expect(replica.discard(id)).rejects.toMatchObject({ code: 'write_in_flight' })
  await expect(replica.retry(id)).rejects.toMatchObject({ code: 'write_in_flight' })
})
