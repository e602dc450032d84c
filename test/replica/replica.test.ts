import { describe, expect, test } from 'vitest'
import type { ReplicaChange } from '../../client-sdk/replica/replica-change.ts'
import { WriteTracker } from '../../client-sdk/tables/write.ts'
import { batch, dump, openHeld, openReplica, outcomeOf, shown, sure, welcome } from './open-replica.ts'
import { blockOf, channel, organizationId, projectId, serverTask, testIds } from './replica-schema.ts'

const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('a write', () => {
  test('shows at once, is local, and survives a reopening', async () => {
    const opened = await openHeld()
    const [entry] = await opened.replica.write([insertTask])
    const id = entry?.mutation.rowId ?? ''
    expect(await shown(opened, 'tasks', id)).toMatchObject({
      id,
      title: 'mine',
      status: 'open',
      useCount: 0,
      version: 0,
      organizationId,
      channel,
    })
    expect(opened.replica.syncOf('tasks', id)).toEqual({ status: 'local', pending: 1 })
    const again = await openReplica(opened.store)
    expect(await dump(again)).toEqual(await dump(opened))
  })

  test('is local, syncing, acknowledged, synced, and never flickers', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const task = serverTask({ title: 'old' })
    const id = String(task['id'])
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    const [entry] = await replica.write([{ table: 'tasks', rowId: id, op: 'patch', set: { title: 'new' } }])
    expect(entry?.mutation).toMatchObject({ set: { title: 'new' }, base: { title: 'old' }, clientSeq: 0 })
    const [mutation] = await replica.nextPush(100, 1e6)
    expect(mutation).toMatchObject({ id: entry?.mutation.id, clientSeq: 1 })
    expect(replica.syncOf('tasks', id).status).toBe('syncing')
    await replica.applyBatch(batch(3, { blocks: [blockOf('tasks', [{ ...task, body: 'theirs', version: 2 }])] }))
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'new', body: 'theirs' })
    await replica.applyOutcomes([outcomeOf({ mutation: mutation ?? sure(entry).mutation }, 'applied')])
    expect(replica.syncOf('tasks', id)).toEqual({ status: 'acknowledged', pending: 1 })
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'new', body: 'theirs' })
    await replica.applyBatch(
      batch(4, {
        blocks: [blockOf('tasks', [{ ...task, title: 'new', body: 'theirs', version: 3 }])],
        settled: [entry?.mutation.id ?? ''],
      }),
    )
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'new', body: 'theirs', version: 3 })
    expect(replica.syncOf('tasks', id)).toEqual({ status: 'synced', pending: 0 })
    expect(replica.writes()).toEqual([])
  })

  test('ends synced also when it comes back before its outcome', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const task = serverTask()
    const id = String(task['id'])
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    const [entry] = await replica.write([{ table: 'tasks', rowId: id, op: 'increment', inc: { useCount: 2 } }])
    const tracker = new WriteTracker(() => null)
    replica.onChange((change) => tracker.take(change))
    const write = tracker.follow(sure(entry))
    const [mutation] = await replica.nextPush(100, 1e6)
    await replica.applyBatch(
      batch(3, { blocks: [blockOf('tasks', [{ ...task, useCount: 2 }])], settled: [entry?.mutation.id ?? ''] }),
    )
    expect(await shown(opened, 'tasks', id)).toMatchObject({ useCount: 2 })
    expect(replica.syncOf('tasks', id).status).toBe('syncing')
    await replica.applyOutcomes([
      outcomeOf({ mutation: { ...sure(entry).mutation, clientSeq: mutation?.clientSeq ?? 0 } }, 'applied'),
    ])
    expect(replica.writes()).toEqual([])
    // Its answer and its end are one change.
    await write.wait('synced')
    expect(await write.outcome).toMatchObject({ kind: 'applied' })
  })

  test('that is refused shows the row as the server has it, parks what depends on it, and can be retried', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const [insert] = await replica.write([insertTask])
    const id = insert?.mutation.rowId ?? ''
    await replica.nextPush(100, 1e6)
    const [note] = await replica.write([{ table: 'notes', op: 'insert', set: { taskId: id, text: 'n' } }])
    expect(note?.mutation.dependsOn).toEqual([insert?.mutation.id])
    const error = { code: 'forbidden' as const, message: 'no', remedy: 'ask' }
    await replica.applyOutcomes([outcomeOf(sure(insert), 'rejected', { error })])
    expect(replica.writes().map(({ status, outcome }) => [status, outcome?.error?.code])).toEqual([
      ['rejected', 'forbidden'],
      ['rejected', 'dependency_rejected'],
    ])
    expect(await shown(opened, 'tasks', id)).toBeUndefined()
    expect(replica.syncOf('tasks', id)).toEqual({ status: 'rejected', pending: 0 })
    const renewed = await replica.retry(sure(insert).mutation.id)
    expect(renewed.map(({ status, mutation }) => [status, mutation.table])).toEqual([
      ['local', 'tasks'],
      ['local', 'notes'],
    ])
    expect(renewed[0]?.mutation.id).not.toBe(insert?.mutation.id)
    expect(renewed[1]?.mutation.dependsOn).toEqual([renewed[0]?.mutation.id])
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'mine' })
    const dropped = await replica.discard(sure(renewed[0]).mutation.id)
    expect(dropped).toEqual(renewed.map(({ mutation }) => mutation.id))
    expect(await shown(opened, 'tasks', id)).toBeUndefined()
    expect(replica.writes()).toEqual([])
  })

  test('of a group is sent whole and refused alone as a draft', async () => {
    const { replica } = await openHeld()
    const drafts = [insertTask, insertTask, insertTask]
    const entries = await replica.write(drafts, { group: true })
    expect(new Set(entries.map(({ mutation }) => mutation.group)).size).toBe(1)
    expect(await replica.nextPush(2, 1e6)).toHaveLength(3)
    await expect(
      replica.write([insertTask, { ...insertTask, set: { title: 'x', unknown: 1 } }], { group: true }),
    ).rejects.toMatchObject({ code: 'unknown_column' })
    expect(replica.writes()).toHaveLength(3)
  })

  test('folds into an unsent one and keeps the base of the first touch', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const task = serverTask({ title: 'a' })
    const id = String(task['id'])
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    const [first] = await replica.write([{ table: 'tasks', rowId: id, op: 'patch', set: { title: 'b' } }])
    const [second] = await replica.write([{ table: 'tasks', rowId: id, op: 'patch', set: { title: 'c', body: 'x' } }])
    expect(second?.mutation.id).toBe(first?.mutation.id)
    expect(second?.mutation).toMatchObject({ set: { title: 'c', body: 'x' }, base: { title: 'a', body: null } })
    await replica.nextPush(100, 1e6)
    const [third] = await replica.write([{ table: 'tasks', rowId: id, op: 'patch', set: { title: 'd' } }])
    expect(third?.mutation.id).not.toBe(first?.mutation.id)
    expect(third?.mutation.base).toEqual({ title: 'c' })
  })

  test('that deletes a row never sent leaves nothing to send', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const [insert] = await replica.write([insertTask])
    const id = insert?.mutation.rowId ?? ''
    const ended: string[] = []
    replica.onChange(({ writes }) =>
      ended.push(...writes.filter(({ end }) => end === 'synced').map((write) => write.id)),
    )
    const [entry] = await replica.write([{ table: 'tasks', rowId: id, op: 'delete' }])
    expect(entry).toMatchObject({ settled: true, outcome: { kind: 'noop' } })
    expect(ended).toEqual([insert?.mutation.id])
    expect(await shown(opened, 'tasks', id)).toBeUndefined()
    expect(await replica.nextPush(100, 1e6)).toEqual([])
  })

  test('of a set-like row has the same id on every device and brings a removed one back', async () => {
    const [one, two] = [await openHeld(1), await openHeld(2)]
    const task = serverTask()
    for (const { replica } of [one, two]) await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    const draft = { table: 'task_tags', op: 'insert', set: { taskId: task['id'], tag: 'red' } } as const
    const [[first], [second]] = await Promise.all([one.replica.write([draft]), two.replica.write([draft])])
    expect(first?.mutation.rowId).toBe(second?.mutation.rowId)
    const rowId = sure(first).mutation.rowId
    const row = { ...(await shown(one, 'task_tags', rowId)), version: 1, deletedAt: '2026-11-22T00:30:00.000Z' }
    await two.replica.applyBatch(batch(3, { blocks: [blockOf('task_tags', [row])] }))
    expect(await shown(two, 'task_tags', rowId)).toMatchObject({ deletedAt: null })
  })

  test('is refused when the descriptors say so', async () => {
    const { replica } = await openHeld()
    const task = serverTask()
    const rowId = String(task['id'])
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    const codes = [
      [{ table: 'nothing', op: 'insert', set: {} }, 'unknown_table'],
      [{ table: 'plans', op: 'insert', set: { name: 'x' } }, 'forbidden'],
      [{ table: 'tasks', op: 'insert', set: { projectId } }, 'invalid_value'],
      [{ table: 'tasks', op: 'insert', set: { title: 1 } }, 'invalid_value'],
      [{ table: 'tasks', op: 'insert', set: { title: 'x', version: 3 } }, 'unknown_column'],
      [{ table: 'tasks', rowId, op: 'patch', set: { status: 'late' } }, 'invalid_value'],
      [{ table: 'tasks', rowId, op: 'patch', set: { kind: 'x' } }, 'unknown_column'],
      [{ table: 'tasks', rowId, op: 'patch', set: { useCount: 3 } }, 'unknown_column'],
      [{ table: 'tasks', rowId, op: 'patch', set: {} }, 'invalid_value'],
      [{ table: 'tasks', rowId, op: 'increment', inc: { title: 1 } }, 'unknown_column'],
      [{ table: 'tasks', rowId: testIds(), op: 'patch', set: { title: 'x' } }, 'not_found'],
      [{ table: 'tasks', rowId, op: 'insert', set: { title: 'x' } }, 'unique_violated'],
      [{ table: 'notes', op: 'insert', set: { taskId: null, text: 'x' } }, 'invalid_value'],
      [{ table: 'sync_conflicts', rowId, op: 'patch', set: { status: 'resolved' } }, 'forbidden'],
    ] as const
    for (const [draft, code] of codes) await expect(replica.write([draft])).rejects.toMatchObject({ code })
    expect(replica.writes()).toEqual([])
    await replica.write([{ table: 'tasks', rowId, op: 'delete' }])
    await expect(replica.write([{ table: 'tasks', rowId, op: 'patch', set: { title: 'x' } }])).rejects.toMatchObject({
      code: 'row_deleted',
    })
  })
})

describe('a batch', () => {
  test('purges a lost channel but keeps what this replica has yet to send', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const [kept, edited] = [serverTask(), serverTask()]
    const note = {
      id: testIds(),
      organizationId,
      channel: `task/${String(kept['id'])}`,
      version: 1,
      createdAt: '2026-11-22T00:00:00.000Z',
      updatedAt: '2026-11-22T00:00:00.000Z',
      taskId: sure(kept['id']),
      text: 'n',
    }
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [kept, edited]), blockOf('notes', [note])] }))
    await replica.write([{ table: 'tasks', rowId: String(edited['id']), op: 'patch', set: { title: 'edited' } }])
    const [insert] = await replica.write([insertTask])
    await replica.applyBatch(batch(3, { leaves: [{ channel, revoked: true }] }))
    expect(await replica.read((store) => store.query('tasks', { withDeleted: true }))).toMatchObject([
      { id: insert?.mutation.rowId },
    ])
    expect(await replica.read((store) => store.query('notes', {}))).toEqual([])
    expect(replica.subscriptions).toEqual([])
    expect(replica.writes()).toHaveLength(2)
  })

  test('that completes a bootstrap lays pending writes over the new state', async () => {
    const opened = await openHeld()
    const { replica } = opened
    const [stays, goes] = [serverTask({ title: 'one' }), serverTask({ title: 'two' })]
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [stays, goes])] }))
    for (const { id } of [stays, goes])
      await replica.write([{ table: 'tasks', rowId: String(id), op: 'patch', set: { title: 'edited' } }])
    await replica.applyWelcome(welcome({ epoch: 'second', resume: false }))
    expect(replica.subscriptions.map(({ state }) => state)).toEqual(['new'])
    expect(await shown(opened, 'tasks', String(stays['id']))).toMatchObject({ title: 'edited' })
    const fresh = serverTask()
    await replica.stagePage('project', {
      from: 5,
      next: 'more',
      blocks: [blockOf('tasks', [{ ...stays, body: 'fresh' }])],
    })
    await replica.stagePage('project', { from: 6, next: null, blocks: [blockOf('tasks', [fresh])] })
    expect(replica.subscriptions).toMatchObject([{ state: 'staging', from: 5, next: null }])
    await replica.applyBatch(batch(7, { activated: ['project'] }))
    expect(replica.subscriptions).toMatchObject([{ state: 'held' }])
    expect(await shown(opened, 'tasks', String(stays['id']))).toMatchObject({ title: 'edited', body: 'fresh' })
    expect(await shown(opened, 'tasks', String(goes['id']))).toBeUndefined()
    expect(await shown(opened, 'tasks', String(fresh['id']))).toBeDefined()
    expect(replica.meta.cursor).toEqual({ epoch: 'second', seq: 7 })
  })

  test('older than the replica is refused and changes nothing', async () => {
    const opened = await openHeld()
    await opened.replica.applyBatch(batch(5))
    const before = await dump(opened)
    await expect(opened.replica.applyBatch(batch(4, { blocks: [blockOf('tasks', [serverTask()])] }))).rejects.toThrow(
      'not older',
    )
    expect(await dump(opened)).toEqual(before)
  })

  test('names its rows to listeners, and says "all" above a limit', async () => {
    const opened = await openHeld()
    const changes: ReplicaChange[] = []
    opened.replica.onChange((change) => changes.push(change))
    const task = serverTask()
    await opened.replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    await opened.replica.applyBatch(batch(3, { deletes: [{ table: 'tasks', ids: [String(task['id'])] }] }))
    await opened.replica.applyBatch(
      batch(4, {
        blocks: [
          blockOf(
            'tasks',
            Array.from({ length: 5001 }, () => serverTask()),
          ),
        ],
      }),
    )
    expect(changes.map(({ tables }) => tables.get('tasks'))).toMatchObject([
      { all: false, upserts: [{ id: task['id'] }], deletes: [] },
      { all: false, upserts: [], deletes: [task['id']] },
      { all: true },
    ])
  })
})
