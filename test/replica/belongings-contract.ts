import { beforeAll, describe, expect, test } from 'vitest'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { WriteDraft } from '../../client-sdk/replica/write-draft.ts'
import { mostTaken } from '../../client-sdk/replica/belongings.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import { batch, dump, openHeld, openReplica, outcomeOf, shown, type Opened } from './open-replica.ts'
import { blockOf, serverTask, testIds } from './replica-schema.ts'

/** Deletes and restores take along what belongs to a row before the server has, alike on every store. */
export function belongingsContract(open: () => Promise<ReplicaStore>): void {
  describe('what belongs to a row', () => {
    let opened: Opened
    let seq = 1
    beforeAll(async () => {
      opened = await openHeld(1, await open())
    })

    const deliver = (
      rows: readonly Row[],
      settled: readonly string[] = [],
      tags: readonly Row[] = [],
    ): Promise<void> => {
      const blocks = [blockOf('tasks', rows), ...(tags.length === 0 ? [] : [blockOf('task_tags', tags)])]
      return opened.replica.applyBatch(batch((seq += 1), { blocks, settled: [...settled] }))
    }
    const write = async (draft: Omit<WriteDraft, 'table'>): Promise<string> => {
      const [entry] = await opened.replica.write([{ table: 'tasks', ...draft }])
      return entry?.mutation.id ?? ''
    }
    const answer = async (kind: Outcome['kind']): Promise<readonly Mutation[]> => {
      const sent = await opened.replica.nextPush(100, 1e6)
      const error = { code: 'forbidden', message: 'no', remedy: 'none' } as const
      const values = kind === 'rejected' ? { error } : {}
      await opened.replica.applyOutcomes(sent.map((mutation) => outcomeOf({ mutation }, kind, values)))
      return sent
    }
    /** A task, its part, a part of that, and a tag of the task. */
    const family = async (): Promise<{
      rows: readonly [Row, Row, Row]
      tag: Row
      ids: readonly string[]
      id: string
    }> => {
      const task = serverTask({ title: 'task' })
      const part = serverTask({ title: 'part', parentId: task['id'] ?? null })
      const piece = serverTask({ title: 'piece', parentId: part['id'] ?? null })
      const tag = {
        ...task,
        id: testIds(),
        channel: `task/${String(task['id'])}`,
        taskId: task['id'] ?? null,
        tag: 'red',
        weight: 1,
      }
      await deliver([task, part, piece], [], [tag])
      return {
        rows: [task, part, piece],
        tag,
        ids: [task, part, piece].map(({ id }) => String(id)),
        id: String(task['id']),
      }
    }
    const live = async (table: string, ids: readonly string[]): Promise<readonly string[]> => {
      const rows = await opened.replica.read((store) => store.query(table, { where: { id: { in: [...ids] } } }))
      return rows.map(({ id }) => String(id)).toSorted()
    }

    test('goes with it at once, says so in `$sync`, and stays gone when the delete comes back', async () => {
      const { rows, tag, ids, id } = await family()
      const changed: string[] = []
      const stop = opened.replica.onChange(({ tables }) => {
        for (const change of tables.values())
          if (!change.all) changed.push(...change.upserts.map((row) => String(row['id'])))
      })
      const mutation = await write({ op: 'delete', rowId: id })
      stop()
      expect(await live('tasks', ids)).toEqual([])
      expect(await live('task_tags', [String(tag['id'])])).toEqual([])
      expect(changed.toSorted()).toEqual([...ids, String(tag['id'])].toSorted())
      expect(opened.replica.syncOf('tasks', ids[2] ?? '')).toEqual({ status: 'local', pending: 1 })
      await answer('applied')
      const deletedAt = '2026-11-22T00:30:00.000Z'
      await deliver(
        rows.map((row) => ({ ...row, deletedAt, version: 2 })),
        [mutation],
        [{ ...tag, deletedAt, version: 2 }],
      )
      expect(await live('tasks', ids)).toEqual([])
      expect(opened.replica.syncOf('tasks', ids[2] ?? '')).toEqual({ status: 'synced', pending: 0 })
      expect(await shown(opened, 'tasks', ids[2] ?? '')).toMatchObject({ deletedAt })
    })

    test('comes back when the delete is refused, keeps what was written before, and goes again when it is retried', async () => {
      const { ids, id } = await family()
      await opened.replica.write([{ table: 'tasks', op: 'patch', rowId: ids[1] ?? '', set: { title: 'mine' } }])
      const [patch] = await answer('applied')
      const mutation = await write({ op: 'delete', rowId: id })
      expect(await live('tasks', ids)).toEqual([])
      await answer('rejected')
      expect(await live('tasks', ids)).toEqual(ids.toSorted())
      expect(await shown(opened, 'tasks', ids[1] ?? '')).toMatchObject({ title: 'mine' })
      expect(opened.replica.syncOf('tasks', ids[2] ?? '')).toEqual({ status: 'synced', pending: 0 })
      expect(opened.replica.syncOf('tasks', id).status).toBe('rejected')
      await opened.replica.retry(mutation)
      expect(await live('tasks', ids)).toEqual([])
      const [again] = await answer('rejected')
      await opened.replica.discard(again?.id ?? '')
      expect(await live('tasks', ids)).toEqual(ids.toSorted())
      await opened.replica.settle([patch?.id ?? ''])
      expect(opened.replica.writes()).toEqual([])
    })

    test('comes back with its restore, but not what was deleted apart before', async () => {
      const { rows, ids, id } = await family()
      const [, part, piece] = rows
      await deliver([{ ...piece, deletedAt: '2026-11-21T00:00:00.000Z', version: 2 }])
      await write({ op: 'delete', rowId: id })
      expect(await live('tasks', ids)).toEqual([])
      await write({ op: 'restore', rowId: id })
      expect(await live('tasks', ids)).toEqual([id, String(part['id'])].toSorted())
      const sent = await answer('applied')
      await deliver(
        rows.slice(0, 2).map((row) => ({ ...row, version: 3 })),
        sent.map((mutation) => mutation.id),
      )
      expect(await live('tasks', ids)).toEqual([id, String(part['id'])].toSorted())
      expect(opened.replica.writes()).toEqual([])
    })

    test('goes with a row of the same transaction, and all of it comes back with a refusal', async () => {
      const { ids, id } = await family()
      const child = testIds()
      await opened.replica.write(
        [
          { table: 'tasks', op: 'insert', rowId: child, set: { parentId: id, title: 'late' } },
          { table: 'tasks', op: 'delete', rowId: id },
        ],
        { group: true },
      )
      expect(await live('tasks', [...ids, child])).toEqual([])
      await answer('rejected')
      expect(await live('tasks', [...ids, child])).toEqual(ids.toSorted())
      for (const { mutation } of opened.replica.writes()) await opened.replica.discard(mutation.id).catch(() => [])
    })

    test('is as it was after a restart', async () => {
      const { ids, id } = await family()
      await write({ op: 'delete', rowId: id })
      const before = await dump(opened)
      opened = await openReplica(opened.store, 2, opened.clock)
      expect(await dump(opened)).toEqual(before)
      await answer('rejected')
      expect(await live('tasks', ids)).toEqual(ids.toSorted())
      for (const { mutation } of opened.replica.writes()) await opened.replica.discard(mutation.id)
    })

    test('waits for the server when it is too much to keep beside', async () => {
      const task = serverTask()
      const parts = Array.from({ length: mostTaken + 1 }, () => serverTask({ parentId: task['id'] ?? null }))
      await deliver([task, ...parts])
      const id = String(task['id'])
      const mutation = await write({ op: 'delete', rowId: id })
      expect(await shown(opened, 'tasks', id)).toMatchObject({ deletedAt: expect.any(String) })
      expect(
        await live(
          'tasks',
          parts.slice(0, 9).map((row) => String(row['id'])),
        ),
      ).toHaveLength(9)
      await opened.replica.discard(mutation)
      expect(opened.replica.writes()).toEqual([])
    })
  })
}
