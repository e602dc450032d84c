import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { TideError } from '../../protocol/error.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import type { Up } from '../../protocol/messages/up.ts'
import { messageFrame, parseDown } from '../../protocol/parse.ts'
import { protocolVersion } from '../../protocol/protocol-version.ts'
import type { Authenticated } from '../../server/auth/auth.ts'
import { defaultLimits } from '../../server/config.ts'
import { Expiries } from '../../server/gateway/expiries.ts'
import type { GatewayDeps } from '../../server/gateway/gateway-deps.ts'
import { Admissions } from '../../server/gateway/admissions.ts'
import { Connection } from '../../server/gateway/connection.ts'
import { Presence } from '../../server/gateway/presence.ts'
import { createHub, type Hub } from '../../server/hub/hub.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { MemoryFeed } from '../hub/memory-feed.ts'
import { ManualClock } from '../support/manual-clock.ts'

let hub: Hub
beforeAll(async () => {
  const feed = new MemoryFeed(new Map())
  feed.commit({ access: new Map([[id('ada'), new Set()]]) })
  hub = createHub({ feed, source: feed, clock: systemClock, log: silentLog, catalog: { byName: new Map() } })
  await hub.start()
})
afterAll(() => hub.stop())

const id = (name: string): string => uuidFromKey('test', [name])
const nowhere = () => Promise.reject(new TideError('not_found', 'There is none here.'))

interface Connected {
  readonly connection: Connection
  readonly told: Down[]
  /** Whether the transport was told to end. */
  readonly isCut: boolean
}

/** A connection over a real hub, and what it told its client. */
function connect(deps: Partial<GatewayDeps>): Connected {
  const told: Down[] = []
  let isCut = false
  const connection = new Connection(
    {
      auth: {
        authenticate: async () => ({
          kind: 'user',
          id: id('ada'),
          organizationId: id('o'),
          expiresAt: Date.now() + 60_000,
        }),
      },
      devices: { register: async () => ({ deviceId: id('device'), clientSeq: 0 }), useSession: nowhere },
      hub,
      mutations: { push: nowhere },
      search: { search: nowhere },
      actions: { call: nowhere },
      presence: new Presence(systemClock),
      expiries: new Expiries(systemClock),
      byDevice: new Map(),
      clock: systemClock,
      log: silentLog,
      limits: defaultLimits,
      schemaHash: 'test',
      ...deps,
    },
    {
      unread: 0,
      onceDrained: () => undefined,
      send: (frame) => void told.push(parseDown(frame).message),
      close: () => void (isCut = true),
    },
  )
  return {
    connection,
    told,
    get isCut() {
      return isCut
    },
  }
}

const hello: Extract<Up, { type: 'hello' }> = {
  type: 'hello',
  protocol: protocolVersion,
  schemaHash: 'test',
  token: 'token',
  device: { fingerprint: 'fingerprint', name: 'laptop', kind: 'server', storageEngine: 'memory' },
  cursor: null,
  clientSeq: 0,
}
const ada = { kind: 'user', id: id('ada'), organizationId: id('o') } as const
const insert = {
  id: id('write'),
  clientSeq: 1,
  table: 'tasks',
  rowId: id('task'),
  op: 'insert',
  set: {},
  at: 0,
} as const
const isEnd = (message: Down): message is DownOf<'error'> => message.type === 'error' && message.fatal
const say = (connection: Connection, message: Up): void => connection.receive(messageFrame(message))

test('a connection that says nothing is cut', async () => {
  const clock = new ManualClock()
  const connected = connect({ clock })
  await clock.advance(defaultLimits.helloMs - 1)
  expect(connected).toMatchObject({ told: [], isCut: false })
  await clock.advance(1)
  expect(connected.told.find(isEnd)?.error.code).toBe('timeout')
  expect(connected.isCut).toBe(true)
})

test('a token that is revoked while the hub opens the session ends the connection', async () => {
  let isRevoked = false
  const { connection, told } = connect({
    auth: {
      authenticate: async () => {
        if (isRevoked) throw new TideError('token_invalid', 'The token is refused: it was revoked.')
        return { kind: 'user', id: id('ada'), organizationId: id('o'), expiresAt: Date.now() + 60_000 }
      },
    },
    hub: {
      open: async (options) => {
        isRevoked = true
        return hub.open(options)
      },
    },
  })
  say(connection, hello)
  await expect.poll(() => told.find(isEnd)?.error.code).toBe('token_invalid')
})

test('a token that is given an earlier end while it is in use ends the connection then', async () => {
  const clock = new ManualClock()
  let expiresAt = clock.now() + 3_600_000
  const { connection, told } = connect({
    auth: { authenticate: async () => ({ kind: 'user', id: id('ada'), organizationId: id('o'), expiresAt }) },
    expiries: new Expiries(clock),
  })
  say(connection, hello)
  await expect.poll(() => told[0]?.type).toBe('welcome')
  expiresAt = clock.now() + 2000
  await connection.checkToken()
  await clock.advance(10_000)
  expect(told.find(isEnd)?.error.code).toBe('token_expired')
})

test('what waited while the server stood still beyond the end of the token is not done', async () => {
  const clock = new ManualClock()
  let stoodStill = 0
  const now = (): number => clock.now() + stoodStill
  const timers = { now, monotonic: () => clock.monotonic(), after: clock.after.bind(clock) }
  const pushed: unknown[] = []
  const { connection, told } = connect({
    auth: { authenticate: async () => ({ ...ada, expiresAt: clock.now() + 60_000 }) },
    expiries: new Expiries(timers),
    mutations: {
      push: async (_, mutations) => {
        pushed.push(...mutations)
        return []
      },
    },
  })
  say(connection, hello)
  await expect.poll(() => told[0]?.type).toBe('welcome')
  // No timer has rung yet.
  stoodStill = 3_600_000
  say(connection, { type: 'push', mutations: [insert] })
  expect(told.find(isEnd)?.error.code).toBe('token_expired')
  expect(pushed).toEqual([])
})

test.each(['revoked', 'narrowed'])(
  'a token that the database has %s since is looked at before a write',
  async (how) => {
    let [isOther, isRevoked] = [false, false]
    const scopes = (): Pick<Authenticated, 'scopes'> => (isOther ? { scopes: ['read'] } : {})
    const bearers: unknown[] = []
    const { connection, told } = connect({
      auth: {
        authenticate: async () => {
          if (isRevoked) throw new TideError('token_invalid', 'The token is refused: it was revoked.')
          return { ...ada, ...scopes(), tokenId: id('token'), expiresAt: Date.now() + 60_000 }
        },
      },
      mutations: {
        push: async (bearer) => {
          bearers.push(bearer.scopes)
          if (isRevoked || (isOther && bearer.scopes === undefined)) throw new TideError('token_invalid', 'It changed.')
          return []
        },
      },
    })
    say(connection, hello)
    await expect.poll(() => told[0]?.type).toBe('welcome')
    isOther = true
    isRevoked = how === 'revoked'
    say(connection, { type: 'push', mutations: [insert] })
    if (isRevoked) await expect.poll(() => told.find(isEnd)?.error.code).toBe('token_invalid')
    else await expect.poll(() => bearers).toEqual([undefined, ['read']])
    expect(told.some(isEnd)).toBe(isRevoked)
  },
)

test('a principal has so many connections and no more, one that ends makes room, and a device takes its own place', async () => {
  const admissions = new Admissions('user or agent', 2)
  const byDevice: GatewayDeps['byDevice'] = new Map()
  const comes = async (device: string) => {
    const devices = { register: async () => ({ deviceId: id(device), clientSeq: 0 }), useSession: nowhere }
    const { connection, told } = connect({ admissions, byDevice, devices })
    say(connection, hello)
    await expect.poll(() => told).not.toEqual([])
    const [answer] = told
    return { connection, answer: answer?.type === 'error' ? answer.error.code : answer?.type }
  }
  const first = await comes('one')
  expect([first, await comes('two'), await comes('two'), await comes('three')].map(({ answer }) => answer)).toEqual([
    'welcome',
    'welcome',
    'welcome',
    'too_many_connections',
  ])
  first.connection.close()
  expect((await comes('three')).answer).toBe('welcome')
})
