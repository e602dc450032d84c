import { describe, expect, test } from 'vitest'
import { Tail } from '../../client-sdk/outbox/tail.ts'
import type { SyncedEntry } from '../../client-sdk/store/store.ts'

function ended(
  number: number,
  values: { readonly endedAt?: number; readonly group?: string; readonly text?: string } = {},
): SyncedEntry {
  const { endedAt = 0, group, text = '' } = values
  const id = `id-${number}`
  const mutation = {
    id,
    clientSeq: number,
    table: 'tasks',
    rowId: 'row',
    op: 'patch' as const,
    set: { title: text },
    at: 0,
    ...(group === undefined ? {} : { group }),
  }
  const outcome = { mutationId: id, clientSeq: number, kind: 'applied' as const }
  return { position: number, status: 'synced', mutation, outcome, settled: true, endedAt }
}

function tailOf(
  limits: { readonly writes?: number; readonly bytes?: number; readonly ms?: number },
  entries: readonly SyncedEntry[],
): Tail {
  const tail = new Tail({ writes: 1000, bytes: 1e9, ms: 1e9, ...limits })
  for (const entry of entries) tail.put(entry)
  return tail
}

describe('the tail of ended writes', () => {
  test('answers those after a counter, in the order in which the server took them', () => {
    const tail = tailOf({}, [ended(3), ended(1), ended(2)])
    expect(tail.after(1).map(({ mutation }) => mutation.id)).toEqual(['id-2', 'id-3'])
    tail.delete('id-3')
    expect(tail.after(1).map(({ mutation }) => mutation.id)).toEqual(['id-2'])
  })

  test('keeps no more than so many', () => {
    expect(tailOf({ writes: 3 }, [ended(1), ended(2), ended(3)]).overdue([ended(4)], 0)).toEqual(['id-1'])
    expect(tailOf({ writes: 3 }, []).overdue([ended(1), ended(2), ended(3), ended(4)], 0)).toEqual(['id-1'])
  })

  test('keeps none for longer than so long', () => {
    expect(tailOf({ ms: 10 }, [ended(1), ended(2, { endedAt: 5 })]).overdue([ended(3, { endedAt: 12 })], 12)).toEqual([
      'id-1',
    ])
  })

  test('keeps no more text than so much', () => {
    const long = 'x'.repeat(1000)
    const entries = [ended(1, { text: long }), ended(2), ended(3)]
    expect(tailOf({ bytes: 1500 }, entries).overdue([ended(4, { text: long })], 0)).toEqual(['id-1'])
  })

  test('lets a group go as a whole', () => {
    const tail = tailOf({ writes: 3 }, [ended(1, { group: 'g' }), ended(2, { group: 'g' }), ended(3)])
    expect(tail.overdue([ended(4)], 0)).toEqual(['id-1', 'id-2'])
  })
})
