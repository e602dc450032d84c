import { expect, test } from 'vitest'
import { DistantPeers, type PresenceNews } from '../../server/gateway/distant-peers.ts'
import { Presence, type PresenceSession } from '../../server/gateway/presence.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** Servers that hear each other, as far as nothing is lost. */
class Wire {
  readonly clock = new ManualClock()
  readonly #listeners = new Map<string, (news: unknown) => void>()
  isCut = false
  lose: (news: PresenceNews) => boolean = () => false

  server(node: string): Presence {
    const presence = new Presence(this.clock)
    const tell = (news: PresenceNews): void => {
      if (this.isCut || this.lose(news)) return
      for (const [other, hear] of this.#listeners) if (other !== node) hear(structuredClone(news))
    }
    const hear = (listener: (news: unknown) => void): void => void this.#listeners.set(node, listener)
    presence.join(new DistantPeers({ node, carrier: { tell, hear }, clock: this.clock }))
    return presence
  }
}

const channel = 'project/p'

function session(name: string): PresenceSession {
  return {
    principal: { kind: 'user', id: name, organizationId: 'o', deviceId: name },
    deviceName: name,
    follows: () => true,
    mayEnter: () => true,
    sendPresence: () => undefined,
  }
}

/** Who a newcomer on this server is told of. */
function shownOn(presence: Presence): number {
  const frames: Uint8Array[] = []
  presence.greet({ ...session('newcomer'), sendPresence: (_, frame) => void frames.push(frame) }, channel)
  const text = new TextDecoder().decode(frames[0] ?? new Uint8Array())
  return text.split('"deviceId"').length - 1
}

test('what is shown on one server is shown on another, until it is taken away', async () => {
  const wire = new Wire()
  const [a, b] = [wire.server('a'), wire.server('b')]
  const ada = session('ada')
  a.set(ada, channel, { at: 'desk' })
  await wire.clock.advance(100)
  expect(shownOn(b)).toBe(1)
  a.leave(ada)
  await wire.clock.advance(100)
  expect(shownOn(b)).toBe(0)
})

test('a server that comes later hears what is shown already', async () => {
  const wire = new Wire()
  const a = wire.server('a')
  for (let n = 0; n < 500; n++) a.set(session(`device ${n}`), channel, { n })
  await wire.clock.advance(100)
  const b = wire.server('b')
  await wire.clock.advance(100)
  expect(shownOn(b)).toBe(500)
})

test.each(['change', 'all', 'ask'] as const)(
  'a lost message of kind %s is made good by the next beats',
  async (kind) => {
    const wire = new Wire()
    const [a, b] = [wire.server('a'), wire.server('b')]
    let lost = 0
    wire.lose = (news) => news.kind === kind && lost++ < 2
    // Found out by the count of the beat, or by the next change.
    a.set(session('ada'), channel, { at: 'desk' })
    await wire.clock.advance(100)
    wire.lose = (news) => news.kind === 'change' || (news.kind === kind && lost++ < 2)
    a.set(session('ben'), channel, { at: 'door' })
    await wire.clock.advance(100)
    wire.lose = (news) => news.kind === kind && lost++ < 2
    await wire.clock.advance(10_000)
    expect(shownOn(b)).toBe(2)
  },
)

test('a server that falls silent is forgotten, and known again when it is heard again', async () => {
  const wire = new Wire()
  const [a, b] = [wire.server('a'), wire.server('b')]
  a.set(session('ada'), channel, { at: 'desk' })
  await wire.clock.advance(100)
  expect(shownOn(b)).toBe(1)
  wire.isCut = true
  await wire.clock.advance(12_000)
  expect(shownOn(b)).toBe(0)
  wire.isCut = false
  await wire.clock.advance(5000)
  expect(shownOn(b)).toBe(1)
  a.stop()
  await wire.clock.advance(100)
  expect(shownOn(b)).toBe(0)
})

test('what another version of the server says is not heard', async () => {
  const wire = new Wire()
  const b = wire.server('b')
  const a = wire.server('a')
  a.set(session('ada'), channel, { at: 'desk' })
  wire.lose = (news) => {
    Object.assign(news, { more: 'than is known' })
    return false
  }
  await wire.clock.advance(100)
  expect(shownOn(b)).toBe(0)
})
