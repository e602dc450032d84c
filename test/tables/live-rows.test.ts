import { expect, test } from 'vitest'
import { liveRows } from '../../client-sdk/tables/live-rows.ts'

test('an iteration gives the newest rows and skips those nobody fetched in time', async () => {
  let tell: (rows: readonly number[]) => void = () => undefined
  let isStopped = false
  const rows = liveRows<number>((notify) => {
    tell = (numbers) => notify(numbers, { added: [], updated: [], removed: [] })
    queueMicrotask(() => tell([1]))
    return () => {
      isStopped = true
    }
  })
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

test('an iteration throws what the query failed with', async () => {
  const rows = liveRows<number>((_, failed) => {
    queueMicrotask(() => failed(new Error('gone')))
    return () => undefined
  })
  await expect(rows[Symbol.asyncIterator]().next()).rejects.toThrow('gone')
})

test('stop ends an iteration that waits', async () => {
  const rows = liveRows<number>(() => () => undefined)
  const next = rows[Symbol.asyncIterator]().next()
  rows.stop()
  await expect(next).resolves.toEqual({ done: true, value: undefined })
})
