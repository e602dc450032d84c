import { expect, test } from 'vitest'
import { Following } from '../../client-sdk/subscription/following.ts'
import { Presence } from '../../client-sdk/presence/presence.ts'
import { lonelyClient } from '../support/lonely-client.ts'

/** What `run` leaves uncaught, which would otherwise end the test run. */
async function uncaughtIn(run: () => Promise<void>): Promise<readonly unknown[]> {
  const caught: unknown[] = []
  const catchIt = (error: unknown): void => void caught.push(error)
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', catchIt)
  try {
    await run()
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.removeListener('uncaughtException', catchIt)
    for (const listener of others) process.on('uncaughtException', listener)
  }
  return caught
}

const fail = (): never => {
  throw new Error('mine')
}

test('a status listener that throws keeps nobody else from being told, and its error is not hidden', async () => {
  const told: string[] = []
  const uncaught = await uncaughtIn(async () => {
    const tide = await lonelyClient()
    tide.onStatus(fail)
    tide.onStatus(({ connection }) => told.push(connection))
    tide.disconnect()
    await tide.close()
  })
  expect(told).toContain('offline')
  expect(uncaught).toContainEqual(new Error('mine'))
})

test('a listener of a channel that throws does not keep the others from being told', async () => {
  const told: string[] = []
  const channel = new Following('global')
  const uncaught = await uncaughtIn(async () => {
    channel.onState(fail)
    channel.onState((state) => told.push(state))
    channel.update({ record: 'held', isLive: true, refusal: null, stopped: null })
  })
  expect(told).toEqual(['live'])
  expect(uncaught).toHaveLength(1)
})

test('a listener of presence that throws does not keep the others from being told', async () => {
  const told: number[] = []
  const presence = new Presence({ send: () => undefined })
  const uncaught = await uncaughtIn(async () => {
    let isFirst = true
    presence.room('global').live(() => {
      if (!isFirst) fail()
      isFirst = false
    })
    presence.room('global').live((peers) => told.push(peers.length))
    presence.take({ type: 'present', channel: 'global', peers: [] })
  })
  expect(told).toEqual([0, 0])
  expect(uncaught).toHaveLength(1)
})

test('in a room whose channel is followed no more, nobody is known to be', () => {
  const told: number[] = []
  const presence = new Presence({ send: () => undefined })
  presence.room('project/p').live((peers) => told.push(peers.length))
  const peers = [{ deviceId: 'd', name: 'n', userId: 'u', agentId: null, state: {} }]
  presence.take({ type: 'present', channel: 'project/p', peers })
  presence.followed(new Set(['project/p']))
  presence.followed(new Set(['project/q']))
  expect(told).toEqual([0, 1, 0])
})
