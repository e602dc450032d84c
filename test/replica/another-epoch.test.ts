import { describe, expect, test } from 'vitest'
import { batch, openHeld, outcomeOf, welcome } from './open-replica.ts'
import { blockOf, channel, projectId, serverTask } from './replica-schema.ts'

const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('a welcome of another epoch', () => {
  test('goes on in the epoch after the one it knows, and drops pages that were staged in that', async () => {
    const { replica } = await openHeld()
    await replica.applyBatch(batch(2))
    await replica.addSubscription({ id: 'more', channel, embeddings: false })
    await replica.stagePage('more', { from: 2, next: 'next', blocks: [blockOf('tasks', [serverTask()])] })
    await replica.applyWelcome(welcome({ epoch: 'second', resume: true }))
    expect(replica.meta.cursor).toEqual({ epoch: 'second', seq: 2 })
    expect(replica.subscriptions.map(({ state }) => state)).toEqual(['held', 'new'])
    await replica.applyBatch(batch(3, { blocks: [blockOf('tasks', [serverTask()])] }))
    expect(replica.meta.cursor).toEqual({ epoch: 'second', seq: 3 })
  })

  test('of yet another history gets the whole tail, for counters were given anew in between', async () => {
    const { replica } = await openHeld()
    for (const to of [2, 3, 4, 5]) {
      await replica.write([insertTask])
      const sent = await replica.nextPush(100, 1e6)
      await replica.applyOutcomes(sent.map((mutation) => outcomeOf({ mutation }, 'applied')))
      await replica.applyBatch(batch(to, { settled: sent.map(({ id }) => id) }))
    }
    expect(replica.writes()).toEqual([])
    await replica.applyWelcome(welcome({ epoch: 'second', resume: false, clientSeq: 2 }))
    const again = await replica.nextPush(100, 1e6)
    expect(again.map(({ clientSeq }) => clientSeq)).toEqual([3, 4])
    await replica.applyOutcomes(again.map((mutation) => outcomeOf({ mutation }, 'applied')))
    await replica.applyBatch(batch(6, { settled: again.map(({ id }) => id) }))
    // A later backup of the first history: its third and fourth write need not be the third and fourth of now.
    await replica.applyWelcome(welcome({ epoch: 'third', resume: false, clientSeq: 4 }))
    const all = await replica.nextPush(100, 1e6)
    expect(all.map(({ clientSeq }) => clientSeq)).toEqual([5, 6, 7, 8])
    expect(all.slice(2).map(({ id }) => id)).toEqual(again.map(({ id }) => id))
  })
})
