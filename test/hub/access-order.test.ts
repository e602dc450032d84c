// Answers about access arrive in another order than their snapshots were taken in.
import { expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { createHub, type Hub } from '../../server/hub/hub.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { organization, row, tables, taskId } from './changes.ts'
import { FrameLog } from './frame-log.ts'
import { keyOf, MemoryFeed, type StoredRow, type Write } from './memory-feed.ts'

const user = taskId(900)
const principal = { kind: 'user', id: user, organizationId: organization, deviceId: taskId(901) } as const
const memberships = { ...tables.get('tasks'), name: 'project_members' } as NonNullable<ReturnType<typeof tables.get>>

function membership(number: number): StoredRow {
  return {
    table: 'project_members',
    row: { ...row(number), userId: user, projectId: 'one' },
    homes: ['global'],
    organizationId: organization,
  }
}

interface Stand {
  readonly feed: MemoryFeed
  readonly hub: Hub
  /** Holds back the answer of the next step, whose snapshot is taken; resolves to what lets it go. */
  readonly holdStep: (write: Write) => Promise<() => void>
}

async function open(): Promise<Stand> {
  let gates: Promise<void>[] = []
  const feed = new MemoryFeed(new Map([...tables, ['project_members', memberships]]), async () => gates.shift())
  const hub = createHub({
    feed,
    source: feed,
    catalog: { byName: new Map([...tables].map(([name, descriptor]) => [name, { descriptor }])) },
    clock: systemClock,
    log: silentLog,
  })
  await hub.start()
  await new Promise((resolve) => setImmediate(resolve))
  return {
    feed,
    hub,
    async holdStep(write) {
      const answer = Promise.withResolvers<void>()
      gates = [Promise.resolve(), answer.promise]
      feed.commit(write)
      while (gates.length > 0) await new Promise((resolve) => setImmediate(resolve))
      return answer.resolve
    },
  }
}

const may = (...channels: string[]) => new Map([[user, new Set(channels)]])
const catalogTable = (name: string) => tables.get(name)

test('a step that began to be read before a session gained a channel does not take it back', async () => {
  const { feed, hub, holdStep } = await open()
  feed.commit({ access: may('project/one') })
  const frames = new FrameLog(catalogTable)
  const session = await hub.open({ principal, cursor: null, send: frames.send, ended: () => undefined })
  await session.subscribe([{ id: 'one', channel: 'project/one', embeddings: false, held: false }])
  const letGo = await holdStep({ puts: [membership(1)] })
  feed.commit({ access: may('project/one', 'project/two') })
  await session.subscribe([{ id: 's', channel: 'project/two', embeddings: false, held: false }])
  letGo()
  await session.page('s', null)
  session.activate('s', feed.newest.seq)
  expect((await frames.next('batch')).message).toMatchObject({ leaves: [], activated: ['s'] })
  await hub.stop()
})

test('a step that began to be read before a device existed does not end its session', async () => {
  const { feed, hub } = await open()
  const turn = Promise.withResolvers<void>()
  const answer = (who: DevicePrincipal) => MemoryFeed.prototype.access.call(feed, who)
  feed.access = (who) => turn.promise.then(() => answer(who))
  const frames = new FrameLog(catalogTable)
  const opening = hub.open({ principal, cursor: null, send: frames.send, ended: () => undefined })
  const { seq } = feed.newest
  feed.commit({ puts: [membership(1)] })
  feed.commit({ deletes: [keyOf('project_members', taskId(1))], access: new Map() })
  while (hub.stats().position === seq) await new Promise((resolve) => setImmediate(resolve))
  feed.commit({ access: may('project/one') })
  turn.resolve()
  const session = await opening
  await session.subscribe([{ id: 's', channel: 'project/one', embeddings: false, held: false }])
  expect((await frames.next('subscribed')).message.error).toBeUndefined()
  await hub.stop()
})
