import { expect, test } from 'vitest'
import { liveRows } from '../../client-sdk/tables/live-rows.ts'
import { Listeners } from '../../lib/listeners.ts'

const neverClosed = (): (() => void) => () => undefined

test('an iteration gives the newest rows and skips those nobody fetched in time', async () => {
  let tell: (rows: readonly number[]) => void = () => undefined
  let isStopped = false
  const rows = liveRows<number>((notify) => {
    tell = (numbers) => notify(numbers, { added: [], updated: [], removed: [] })
    queueMicrotask(() => tell([1]))
    return () => {
      isStopped = true
    }
  }, neverClosed)
  const seen: (readonly number[])[] = []
  for await (const turn of rows) {
    seen.push(turn)
    if (seen.length === 2) break
    tell([1, 2])
    tell([1, 2, 3])
  }
  expect(seen).toEqual([[1], [1, 2, 3]])
  expect(isStopped).toBe(true)
})

test('an iteration throws what the query failed with, which ends both', async () => {
  let stops = 0
  const rows = liveRows<number>((_, failed) => {
    queueMicrotask(() => failed(new Error('gone')))
    return () => {
      stops += 1
    }
  }, neverClosed)
  const iterator = rows[Symbol.asyncIterator]()
  await expect(iterator.next()).rejects.toThrow('gone')
  expect(stops).toBeGreaterThan(0)
  await expect(iterator.next()).resolves.toEqual({ done: true, value: undefined })
})

test('stop ends an iteration that waits', async () => {
  const rows = liveRows<number>(() => () => undefined, neverClosed)
  const next = rows[Symbol.asyncIterator]().next()
  rows.stop()
  await expect(next).resolves.toEqual({ done: true, value: undefined })
})

test('the end of the client ends an iteration that waits, and its query', async () => {
  const closing = new Listeners<null>()
  let stops = 0
  const rows = liveRows<number>(
    () => () => {
      stops += 1
    },
    (listener) => closing.add(listener),
  )
  const next = rows[Symbol.asyncIterator]().next()
  closing.tell(null)
  await expect(next).resolves.toEqual({ done: true, value: undefined })
  expect(stops).toBe(1)
  expect(closing.isEmpty).toBe(true)
})
