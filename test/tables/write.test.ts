import { TideError } from '../../protocol/error.ts'
import { describe, expect, test } from 'vitest'
import type { ReplicaChange, WriteChange } from '../../client-sdk/replica/replica-change.ts'
import type { OutboxEntry } from '../../client-sdk/store/store.ts'
import { WriteTracker } from '../../client-sdk/tables/write.ts'

const id = '01a20131-04be-71c0-b2f5-6dcd62c2842a'

function entry(part: Partial<OutboxEntry> = {}): OutboxEntry {
  const mutation = {
    id,
    clientSeq: 1,
    table: 'tasks',
    rowId: id,
    op: 'patch' as const,
    set: { title: 'b' },
    base: { title: 'a' },
    at: 0,
  }
  return { position: 1, status: 'local', mutation, outcome: null, settled: false, ...part }
}

function change(...writes: readonly WriteChange[]): ReplicaChange {
  return { tables: new Map(), states: new Map(), subscriptions: new Set(), left: new Set(), writes }
}

const applied = { mutationId: id, clientSeq: 1, kind: 'applied' as const, version: 2 }

describe('a followed write', () => {
  test('tells its status and outcome as they come', async () => {
    const tracker = new WriteTracker(() => null)
    const write = tracker.follow(entry())
    const seen = [write.status]
    for (const status of ['syncing', 'acknowledged'] as const) {
      tracker.take(change({ id, entry: entry({ status, outcome: status === 'acknowledged' ? applied : null }) }))
      seen.push(write.status)
    }
    expect(seen).toEqual(['local', 'syncing', 'acknowledged'])
    await expect(write.outcome).resolves.toEqual(applied)
    await write.wait('acknowledged')
  })

  test('waits for synced beyond the acknowledgement', async () => {
    const tracker = new WriteTracker(() => null)
    const write = tracker.follow(entry({ status: 'acknowledged', outcome: applied }))
    const synced = write.wait('synced').then(() => write.status)
    tracker.take(change({ id, entry: null, end: 'synced' }))
    await expect(synced).resolves.toBe('synced')
  })

  test('throws the reason of a refusal', async () => {
    const tracker = new WriteTracker(() => null)
    const write = tracker.follow(entry())
    const error = { code: 'forbidden' as const, message: 'No.', remedy: 'Ask.' }
    tracker.take(
      change({
        id,
        entry: entry({ status: 'rejected', outcome: { mutationId: id, clientSeq: 1, kind: 'rejected', error } }),
      }),
    )
    await expect(write.wait('synced')).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('goes on under the id that replaces its own', async () => {
    const tracker = new WriteTracker(() => null)
    const write = tracker.follow(entry({ status: 'syncing' }))
    tracker.take(change({ id, entry: null, end: 'discarded', replacedBy: 'other' }))
    const synced = write.wait('synced')
    tracker.take(change({ id: 'other', entry: null, end: 'synced' }))
    await synced
    expect(write.status).toBe('synced')
  })

  test('fails its outcome when it is discarded', async () => {
    const tracker = new WriteTracker(() => null)
    const write = tracker.follow(entry())
    tracker.take(change({ id, entry: null, end: 'discarded' }))
    await expect(write.outcome).rejects.toMatchObject({ code: 'not_found' })
    expect(write.status).toBe('discarded')
  })

  test('that ended before anybody could follow it is synced', async () => {
    const write = new WriteTracker(() => null).follow(entry({ settled: true, outcome: { ...applied, kind: 'noop' } }))
    await write.wait('synced')
    expect(write.status).toBe('synced')
  })

  test('that was refused begins anew under another id when it is retried', async () => {
    const tracker = new WriteTracker(() => null)
    const write = tracker.follow(entry())
    const error = { code: 'forbidden' as const, message: 'No.', remedy: 'Ask.' }
    const refusal = { mutationId: id, clientSeq: 1, kind: 'rejected' as const, error }
    tracker.take(change({ id, entry: entry({ status: 'rejected', outcome: refusal }) }))
    const { outcome } = write
    const again = { ...entry().mutation, id: 'again' }
    tracker.take(
      change(
        { id, entry: null, end: 'discarded', replacedBy: 'again' },
        { id: 'again', entry: entry({ mutation: again }) },
      ),
    )
    expect(write).toMatchObject({ id: 'again', status: 'local' })
    await expect(outcome).resolves.toEqual(refusal)
    const waiting = write.wait('acknowledged')
    const answer = { ...applied, mutationId: 'again' }
    tracker.take(change({ id: 'again', entry: entry({ mutation: again, status: 'acknowledged', outcome: answer }) }))
    await waiting
    await expect(write.outcome).resolves.toEqual(answer)
    expect(tracker.follow(entry({ mutation: again }))).toBe(write)
  })

  test('is not waited for while the server refuses this client, and is again when it may come back', async () => {
    let stopped: TideError | null = new TideError('token_invalid', 'No.')
    const tracker = new WriteTracker(() => stopped)
    const write = tracker.follow(entry())
    await expect(write.wait('acknowledged')).rejects.toMatchObject({ code: 'token_invalid' })
    stopped = null
    const waiting = write.wait('acknowledged')
    tracker.take(change({ id, entry: entry({ status: 'acknowledged', outcome: applied }) }))
    await waiting
    stopped = new TideError('token_invalid', 'No.')
    await write.wait('acknowledged')
  })

  test('stops waiting when the signal aborts, and when the client closes', async () => {
    let stopped: TideError | null = null
    const tracker = new WriteTracker(() => stopped)
    const write = tracker.follow(entry())
    const abort = new AbortController()
    const waiting = write.wait('synced', { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    const closing = write.wait('synced')
    stopped = new TideError('token_invalid', 'No.')
    tracker.interrupt()
    await expect(closing).rejects.toMatchObject({ code: 'token_invalid' })
    stopped = null
    const later = write.wait('synced')
    tracker.close()
    await expect(later).rejects.toMatchObject({ code: 'closed' })
  })
})
