import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import { outcomeOf, sure } from '../replica/open-replica.ts'
import { projectId } from '../replica/replica-schema.ts'
import { batchMessage, goLive, liveAndHeld } from './scripted-server.ts'

const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('writes', () => {
  test('are pushed at once, answered, and settled', async () => {
    const { server, replica } = await liveAndHeld()
    const [entry] = await replica.write([insertTask])
    const [push] = await server.heardOf('push')
    expect(push?.mutations).toMatchObject([{ id: entry?.mutation.id, clientSeq: 1 }])
    await server.say({ type: 'outcomes', outcomes: [outcomeOf({ mutation: sure(push?.mutations[0]) }, 'applied')] })
    expect(replica.writes()).toMatchObject([{ status: 'acknowledged' }])
    await server.say(batchMessage(2, { settled: [sure(entry).mutation.id] }))
    expect(replica.writes()).toEqual([])
  })

  test('under way are sent again after a reconnect, under the same ids and numbers, before new ones', async () => {
    const connected = await liveAndHeld()
    const { server, replica, clock } = connected
    await replica.write([insertTask])
    const [first] = await server.heardOf('push')
    await server.cut()
    await replica.write([insertTask])
    await clock.advance(1000)
    const heard = await goLive(connected)
    const pushed = heard.flatMap((message) => (message.type === 'push' ? message.mutations : []))
    expect(pushed.map(({ id, clientSeq }) => [id, clientSeq])).toEqual(
      replica.writes().map(({ mutation }, index) => [mutation.id, index + 1]),
    )
    expect(pushed[0]?.id).toBe(first?.mutations[0]?.id)
  })

  test('of a burst travel together, with few pushes under way', async () => {
    const { server, replica } = await liveAndHeld()
    await Promise.all(Array.from({ length: 450 }, () => replica.write([insertTask])))
    const sizes: number[] = []
    for (let round = 0; round < 50 && replica.writes().some(({ status }) => status !== 'acknowledged'); round++) {
      const pushes = await server.heardOf('push')
      expect(pushes.length).toBeLessThanOrEqual(4)
      for (const { mutations } of pushes) {
        sizes.push(mutations.length)
        await server.say({
          type: 'outcomes',
          outcomes: mutations.map((mutation): Outcome => outcomeOf({ mutation }, 'applied')),
        })
      }
    }
    expect(Math.max(...sizes)).toBe(100)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(450)
  })

  test('of a push that failed as a whole are sent again', async () => {
    const { server, replica, clock } = await liveAndHeld()
    await replica.write([insertTask])
    const [first] = await server.heardOf('push')
    await server.say({ type: 'error', fatal: false, error: { code: 'internal', message: 'oh', remedy: '' } })
    await clock.advance(5000)
    expect(await server.heardOf('push')).toEqual([first])
  })

  test('wait for their turn while a push that failed as a whole waits for its next try', async () => {
    const { server, replica, clock } = await liveAndHeld()
    await replica.write([insertTask])
    const [first] = await server.heardOf('push')
    await server.say({ type: 'error', fatal: false, error: { code: 'internal', message: 'oh', remedy: '' } })
    await replica.write([insertTask])
    expect(await server.heardOf('push')).toEqual([])
    // The answer to what was on its way before the failure was heard of.
    await server.say({ type: 'error', fatal: false, error: { code: 'mutation_out_of_order', message: '', remedy: '' } })
    await clock.advance(5000)
    expect(server.opens).toBe(1)
    const again = (await server.heardOf('push')).flatMap(({ mutations }) => mutations)
    expect(again.map(({ clientSeq }) => clientSeq)).toEqual([1, 2])
    expect(again[0]).toEqual(first?.mutations[0])
  })

  test('that the server finds out of order again and again leave the rows as they are', async () => {
    const connected = await liveAndHeld()
    const { server, replica, clock } = connected
    await replica.write([insertTask])
    for (let time = 0; time < 4; time++) {
      await server.say({
        type: 'error',
        fatal: false,
        error: { code: 'mutation_out_of_order', message: '', remedy: '' },
      })
      expect(server.isOpen).toBe(false)
      await clock.advance(20_000)
      await goLive(connected)
    }
    expect(replica.subscriptions).toMatchObject([{ state: 'held' }])
  })

  test('that are refused for their size are parked, and the others go on', async () => {
    const { server, replica, clock } = await liveAndHeld()
    const large = {
      table: 'tasks',
      op: 'insert',
      set: { projectId, title: 'large', body: 'x'.repeat(200_000) },
    } as const
    const refuse = (code: 'message_too_large' | 'mutation_out_of_order'): Promise<void> =>
      server.say({ type: 'error', fatal: false, error: { code, message: 'no', remedy: '' } })
    const drafts = [insertTask, large, insertTask, large, insertTask]
    await Promise.all(drafts.map((draft) => replica.write([draft])))
    const arrived: string[] = []
    for (let round = 0; round < 60 && arrived.length < 3; round++) {
      for (const { mutations } of await server.heardOf('push')) {
        if (JSON.stringify(mutations).length > 100_000) await refuse('message_too_large')
        else if (mutations[0]?.clientSeq !== arrived.length + 1) await refuse('mutation_out_of_order')
        else {
          arrived.push(...mutations.map(({ set }) => String(set?.['title'])))
          const outcomes = mutations.map((mutation): Outcome => outcomeOf({ mutation }, 'applied'))
          await server.say({ type: 'outcomes', outcomes })
        }
      }
      await clock.advance(1000)
    }
    expect(arrived).toEqual(['mine', 'mine', 'mine'])
    const parked = replica.writes().filter(({ status }) => status === 'rejected')
    expect(parked.map(({ mutation, outcome }) => [mutation.set?.['title'], outcome?.error?.code])).toEqual([
      ['large', 'message_too_large'],
      ['large', 'message_too_large'],
    ])
    expect(server.opens).toBe(1)
  })

  test('answered but never named as settled end with the first frontier of the next connection', async () => {
    const connected = await liveAndHeld()
    const { server, replica, clock } = connected
    await replica.write([insertTask])
    const [push] = await server.heardOf('push')
    await server.say({ type: 'outcomes', outcomes: [outcomeOf({ mutation: sure(push?.mutations[0]) }, 'noop')] })
    await server.cut()
    await clock.advance(1000)
    await goLive(connected, { clientSeq: 1 })
    expect(replica.pendingCount).toBe(1)
    await server.say({ type: 'frontier', seq: 2, at: 0 })
    expect(replica.pendingCount).toBe(0)
  })
})

test('pushes stay below the rate at which a server ends the connection', async () => {
  const { server, replica, clock } = await liveAndHeld()
  let pushes = 0
  const answer = async (): Promise<void> => {
    for (const { mutations } of await server.heardOf('push')) {
      pushes += 1
      await server.say({
        type: 'outcomes',
        outcomes: mutations.map((mutation): Outcome => outcomeOf({ mutation }, 'applied')),
      })
    }
  }
  for (let write = 0; write < 400; write++) {
    await replica.write([insertTask])
    await answer()
    await clock.advance(2.5)
  }
  await clock.advance(100)
  await answer()
  expect(replica.writes().every(({ status }) => status === 'acknowledged')).toBe(true)
  expect(pushes).toBeLessThanOrEqual(20 + 120 + 14)
})
