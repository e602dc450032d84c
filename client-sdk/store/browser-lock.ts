import { systemClock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'

/**
 * A page that is being reloaded or closed lets go of its lock a moment after the next one asks for it. Milliseconds.
 */
const patienceMs = 3000

/**
 * Holds a replica for this tab: two that number the same outbox would send different writes under one number. The
 * browser lets go when the tab is gone, however it went. Throws `TideError`: `replica_locked` while another tab holds
 * it, `config_invalid` where the browser has neither locks nor storage for pages.
 */
export async function lockReplica(name: string): Promise<{ readonly release: () => void }> {
  if (!isSecureContext) {
    throw new TideError(
      'config_invalid',
      `The replica ${name} cannot be kept: ${location.origin} is not a secure context.`,
      {
        remedy: "Serve the page over https or from localhost, or use `replica: { kind: 'memory' }`.",
      },
    )
  }
  const held = Promise.withResolvers<void>()
  const impatience = new AbortController()
  const cancel = systemClock.after(patienceMs, () => impatience.abort())
  try {
    await new Promise<void>((granted, refused) => {
      const hold = (): Promise<void> => {
        granted()
        return held.promise
      }
      navigator.locks.request(`tidewire:${name}`, { signal: impatience.signal }, hold).catch(refused)
    })
  } catch (cause) {
    throw new TideError('replica_locked', `Another tab has the replica ${name} open.`, {
      remedy: 'Use that tab, or close it and try again; to work in both, give each a replica `name` of its own.',
      cause,
    })
  } finally {
    cancel()
  }
  return { release: () => held.resolve() }
}
