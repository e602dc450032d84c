import { describe, expect, test } from 'vitest'
import { Replica } from '../../client-sdk/replica/replica.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { seededRandom } from '../../lib/random.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openHeld, openReplica, outcomeOf, sure, welcome } from './open-replica.ts'
import { projectId, replicaSchema } from './replica-schema.ts'

const insertTask = (body = '') => ({ table: 'tasks', op: 'insert', set: { projectId, title: 'T', body } }) as const

async function open(outbox: { readonly writes: number; readonly bytes: number }): Promise<Replica> {
  const parts = { schema: replicaSchema, clock: new ManualClock(), random: seededRandom(1) }
  return Replica.open({ ...parts, store: createMemoryStore(replicaSchema), outbox })
}

test('takes so many writes and no more, and none of a transaction that goes beyond', async () => {
  const replica = await open({ writes: 3, bytes: 1e6 })
  await replica.write([insertTask(), insertTask()])
  await expect(replica.write([insertTask(), insertTask()], { group: true })).rejects.toMatchObject({
    code: 'outbox_full',
  })
  expect(replica.pendingCount).toBe(2)
  await replica.write([insertTask()])
  await expect(replica.write([insertTask()])).rejects.toMatchObject({ code: 'outbox_full' })
})

test('takes so much text and no more, until some of it has gone', async () => {
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

test('gives up or repeats only what is parked: what is on its way may have arrived', async () => {
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

describe('a server that takes little in one push', () => {
  const limits = { messageBytes: 10_000, pushMutations: 3, subscriptions: 1, windowBatches: 1 }
  const seqs = (mutations: readonly { readonly clientSeq: number }[]) => mutations.map(({ clientSeq }) => clientSeq)

  test('is never sent more, by bytes or by writes', async () => {
    const { replica } = await openReplica()
    await replica.applyWelcome(welcome({ limits }))
    for (let count = 0; count < 4; count++) await replica.write([insertTask('日'.repeat(2000))])
    for (let count = 0; count < 4; count++) await replica.write([insertTask()])
    const pushes = [await replica.nextPush(100, 1e6)]
    for (let last = pushes.at(-1)?.at(-1); last !== undefined; last = pushes.at(-1)?.at(-1))
      pushes.push(await replica.nextPush(100, 1e6, last.clientSeq))
    expect(pushes.map(seqs)).toEqual([[1], [2], [3], [4, 5, 6], [7, 8], []])
  })

  test('has a write of its own for an addition that would make the one before too large', async () => {
    const { replica } = await openReplica()
    await replica.applyWelcome(welcome({ limits: { ...limits, messageBytes: 750 } }))
    const [first] = await replica.write([insertTask('x'.repeat(200))])
    const { rowId } = sure(first).mutation
    const patch = (kind: string) => ({ table: 'tasks', op: 'patch', rowId, set: { title: kind } }) as const
    await replica.write([patch('x'.repeat(100))])
    expect(replica.writes()).toHaveLength(1)
    await replica.write([patch('日'.repeat(100))])
    expect(replica.writes().map(({ mutation }) => mutation.op)).toEqual(['insert', 'patch'])
    expect(replica.writes()[1]?.mutation.dependsOn).toEqual([sure(first).mutation.id])
  })

  test('makes a write fail at once that has more, and a group', async () => {
    const { replica } = await openReplica()
    await replica.applyWelcome(welcome({ limits }))
    const most = insertTask('x'.repeat(6000))
    const refusal = { code: 'message_too_large' }
    await expect(replica.write([insertTask('日'.repeat(4000))])).rejects.toMatchObject(refusal)
    await expect(replica.write([most, most], { group: true })).rejects.toMatchObject(refusal)
    await expect(
      replica.write(
        [1, 2, 3, 4].map(() => insertTask()),
        { group: true },
      ),
    ).rejects.toMatchObject(refusal)
    expect(replica.writes()).toEqual([])
    await replica.write([most, most])
    expect(replica.writes()).toHaveLength(2)
  })

  test('that another one had sent already leaves no gap in the counters', async () => {
    const { replica } = await openReplica()
    await replica.applyWelcome(welcome())
    await replica.write([insertTask()])
    const group = await replica.write([insertTask('x'.repeat(6000)), insertTask('x'.repeat(6000))], { group: true })
    await replica.write([insertTask()])
    expect(seqs(await replica.nextPush(100, 1e6))).toEqual([1, 2, 3, 4])
    // Another server, which has the first one and nothing of the rest.
    await replica.applyWelcome(welcome({ limits, clientSeq: 1 }))
    await replica.write([insertTask()])
    expect(seqs(await replica.nextPush(100, 1e6, 1))).toEqual([2, 3])
    const ids = group.map(({ mutation }) => mutation.id)
    expect(
      replica
        .writes()
        .filter(({ status }) => status === 'rejected')
        .map(({ mutation }) => mutation.id),
    ).toEqual(ids)
    // Once its limit is higher again they can go again.
    await replica.applyWelcome(welcome({ clientSeq: 3 }))
    await replica.retry(sure(ids[0]))
    expect(seqs(await replica.nextPush(100, 1e6, 3))).toEqual([4, 5])
  })

  test('that has answered them is asked for the answer, without the values', async () => {
    const { replica } = await openReplica()
    await replica.applyWelcome(welcome())
    const group = await replica.write([insertTask('x'.repeat(6000)), insertTask('x'.repeat(6000))], { group: true })
    await replica.nextPush(100, 1e6)
    await replica.applyWelcome(welcome({ limits, clientSeq: 2 }))
    const asked = await replica.nextPush(100, 1e6)
    expect(asked.map(({ id }) => id)).toEqual(group.map(({ mutation }) => mutation.id))
    expect(asked.every(({ set }) => set === undefined)).toBe(true)
    await replica.applyOutcomes(asked.map((mutation) => outcomeOf({ mutation }, 'applied')))
    expect(replica.writes().map(({ status }) => status)).toEqual(['acknowledged', 'acknowledged'])
  })
})
