import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { Tabs } from './shared-engine.ts'
import type { TabMessage } from './tab-messages.ts'

const newId = createUuidSource(systemClock, systemRandom)

/** Whether this is a page of a browser that can elect one of its tabs. Pages that are not secure cannot. */
export function canShare(): boolean {
  return typeof navigator === 'object' && 'locks' in navigator && typeof BroadcastChannel === 'function'
}

/**
 * The tabs of this origin that have the replica of this name open. The browser elects: a lock that one tab holds and
 * the others wait for, which it gives to the next when a tab goes away, however it went.
 */
export function openBrowserTabs(name: string): Tabs {
  const topic = `tidewire-tabs:${name}`
  const channel = new BroadcastChannel(topic)
  const leaving = new AbortController()
  let release = (): void => undefined
  const id = newId()
  const lifeOf = (tab: string): string => `${topic}:${tab}`
  // Held for as long as this tab is there: others learn by it that it has gone.
  const life = Promise.withResolvers<void>()
  navigator.locks.request(lifeOf(id), () => life.promise).catch(() => undefined)
  return {
    id,
    post: (message) => channel.postMessage(message),
    listen: (hear) => channel.addEventListener('message', (event) => hear((event as MessageEvent<TabMessage>).data)),
    elect: () =>
      new Promise<void>((elected, refused) => {
        const hold = (): Promise<void> => {
          const { promise, resolve } = Promise.withResolvers<void>()
          release = () => resolve()
          elected()
          return promise
        }
        navigator.locks.request(topic, { signal: leaving.signal }, hold).catch(refused)
      }),
    ended: (tab) =>
      new Promise<void>((ended) => {
        navigator.locks.request(lifeOf(tab), { signal: leaving.signal }, () => ended()).catch(() => undefined)
      }),
    resign: () => release(),
    close: () => {
      leaving.abort()
      release()
      life.resolve()
      channel.close()
    },
  }
}
