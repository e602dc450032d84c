import type { ClientStatus } from '../index.ts'
import { Observed, type Readable } from './readable.ts'

interface StatusSource {
  readonly status: ClientStatus
  onStatus(listener: (status: ClientStatus) => void): () => void
}

/** `tide.status` as one object for as long as nothing in it differs. */
export function statusState(tide: StatusSource): Readable<ClientStatus> {
  let last = tide.status
  const newest = (): ClientStatus => {
    const { status } = tide
    if (!isSame(status, last)) last = status
    return last
  }
  const observed = new Observed(last, (set) => tide.onStatus(() => set(newest())))
  return { subscribe: observed.subscribe, get: newest }
}

function isSame(a: ClientStatus, b: ClientStatus): boolean {
  return (
    a.connection === b.connection &&
    a.staleSince === b.staleSince &&
    a.pending === b.pending &&
    a.conflicts === b.conflicts &&
    a.error === b.error &&
    a.device.id === b.device.id &&
    a.device.name === b.device.name &&
    a.channels.length === b.channels.length &&
    a.channels.every(({ channel, state }, at) => channel === b.channels[at]?.channel && state === b.channels[at]?.state)
  )
}
