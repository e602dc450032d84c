// A phone and a laptop of one person: the phone has the plans that are for it, and no others.
import { connect, type Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../support/server.ts'

let home: TestServer
let laptop: Client
let phone: Client

beforeAll(async () => {
  home = await startTestServer()
  const open = async (kind: 'desktop' | 'mobile'): Promise<Client> =>
    connect({
      url: home.url,
      token: await home.userToken(home.fixture.memberId),
      replica: { kind: 'memory' },
      device: { name: kind, kind },
    })
  ;[laptop, phone] = [await open('desktop'), await open('mobile')]
})
afterAll(async () => {
  await Promise.all([laptop.close(), phone.close()])
  await home.close()
})

/** Waits until a query finds something, or nothing any more. */
async function until(rows: AsyncIterable<readonly unknown[]>, isHere: boolean): Promise<void> {
  for await (const found of rows) if (found.length > 0 === isHere) return
}

test('a plan and its tasks reach a phone while the plan is for mobiles, and never otherwise', async () => {
  const { projectId } = home.fixture
  const plan = await laptop.plans.insert({ projectId, title: 'Not for phones' })
  const task = await laptop.tasks.insert({ projectId, planId: plan.id, title: 'Under it' })
  const free = await laptop.tasks.insert({ projectId, title: 'Under none' })
  await free.$write.wait('synced')
  await Promise.all([laptop, phone].map(async (tide) => (await tide.subscribe({ project: projectId })).ready))
  const onPhone = async () => [await phone.plans.find(), await phone.tasks.find()].flat().map(({ id }) => id)
  expect(await onPhone()).toEqual([free.id])

  await laptop.plans.update(plan.id, { mobileSyncEnabled: true })
  await until(phone.tasks.live({ where: { id: task.id } }), true)
  expect((await onPhone()).toSorted()).toEqual([plan.id, task.id, free.id].toSorted())

  // What the phone writes meanwhile is not lost, though it is shown nothing of it any more.
  phone.disconnect()
  await phone.tasks.update(task.id, { priority: 'high' })
  const off = await laptop.plans.update(plan.id, { mobileSyncEnabled: false })
  await off.wait('synced')
  phone.connect()
  await until(phone.tasks.live({ where: { id: task.id } }), false)
  expect(await onPhone()).toEqual([free.id])
  await until(laptop.tasks.live({ where: { id: task.id, priority: 'high' } }), true)
  for (const tide of [laptop, phone]) {
    await tide.synced()
    expect(await tide.verify()).toEqual({ equal: true })
  }
})

test('a conflict about a task of a plan that is not for mobiles is held back from a phone like the task', async () => {
  const { projectId } = home.fixture
  const plan = await laptop.plans.insert({ projectId, title: 'For phones, at first', mobileSyncEnabled: true })
  const task = await laptop.tasks.insert({ projectId, planId: plan.id, title: 'Contested' })
  await until(phone.tasks.live({ where: { id: task.id } }), true)
  phone.disconnect()
  const lost = await phone.tasks.update(task.id, { title: 'By the phone' })
  await laptop.tasks.update(task.id, { title: 'By the laptop' })
  const off = await laptop.plans.update(plan.id, { mobileSyncEnabled: false })
  await off.wait('synced')
  phone.connect()
  const open = { where: { rowId: task.id, status: 'open' } } as const
  await until(laptop.conflicts.live(), true)
  // The phone keeps what it had written.
  const written = async () => (await phone.writes.find()).find(({ id }) => id === lost.id)
  await expect.poll(written, { timeout: 60_000 }).toMatchObject({
    status: 'rejected',
    outcome: { error: { code: 'conflict_unreachable' } },
    set: { title: 'By the phone' },
  })
  expect(await phone.conflicts.find(open)).toEqual([])

  await laptop.plans.update(plan.id, { mobileSyncEnabled: true })
  await until(phone.conflicts.live(), true)
  await expect.poll(written, { timeout: 60_000 }).toMatchObject({ status: 'conflict' })
})
