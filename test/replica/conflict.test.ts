import { describe, expect, test } from 'vitest'
import type { ReplicaChange } from '../../client-sdk/replica/replica-change.ts'
import { batch, deviceId, dump, openHeld, openReplica, outcomeOf, shown, sure } from './open-replica.ts'
import { blockOf, channel, organizationId, serverTask, testIds, userId } from './replica-schema.ts'

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

  test('keeps the server value, is open on the row, and ends when it is settled elsewhere', async () => {
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

  test.each([
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

  test('is waited for again when its channel is followed again, and ends when it was settled meanwhile', async () => {
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

  test('ends when it was settled while its channel was fetched anew', async () => {
    const opened = await conflicted()
    const { replica, conflict, seen } = opened
    await replica.refetch('project')
    expect(replica.writes()).toMatchObject([{ status: 'conflict' }])
    const blocks = [blockOf('tasks', [seen]), blockOf('sync_conflicts', [{ ...conflict, status: 'resolved' }])]
    await replica.stagePage('project', { from: 4, next: null, blocks })
    await replica.applyBatch(batch(4, { activated: ['project'] }))
    expect(replica.writes()).toEqual([])
  })

  test('is settled at once by a resolve, offline too, and stays so', async () => {
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
