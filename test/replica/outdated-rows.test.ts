// While a channel is loaded anew its old rows stay, and nobody says which of them are gone. What they hang under may
// come to another channel meanwhile, and must not bring them along.
import { expect, test } from 'vitest'
import type { Row } from '../../protocol/rows/row.ts'
import { batch, openHeld, outcomeOf, shown, sure, welcome, type Opened } from './open-replica.ts'
import { blockOf, channel, organizationId, projectId, serverTask, testIds } from './replica-schema.ts'

const elsewhere = testIds()
const other = { id: 'other', channel: `project/${elsewhere}`, embeddings: false }

function hangingOn(task: Row, values: Row): Row {
  const { createdAt, updatedAt } = task
  const common = { id: testIds(), organizationId, channel: `task/${String(task['id'])}`, version: 1 }
  return { ...common, createdAt: sure(createdAt), updatedAt: sure(updatedAt), taskId: sure(task['id']), ...values }
}

/** A replica of two projects, of which the first has a task with two notes and a tag. */
async function openBoth() {
  const opened = await openHeld()
  const { replica } = opened
  await replica.addSubscription(other)
  await replica.stagePage('other', { from: 1, next: null, blocks: [] })
  const task = serverTask()
  const notes = ['gone since', 'still there'].map((text) => hangingOn(task, { text }))
  const tag = hangingOn(task, { tag: 'urgent', weight: 1, deletedAt: null })
  const blocks = [blockOf('tasks', [task]), blockOf('notes', notes), blockOf('task_tags', [tag])]
  await replica.applyBatch(batch(2, { activated: ['other'], blocks }))
  const moved: Row = { ...task, projectId: elsewhere, channel: other.channel, version: 2 }
  return { ...opened, moved, notes, tag }
}

const textsOf = async ({ replica }: Opened): Promise<readonly unknown[]> =>
  (await replica.read((store) => store.query('notes', {}))).map(({ text }) => String(text)).toSorted()

test('a channel that is loaded first takes a row, and not what had hung under it', async () => {
  const opened = await openBoth()
  const { replica, moved, notes } = opened
  await replica.applyWelcome(welcome({ resume: false }))
  expect(await textsOf(opened)).toEqual(['gone since', 'still there'])
  const blocks = [blockOf('tasks', [moved]), blockOf('notes', notes.slice(1))]
  await replica.stagePage('other', { from: 7, next: null, blocks })
  await replica.applyBatch(batch(7, { activated: ['other'] }))
  await replica.stagePage('project', { from: 7, next: null, blocks: [] })
  await replica.applyBatch(batch(7, { activated: ['project'] }))
  expect(await textsOf(opened)).toEqual(['still there'])
})

test('a row that is gone is kept by neither of two subscriptions that one batch completes', async () => {
  const opened = await openBoth()
  const { replica, moved, notes } = opened
  const narrow = { id: 'narrow', channel, embeddings: false, where: { tasks: { title: 'none such' } } }
  await replica.addSubscription(narrow)
  await replica.applyWelcome(welcome({ resume: false }))
  const task: Row = { ...moved, projectId, channel, version: 2 }
  await replica.stagePage('narrow', { from: 7, next: null, blocks: [blockOf('notes', notes.slice(1))] })
  const blocks = [blockOf('tasks', [task]), blockOf('notes', notes.slice(1))]
  await replica.stagePage('project', { from: 7, next: null, blocks })
  await replica.applyBatch(batch(7, { activated: ['project', 'narrow'] }))
  expect(await textsOf(opened)).toEqual(['still there'])
  expect(await shown(opened, 'tasks', String(task['id']))).toMatchObject({ version: 2 })
})

test('a channel that is complete is sent a row, and what had hung under it goes', async () => {
  const opened = await openBoth()
  const { replica, moved, notes } = opened
  await replica.refetch('project')
  await replica.applyBatch(batch(7, { blocks: [blockOf('tasks', [moved]), blockOf('notes', notes.slice(1))] }))
  expect(await textsOf(opened)).toEqual(['still there'])
})

test('what hangs under a row of a complete channel stays when the row is sent again', async () => {
  const opened = await openBoth()
  const { replica, moved, notes } = opened
  await replica.applyBatch(batch(3, { blocks: [blockOf('tasks', [moved]), blockOf('notes', notes)] }))
  await replica.refetch('project')
  await replica.applyBatch(batch(4, { blocks: [blockOf('tasks', [{ ...moved, title: 'again', version: 3 }])] }))
  expect(await textsOf(opened)).toEqual(['gone since', 'still there'])
})

test('what a batch completes and sends a row of once more is not taken for outdated', async () => {
  const opened = await openBoth()
  const { replica, moved, notes } = opened
  await replica.applyWelcome(welcome({ resume: false }))
  await replica.stagePage('other', {
    ...{ from: 6, next: null },
    blocks: [blockOf('tasks', [moved]), blockOf('notes', notes.slice(1))],
  })
  const again = blockOf('tasks', [{ ...moved, title: 'again', version: 3 }])
  await replica.applyBatch(batch(7, { activated: ['other'], blocks: [again] }))
  expect(await textsOf(opened)).toEqual(['still there'])
})

test.each(['loaded', 'sent'] as const)(
  'a write to a row that is gone shows no more once what it hung under was %s elsewhere',
  async (how) => {
    const opened = await openBoth()
    const { replica, moved, tag } = opened
    const id = String(tag['id'])
    await replica.write([{ table: 'task_tags', rowId: id, op: 'patch', set: { weight: 5 } }])
    const [mutation] = await replica.nextPush(100, 1e6)
    const blocks = [blockOf('tasks', [moved])]
    if (how === 'loaded') {
      await replica.applyWelcome(welcome({ resume: false }))
      await replica.stagePage('other', { from: 7, next: null, blocks })
      await replica.applyBatch(batch(7, { activated: ['other'] }))
    } else {
      await replica.refetch('project')
      await replica.applyBatch(batch(7, { blocks }))
    }
    await replica.applyOutcomes([outcomeOf({ mutation: sure(mutation) }, 'rejected')])
    expect(await shown(opened, 'task_tags', id)).toBeUndefined()
  },
)
