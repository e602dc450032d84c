// A replica that loads its channels anew has what the server had taken before, whether or not anything still says so.
import { expect, test } from 'vitest'
import { batch, openHeld, outcomeOf, shown, sure, welcome } from './open-replica.ts'
import { blockOf, serverTask } from './replica-schema.ts'

test.each([
  ['though its mark is pruned', []],
  ['whose batch has its mark', ['mark']],
] as const)(
  'a write that was taken before the load ends with it, %s, and shows what the server has',
  async (_, marks) => {
    const opened = await openHeld()
    const { replica } = opened
    const task = serverTask({ title: 'old' })
    const id = String(task['id'])
    await replica.applyBatch(batch(2, { blocks: [blockOf('tasks', [task])] }))
    await replica.write([{ table: 'tasks', rowId: id, op: 'patch', set: { title: 'new' } }])
    const [mutation] = await replica.nextPush(100, 1e6)
    await replica.applyOutcomes([outcomeOf({ mutation: sure(mutation) }, 'applied')])
    await replica.applyWelcome(welcome({ resume: false, clientSeq: 1 }))
    const now = { ...task, title: 'newer', version: 3 }
    await replica.stagePage('project', { from: 5, next: null, blocks: [blockOf('tasks', [now])] })
    expect(replica.syncOf('tasks', id).status).toBe('acknowledged')
    await replica.applyBatch(batch(7, { activated: ['project'], settled: marks.map(() => sure(mutation).id) }))
    expect(replica.syncOf('tasks', id).status).toBe('synced')
    expect(await shown(opened, 'tasks', id)).toMatchObject({ title: 'newer', version: 3 })
  },
)
