import { describe, expect, test } from 'vitest'
import { batch, openHeld, openReplica, outcomeOf, shown, sure, welcome, type Opened } from './open-replica.ts'
import { blockOf, organizationId, projectId, serverTask, testIds } from './replica-schema.ts'

const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('a welcome', () => {
  test('of another principal is refused', async () => {
    const { replica } = await openHeld()
    await expect(replica.applyWelcome(welcome({ principal: { kind: 'user', id: testIds() } }))).rejects.toMatchObject({
      code: 'device_principal_mismatch',
    })
    await expect(replica.applyWelcome(welcome({ organizationId: testIds() }))).rejects.toMatchObject({
      code: 'device_principal_mismatch',
    })
  })

  test('fills in what a write before the first one could not know', async () => {
    const opened = await openReplica()
    const [entry] = await opened.replica.write([{ table: 'tasks', op: 'insert', set: { title: 'early' } }])
    await opened.replica.applyWelcome(welcome({ resume: false }))
    expect(await shown(opened, 'tasks', sure(entry).mutation.rowId)).toMatchObject({
      organizationId,
      channel: `organization/${organizationId}`,
    })
  })

  test('of a restored server gets the writes again that it has lost, without a gap', async () => {
    const { replica } = await openHeld()
    await replica.write([insertTask])
    await replica.nextPush(100, 1e6)
    const [acknowledged] = replica.writes()
    await replica.applyOutcomes([outcomeOf(sure(acknowledged), 'applied')])
    await replica.write([insertTask])
    await replica.nextPush(100, 1e6, 1)
    await replica.applyWelcome(welcome({ epoch: 'second', resume: false, clientSeq: 0 }))
    const sent = await replica.nextPush(100, 1e6)
    expect(sent.map(({ id, clientSeq }) => [id, clientSeq])).toEqual(
      replica.writes().map(({ mutation }, index) => [mutation.id, index + 1]),
    )
    expect(sent).toHaveLength(2)
  })

  describe('of a server that was restored from a backup', () => {
    /**
     * Writes that the server has answered and shown back, one insert and then three increments, each in a push of its
     * own.
     */
    async function written() {
      const opened = await openHeld()
      const { replica } = opened
      const [insert] = await replica.write([insertTask])
      const rowId = sure(insert).mutation.rowId
      const row = { ...serverTask({ title: 'T' }), id: rowId }
      const end = async (to: number, useCount: number): Promise<void> => {
        const sent = await replica.nextPush(100, 1e6)
        await replica.applyOutcomes(sent.map((mutation) => outcomeOf({ mutation }, 'applied')))
        const blocks = [blockOf('tasks', [{ ...row, useCount, version: to }])]
        await replica.applyBatch(batch(to, { blocks, settled: sent.map(({ id }) => id) }))
      }
      await end(2, 0)
      for (const count of [1, 2, 3]) {
        await replica.write([{ table: 'tasks', rowId, op: 'increment', inc: { useCount: 1 } }])
        await end(2 + count, count)
      }
      expect(replica.writes()).toEqual([])
      return { ...opened, rowId, row }
    }

    test.each([
      ['another epoch', { epoch: 'second', resume: false }],
      ['the same epoch, which it could even continue', {}],
    ])('gets what had ended since, even after a restart, with %s', async (_, values) => {
      const { store, rowId, row } = await written()
      const { replica } = await openReplica(store)
      expect(replica.writes()).toEqual([])
      await replica.applyWelcome(welcome({ ...values, clientSeq: 2 }))
      const sent = await replica.nextPush(100, 1e6)
      expect(sent.map(({ op, clientSeq }) => [op, clientSeq])).toEqual([
        ['increment', 3],
        ['increment', 4],
      ])
      // What the replica shows does not go back, and counts nothing twice.
      expect(await shown({ replica }, 'tasks', rowId)).toMatchObject({ useCount: 3 })
      expect(replica.subscriptions.map(({ state }) => state)).toEqual(['new'])
      const blocks = [blockOf('tasks', [{ ...row, useCount: 1, version: 2 }])]
      await replica.stagePage('project', { from: 3, next: null, blocks })
      await replica.applyBatch(batch(3, { activated: ['project'] }))
      expect(await shown({ replica }, 'tasks', rowId)).toMatchObject({ useCount: 3 })
      await replica.applyOutcomes(sent.map((mutation) => outcomeOf({ mutation }, 'applied')))
      await replica.applyBatch(
        batch(5, {
          blocks: [blockOf('tasks', [{ ...row, useCount: 3, version: 4 }])],
          settled: sent.map(({ id }) => id),
        }),
      )
      expect(await shown({ replica }, 'tasks', rowId)).toMatchObject({ useCount: 3 })
      expect(replica.writes()).toEqual([])
      // And again: they are kept once more.
      await replica.applyWelcome(welcome({ ...values, clientSeq: 2 }))
      expect(await replica.nextPush(100, 1e6)).toHaveLength(2)
    })

    test('sends a refused one once more when the row comes that it was refused for, and no other', async () => {
      const opened = await openHeld()
      const { replica, store } = opened
      const row = { ...serverTask({ title: 'T' }), id: testIds() }
      const missing = { code: 'not_found', message: 'It is not there.', remedy: '' } as const
      await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [{ ...row, version: 1 }])] }))
      await replica.write([{ table: 'tasks', rowId: row.id, op: 'patch', set: { title: 'Mine' } }])
      const [sent] = await replica.nextPush(100, 1e6)
      await replica.applyOutcomes([outcomeOf({ mutation: sure(sent) }, 'applied')])
      await replica.applyBatch(batch(3, { settled: [sure(sent).id] }))
      // The backup has neither the row, which is another device's, nor the write.
      await replica.applyWelcome(welcome({ epoch: 'second', resume: false, clientSeq: 0 }))
      const [again] = await replica.nextPush(100, 1e6)
      expect(again?.id).toBe(sent?.id)
      await replica.applyOutcomes([outcomeOf({ mutation: sure(again) }, 'rejected', { error: missing })])
      await replica.stagePage('project', { from: 1, next: null, blocks: [] })
      await replica.applyBatch(batch(1, { activated: ['project'] }))
      await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [serverTask({ title: 'Another' })])] }))
      expect(replica.writes().map(({ status }) => status)).toEqual(['rejected'])
      // Even after a restart.
      const reopened = await openReplica(store)
      await reopened.replica.applyBatch(batch(3, { blocks: [blockOf('tasks', [{ ...row, version: 1 }])] }))
      const [once] = await reopened.replica.nextPush(100, 1e6)
      expect(once).toMatchObject({ rowId: row.id, op: 'patch', set: { title: 'Mine' }, clientSeq: 2 })
      expect(await shown(reopened, 'tasks', row.id)).toMatchObject({ title: 'Mine' })
      for (const expected of ['local', 'rejected']) {
        const [last] = await reopened.replica.nextPush(100, 1e6)
        await reopened.replica.applyOutcomes([outcomeOf({ mutation: sure(last) }, 'rejected', { error: missing })])
        expect(reopened.replica.writes().map(({ status }) => status)).toEqual([expected])
      }
    })

    test('sends nothing again to a server that knows this device no more, within one epoch', async () => {
      const { replica } = await written()
      await replica.applyWelcome(welcome({ deviceId: testIds(), clientSeq: 0 }))
      expect(replica.writes()).toEqual([])
      expect(await replica.nextPush(100, 1e6)).toEqual([])
    })

    test('sends everything again to one that has never heard of this device, in another epoch', async () => {
      const { replica } = await written()
      await replica.applyWelcome(welcome({ deviceId: testIds(), clientSeq: 0, epoch: 'second', resume: false }))
      expect((await replica.nextPush(100, 1e6)).map(({ clientSeq }) => clientSeq)).toEqual([1, 2, 3, 4])
    })

    test('sends nothing again under a new identity', async () => {
      const { replica } = await written()
      await replica.takeNewIdentity()
      await replica.applyWelcome(welcome({ deviceId: testIds(), clientSeq: 0, epoch: 'second', resume: false }))
      expect(await replica.nextPush(100, 1e6)).toEqual([])
    })
  })

  describe('of a server with other columns than the one before', () => {
    /** A row that came without one of the columns that are known here, by a batch or in a page. */
    async function withShortRow(way: 'batch' | 'page', row = serverTask({ title: 'T' })) {
      const opened = await openHeld()
      const { replica } = opened
      const { block, sections } = blockOf('tasks', [row])
      const blocks = [{ block: { ...block, columns: block.columns.filter(({ name }) => name !== 'kind') }, sections }]
      if (way === 'batch') await replica.applyBatch(batch(2, { blocks }))
      else {
        await replica.refetch('project')
        await replica.stagePage('project', { from: 1, next: 'more', blocks })
      }
      return { ...opened, row }
    }
    const states = ({ replica }: Pick<Opened, 'replica'>) => replica.subscriptions.map(({ state }) => state)

    test.each([
      ['batch', 'held'],
      ['page', 'staging'],
    ] as const)(
      'fetches all anew where a %s came without some, once, and keeps what is unsent',
      async (way, before) => {
        const { store, row } = await withShortRow(way)
        const opened = await openReplica(store)
        const { replica } = opened
        await replica.write([insertTask])
        await replica.applyWelcome(welcome())
        expect(states(opened)).toEqual([before])
        const { cursor } = replica.meta
        await replica.applyWelcome(welcome({ schemaHash: 'other' }))
        expect(states(opened)).toEqual(['new'])
        expect(replica.meta.cursor).toEqual(cursor)
        expect(replica.writes().map(({ status }) => status)).toEqual(['local'])
        await replica.stagePage('project', { from: 2, next: null, blocks: [blockOf('tasks', [row])] })
        await replica.applyBatch(batch(2, { activated: ['project'] }))
        await replica.applyWelcome(welcome({ schemaHash: 'third' }))
        expect(states(opened)).toEqual(['held'])
      },
    )

    test('goes on as it was where all rows had all columns that are known here', async () => {
      const opened = await openHeld()
      const blocks = [blockOf('tasks', [serverTask({ title: 'T' })])]
      await opened.replica.applyBatch(batch(2, { blocks }))
      await opened.replica.applyWelcome(welcome({ schemaHash: 'other' }))
      expect(states(opened)).toEqual(['held'])
    })
  })

  test('of a server ahead leads to a new identity and to new ids for what has no answer', async () => {
    const { replica } = await openHeld()
    const [entry] = await replica.write([insertTask])
    await replica.nextPush(100, 1e6)
    const { fingerprint } = replica.meta
    expect(await replica.applyWelcome(welcome({ clientSeq: 9 }))).toEqual({ ahead: true })
    await replica.takeNewIdentity()
    expect(replica.meta.fingerprint).not.toBe(fingerprint)
    const [again] = await replica.nextPush(100, 1e6)
    expect(again).toMatchObject({ rowId: entry?.mutation.rowId, clientSeq: 1 })
    expect(again?.id).not.toBe(entry?.mutation.id)
  })
})
