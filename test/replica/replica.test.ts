import { describe, expect, it } from 'vitest'
import type { ReplicaChange } from '../../client-sdk/replica/replica-change.ts'
import { WriteTracker } from '../../client-sdk/tables/write.ts'
import { batch, deviceId, dump, openHeld, openReplica, outcomeOf, shown, sure, welcome } from './open-replica.ts'
import { blockOf, channel, organizationId, projectId, serverTask, testIds, userId } from './replica-schema.ts'

const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('a write', () => {
  it('shows at once, is local, and survives a reopening', async () => {
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

  it('is local, syncing, acknowledged, synced, and never flickers', async () => {
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

  it('ends synced also when it comes back before its outcome', async () => {
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

  it('that is refused shows the row as the server has it, parks what depends on it, and can be retried', async () => {
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

  it('of a group is sent whole and refused alone as a draft', async () => {
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

  it('folds into an unsent one and keeps the base of the first touch', async () => {
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

  it('that deletes a row never sent leaves nothing to send', async () => {
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

  it('of a set-like row has the same id on every device and brings a removed one back', async () => {
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

  it('is refused when the descriptors say so', async () => {
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

describe('a conflict', () => {
  async function conflicted(home = channel) {
    const opened = await openHeld()
    const { replica } = opened
    const task = serverTask({ title: 'base' })
    const id = String(task['id'])
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    const [entry] = await replica.write([{ table: 'tasks', rowId: id, op: 'patch', set: { title: 'mine' } }])
    await replica.nextPush(100, 1e6)
    const conflict = {
      id: testIds(),
      organizationId,
      channel: home === 'task' ? `task/${id}` : home,
      version: 1,
      createdAt: '2026-11-22T00:00:00.000Z',
      updatedAt: '2026-11-22T00:00:00.000Z',
      deviceId,
      userId,
      agentId: null,
      mutationId: sure(entry).mutation.id,
      tableName: 'tasks',
      rowId: id,
      kind: 'field',
      fields: { title: { base: 'base', mine: 'mine', theirs: 'theirs' } },
      clientPatch: { title: 'mine' },
      status: 'open',
      resolution: null,
      resolvedPatch: null,
      resolvedAt: null,
    }
    await replica.applyOutcomes([outcomeOf(sure(entry), 'conflict', { conflictId: conflict.id, columns: ['title'] })])
    const seen = { ...task, title: 'theirs', version: 2 }
    await replica.applyBatch(
      batch(3, {
        blocks: [blockOf('tasks', [seen]), blockOf('sync_conflicts', [conflict])],
        settled: [sure(entry).mutation.id],
      }),
    )
    return { ...opened, id, conflict, seen }
  }

  it('keeps the server value, is open on the row, and ends when it is settled elsewhere', async () => {
    const opened = await conflicted()
    const { replica, id, conflict } = opened
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'theirs' })
    expect(replica.syncOf('tasks', id)).toEqual({ status: 'conflict', pending: 0, conflictId: conflict.id })
    expect(replica.openConflicts).toHaveLength(1)
    const again = await openReplica(opened.store)
    expect(again.replica.syncOf('tasks', id)).toEqual(replica.syncOf('tasks', id))
    const changes: ReplicaChange[] = []
    replica.onChange((change) => changes.push(change))
    await replica.applyBatch(
      batch(4, { blocks: [blockOf('sync_conflicts', [{ ...conflict, status: 'resolved', resolution: 'server' }])] }),
    )
    expect(replica.syncOf('tasks', id)).toEqual({ status: 'synced', pending: 0 })
    expect(replica.writes()).toEqual([])
    expect(changes[0]?.states.get('tasks')).toEqual(new Set([id]))
  })

  it.each([
    ['is deleted', channel, batch(4, { deletes: [{ table: 'sync_conflicts', ids: ['conflict'] }] })],
    ['lives in a channel that is lost', channel, batch(4, { leaves: [{ channel, revoked: true }] })],
    ['hangs under a channel that is lost', 'task', batch(4, { leaves: [{ channel, revoked: true }] })],
    ['lives in a sub-channel that is lost', 'task', batch(4, { leaves: [{ channel: 'task', revoked: false }] })],
  ] as const)('parks the write with its values when its conflict %s', async (_, home, change) => {
    const opened = await conflicted(home)
    const { replica, id, conflict } = opened
    const own = (name: string): string => (name === 'task' ? `task/${id}` : name)
    await replica.applyBatch({
      ...change,
      deletes: change.deletes.map(({ table }) => ({ table, ids: [conflict.id] })),
      leaves: change.leaves.map((leave) => ({ ...leave, channel: own(leave.channel) })),
    })
    expect(replica.openConflicts).toEqual([])
    expect(replica.syncOf('tasks', id).status).toBe('rejected')
    const [write] = replica.writes()
    expect(write).toMatchObject({
      status: 'rejected',
      mutation: { set: { title: 'mine' } },
      outcome: { kind: 'conflict', conflictId: conflict.id, error: { code: 'conflict_unreachable' } },
    })
    await replica.discard(sure(write).mutation.id)
    expect(replica.writes()).toEqual([])
    expect(replica.syncOf('tasks', id).status).toBe('synced')
  })

  it('is waited for again when its channel is followed again, and ends when it was settled meanwhile', async () => {
    const opened = await conflicted()
    const { replica, id, conflict, seen } = opened
    const refollow = async (to: number, status: string): Promise<void> => {
      await replica.addSubscription({ id: 'project', channel, embeddings: false })
      const blocks = [blockOf('tasks', [seen]), blockOf('sync_conflicts', [{ ...conflict, status }])]
      await replica.stagePage('project', { from: to, next: null, blocks })
      await replica.applyBatch(batch(to, { activated: ['project'] }))
    }
    await replica.removeSubscription('project')
    expect(replica.writes()).toMatchObject([{ status: 'rejected' }])
    await refollow(4, 'open')
    expect(replica.writes()).toMatchObject([{ status: 'conflict', outcome: { conflictId: conflict.id } }])
    expect(replica.writes()[0]?.outcome).not.toHaveProperty('error')
    expect(replica.syncOf('tasks', id)).toEqual({ status: 'conflict', pending: 0, conflictId: conflict.id })
    await replica.removeSubscription('project')
    await refollow(5, 'resolved')
    expect(replica.writes()).toEqual([])
    expect(replica.syncOf('tasks', id).status).toBe('synced')
  })

  it('ends when it was settled while its channel was fetched anew', async () => {
    const opened = await conflicted()
    const { replica, conflict, seen } = opened
    await replica.refetch('project')
    expect(replica.writes()).toMatchObject([{ status: 'conflict' }])
    const blocks = [blockOf('tasks', [seen]), blockOf('sync_conflicts', [{ ...conflict, status: 'resolved' }])]
    await replica.stagePage('project', { from: 4, next: null, blocks })
    await replica.applyBatch(batch(4, { activated: ['project'] }))
    expect(replica.writes()).toEqual([])
  })

  it('is settled at once by a resolve, offline too, and stays so', async () => {
    const opened = await conflicted()
    const { replica, id, conflict, seen } = opened
    const [resolve] = await replica.write([
      { table: 'sync_conflicts', rowId: conflict.id, op: 'resolve', set: { take: 'client' } },
    ])
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'mine' })
    expect(await shown(opened, 'sync_conflicts', conflict.id)).toMatchObject({
      status: 'resolved',
      resolution: 'client',
    })
    expect(replica.openConflicts).toEqual([])
    const again = await openReplica(opened.store)
    expect(await dump(again)).toEqual(await dump(opened))
    await again.replica.nextPush(100, 1e6)
    await again.replica.applyOutcomes([outcomeOf(sure(resolve), 'applied')])
    await again.replica.applyBatch(
      batch(4, {
        blocks: [
          blockOf('tasks', [{ ...seen, title: 'mine', version: 3 }]),
          blockOf('sync_conflicts', [{ ...conflict, status: 'resolved', resolution: 'client' }]),
        ],
        settled: [sure(resolve).mutation.id],
      }),
    )
    expect(await shown(again, 'tasks', id)).toMatchObject({ title: 'mine', version: 3 })
    expect(again.replica.syncOf('tasks', id)).toEqual({ status: 'synced', pending: 0 })
    expect(again.replica.writes()).toEqual([])
  })
})

describe('a batch', () => {
  it('purges a lost channel but keeps what this replica has yet to send', async () => {
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

  it('that completes a bootstrap lays pending writes over the new state', async () => {
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

  it('older than the replica is refused and changes nothing', async () => {
    const opened = await openHeld()
    await opened.replica.applyBatch(batch(5))
    const before = await dump(opened)
    await expect(opened.replica.applyBatch(batch(4, { blocks: [blockOf('tasks', [serverTask()])] }))).rejects.toThrow(
      'not older',
    )
    expect(await dump(opened)).toEqual(before)
  })

  it('names its rows to listeners, and says "all" above a limit', async () => {
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

describe('a welcome', () => {
  it('of another principal is refused', async () => {
    const { replica } = await openHeld()
    await expect(replica.applyWelcome(welcome({ principal: { kind: 'user', id: testIds() } }))).rejects.toMatchObject({
      code: 'device_principal_mismatch',
    })
    await expect(replica.applyWelcome(welcome({ organizationId: testIds() }))).rejects.toMatchObject({
      code: 'device_principal_mismatch',
    })
  })

  it('fills in what a write before the first one could not know', async () => {
    const opened = await openReplica()
    const [entry] = await opened.replica.write([{ table: 'tasks', op: 'insert', set: { title: 'early' } }])
    await opened.replica.applyWelcome(welcome({ resume: false }))
    expect(await shown(opened, 'tasks', sure(entry).mutation.rowId)).toMatchObject({
      organizationId,
      channel: `organization/${organizationId}`,
    })
  })

  it('of a restored server gets the writes again that it has lost, without a gap', async () => {
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
    /** Writes that the server has answered and shown back, one insert and then three increments, each in a push of its own. */
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

    it.each([
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

    it('sends a refused one once more when the row comes that it was refused for, and no other', async () => {
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

    it('sends nothing again to a server that knows this device no more, within one epoch', async () => {
      const { replica } = await written()
      await replica.applyWelcome(welcome({ deviceId: testIds(), clientSeq: 0 }))
      expect(replica.writes()).toEqual([])
      expect(await replica.nextPush(100, 1e6)).toEqual([])
    })

    it('sends everything again to one that has never heard of this device, in another epoch', async () => {
      const { replica } = await written()
      await replica.applyWelcome(welcome({ deviceId: testIds(), clientSeq: 0, epoch: 'second', resume: false }))
      expect((await replica.nextPush(100, 1e6)).map(({ clientSeq }) => clientSeq)).toEqual([1, 2, 3, 4])
    })

    it('sends nothing again under a new identity', async () => {
      const { replica } = await written()
      await replica.takeNewIdentity()
      await replica.applyWelcome(welcome({ deviceId: testIds(), clientSeq: 0, epoch: 'second', resume: false }))
      expect(await replica.nextPush(100, 1e6)).toEqual([])
    })
  })

  it('of a server ahead leads to a new identity and to new ids for what has no answer', async () => {
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
