import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore } from '../../client-sdk/store/open-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import { belongingsContract } from './belongings-contract.ts'
import { batch, dump, openReplica, outcomeOf, shown, sure, welcome } from './open-replica.ts'
import { blockOf, channel, organizationId, projectId, replicaSchema, serverTask } from './replica-schema.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tidewire-replica-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

test('a replica on disk writes before it knows whose it is, bootstraps under pending writes, and reopens as it was', async () => {
  const place = { kind: 'pglite', dir } as const
  let opened = await openReplica(await openStore(place, replicaSchema))
  const [early] = await opened.replica.write([
    { table: 'tasks', op: 'insert', set: { title: 'early', embedding: [1, 2] } },
  ])
  const id = sure(early).mutation.rowId
  expect(await shown(opened, 'tasks', id)).toMatchObject({
    title: 'early',
    organizationId: null,
    embedding: new Float32Array([1, 2]),
  })

  await opened.replica.applyWelcome(welcome({ resume: false }))
  expect(await shown(opened, 'tasks', id)).toMatchObject({ organizationId, channel: `organization/${organizationId}` })
  await opened.replica.addSubscription({ id: 'project', channel, embeddings: false })
  const task = serverTask({ title: 'server', projectId })
  await opened.replica.stagePage('project', { from: 1, next: null, blocks: [blockOf('tasks', [task])] })
  const before = await dump(opened)
  await opened.replica.close()
  await opened.store.close()

  opened = await openReplica(await openStore(place, replicaSchema), 2)
  expect(await dump(opened)).toEqual(before)
  await opened.replica.applyBatch(batch(2, { activated: ['project'] }))
  await opened.replica.write([{ table: 'tasks', rowId: String(task['id']), op: 'patch', set: { body: 'mine' } }])
  await opened.replica.write([{ table: 'tasks', rowId: String(task['id']), op: 'increment', inc: { useCount: 3 } }])
  const sent = await opened.replica.nextPush(100, 1e6)
  expect(sent.map(({ clientSeq }) => clientSeq)).toEqual([1, 2, 3])
  await opened.replica.applyOutcomes(sent.map((mutation) => outcomeOf({ mutation }, 'applied')))
  const merged = { ...task, title: 'theirs', body: 'mine', useCount: 3, version: 4 }
  await opened.replica.applyBatch(
    batch(3, { blocks: [blockOf('tasks', [merged])], settled: sent.map((mutation) => mutation.id) }),
  )
  expect(await shown(opened, 'tasks', String(task['id']))).toMatchObject({ title: 'theirs', body: 'mine', useCount: 3 })
  expect(opened.replica.writes()).toEqual([])
  await opened.replica.close()
  await opened.store.close()
})

let belongings: ReplicaStore
afterAll(() => belongings.close())

belongingsContract(async () => {
  belongings = await openStore({ kind: 'pglite', dir: join(dir, 'belongings') }, replicaSchema)
  return belongings
})
