import { describe, expect, test } from 'vitest'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { ServerTime } from '../../client-sdk/replica/server-time.ts'
import { uuidTime } from '../../lib/uuid.ts'
import { ManualClock, startOfTests } from '../support/manual-clock.ts'
import { openReplica, shown, welcome } from './open-replica.ts'
import { projectId, replicaSchema } from './replica-schema.ts'

const day = 24 * 3_600_000
const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('the time that writes are dated by', () => {
  test("is the server's, by what the clock here was off when they last met", () => {
    let wall = startOfTests + 3 * day
    let monotonic = 0
    const time = new ServerTime({ now: () => wall, monotonic: () => monotonic }, 0)
    expect(time.now()).toBe(wall)
    expect(time.connected(startOfTests)).toBe(-3 * day)
    monotonic += 1000.5
    // Somebody sets the clock right while connected: what the server said goes on by itself.
    wall = startOfTests
    expect(time.now()).toBe(startOfTests + 1000)
    time.told(null)
    expect(time.now()).toBe(startOfTests - 3 * day)
    expect(time.connected(startOfTests + 2000)).toBe(0)
  })

  test('is that of a clock which was set while connected, also once the connection is gone', () => {
    let wall = startOfTests
    let monotonic = 0
    const time = new ServerTime({ now: () => wall, monotonic: () => monotonic }, 0)
    time.connected(startOfTests)
    wall += 2 * day
    monotonic += 10_000
    time.told(startOfTests + 9_000)
    time.told(null)
    expect(time.now()).toBe(startOfTests + 9_000)
  })

  test('is the own, when the difference may be the way of a message', () => {
    const time = new ServerTime(new ManualClock(), 0)
    expect(time.connected(startOfTests - 4_000)).toBe(0)
    expect(time.now()).toBe(startOfTests)
  })
})

describe('a replica whose clock is days ahead', () => {
  const wrong = (): ManualClock => new ManualClock(startOfTests + 3 * day)

  test('dates what it never sent anew when it learns the time, and what depends on that goes on', async () => {
    const opened = await openReplica(undefined, 1, wrong())
    const { replica } = opened
    const [task] = await replica.write([insertTask])
    const id = task?.mutation.rowId ?? ''
    await replica.write(
      [
        { table: 'notes', op: 'insert', set: { taskId: id, text: 'one' } },
        { table: 'notes', op: 'insert', set: { taskId: id, text: 'two' } },
      ],
      { group: true },
    )
    const before = replica.writes()
    await replica.applyWelcome(welcome({ resume: false }))
    const sent = await replica.nextPush(100, 1e6)
    expect(sent.map(({ table, at }) => [table, at])).toEqual([
      ['tasks', startOfTests],
      ['notes', startOfTests],
      ['notes', startOfTests],
    ])
    for (const mutation of sent) expect(Math.abs(uuidTime(mutation.id) - startOfTests)).toBeLessThan(1000)
    expect(new Set(sent.map(({ id: mine }) => mine)).size).toBe(3)
    expect(sent.map(({ rowId }) => rowId)).toEqual(before.map(({ mutation }) => mutation.rowId))
    expect(sent[1]?.group).toBe(sent[2]?.group)
    expect(sent[1]?.group).not.toBe(before[1]?.mutation.group)
    expect(sent[1]?.dependsOn).toEqual([sent[0]?.id])
    expect(await shown(opened, 'tasks', id)).toMatchObject({
      title: 'mine',
      createdAt: new Date(startOfTests).toISOString(),
    })
  })

  test('dates rightly from then on, offline and after a restart too', async () => {
    const store = createMemoryStore(replicaSchema)
    const clock = wrong()
    const { replica } = await openReplica(store, 1, clock)
    await replica.applyWelcome(welcome({ resume: false }))
    replica.tellTime(null)
    await replica.write([insertTask])
    const again = await openReplica(store, 2, clock)
    await clock.advance(60_000)
    await again.replica.write([insertTask])
    const dates = again.replica.writes().map(({ mutation }) => mutation.at - startOfTests)
    expect(dates).toEqual([0, 60_000])
    for (const { mutation } of again.replica.writes())
      for (const id of [mutation.id, mutation.rowId]) expect(uuidTime(id) - startOfTests).toBeLessThan(61_000)
  })

  test('leaves alone what is dated well', async () => {
    const { replica } = await openReplica()
    await replica.write([insertTask])
    const before = replica.writes()
    await replica.applyWelcome(welcome({ resume: false }))
    expect(replica.writes()).toEqual(before)
  })
})
