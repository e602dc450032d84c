// What one session asks for may be too much for the database. The others are to notice nothing of it.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Down } from '../../protocol/messages/down.ts'
import { parseDown } from '../../protocol/parse.ts'
import { zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { AdvanceRequest, Step, TooFar } from '../../server/hub/feed.ts'
import { createHub, type Hub } from '../../server/hub/hub.ts'
import type { HubSession } from '../../server/hub/hub-session.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { MemoryFeed } from './memory-feed.ts'

const id = (name: string): string => uuidFromKey('test', [name])
const channel = `project/${id('p')}`
const failed = (code: string): Error => Object.assign(new Error('canceling statement'), { code })

/** Fails the reads that a test names, as Postgres does. */
class FailingFeed extends MemoryFeed {
  fails: (request: AdvanceRequest) => string | undefined = () => undefined
  reads = 0

  override async advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    const code = this.fails(request)
    if (code === undefined) return super.advance(from, request)
    this.reads++
    throw failed(code)
  }
}

interface Told {
  readonly session: HubSession
  readonly heard: Down[]
  end: string | undefined
}

const ofOne = ({ watchAccess }: AdvanceRequest): boolean => !watchAccess
let clock = new ManualClock()
let feed = new FailingFeed(new Map())
let troubles: Troubles
let hub: Hub

beforeEach(async () => {
  clock = new ManualClock()
  feed = new FailingFeed(new Map())
  feed.commit({ access: new Map(['ada', 'ben'].map((name) => [id(name), new Set([channel])])) })
  troubles = new Troubles(clock, silentLog)
  hub = createHub({ feed, source: feed, clock, log: silentLog, troubles, catalog: { byName: new Map() } })
  await hub.start()
})
afterEach(() => hub.stop())

/** `from`: where its replica stands; absent: it has everything. */
async function connected(name: string, from = feed.newest.seq): Promise<Told> {
  const heard: Down[] = []
  const session = await hub.open({
    principal: { kind: 'user', id: id(name), organizationId: id('o'), deviceId: id(`${name}'s device`) },
    cursor: { epoch: 'memory', seq: from },
    send: (frame) => void heard.push(parseDown(frame).message),
    ended: (error) => (told.end = error.code),
  })
  const told: Told = { session, heard, end: undefined }
  await session.subscribe([{ id: 's', channel, embeddings: false, held: true }])
  await clock.advance(100)
  return told
}

const frontiers = ({ heard }: Told): number => heard.filter(({ type }) => type === 'frontier').length
const errors = ({ heard }: Told) =>
  heard.flatMap((message) => (message.type === 'error' ? [{ ref: message.ref, code: message.error.code }] : []))

/** Both are told to be current. */
async function expectCurrent(...sessions: readonly Told[]): Promise<void> {
  const before = sessions.map(frontiers)
  feed.commit({ canary: true })
  await clock.advance(100)
  expect(sessions.map((told, at) => frontiers(told) - (before[at] ?? 0))).toEqual(sessions.map(() => 1))
}

test('a count that takes too long is refused to who asked for it, and nobody else is told anything', async () => {
  const [ada, ben] = [await connected('ada'), await connected('ben')]
  await expectCurrent(ada, ben)
  feed.fails = ({ verify }) => (verify ? '57014' : undefined)
  await ada.session.verify('s', 7)
  await clock.advance(100)
  expect(troubles.all).toEqual([])
  await expectCurrent(ben)
  await clock.advance(10_000)
  expect(errors(ada)).toEqual([{ ref: 7, code: 'timeout' }])
  expect([feed.reads, errors(ben), ada.end]).toEqual([1, [], undefined])
  await expectCurrent(ada, ben)
})

test('a catch-up that takes too long is tried again, less and less often, and then ends its session alone', async () => {
  const ben = await connected('ben')
  feed.fails = (request) => (ofOne(request) ? '57014' : undefined)
  const ada = await connected('ada', zeroSeq)
  await clock.advance(2000)
  expect([troubles.all, ada.end]).toEqual([[], undefined])
  const early = feed.reads
  await expectCurrent(ben)
  await clock.advance(2000)
  expect(feed.reads - early).toBeLessThan(early)
  await clock.advance(60_000)
  expect([ada.end, ben.end, troubles.all]).toEqual(['timeout', undefined, []])
  expect(feed.reads).toBeLessThanOrEqual(8)
  expect(errors(ben)).toEqual([])
  await expectCurrent(ben)
})

test('a database that is away is told by the live loop, and who was behind is fed when it is back', async () => {
  const [ada, ben] = [await connected('ada'), await connected('ben')]
  feed.fails = () => 'ECONNREFUSED'
  await ada.session.verify('s', 1)
  await clock.advance(60_000)
  expect(troubles.all).toMatchObject([{ part: 'feed', code: 'database_unreachable' }])
  expect([ada.end, errors(ada)]).toEqual([undefined, []])
  feed.fails = () => undefined
  await clock.advance(10_000)
  expect(troubles.all).toEqual([])
  expect(ada.heard.filter(({ type }) => type === 'verified')).toHaveLength(1)
  await expectCurrent(ada, ben)
})
