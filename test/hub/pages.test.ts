import { expect, test } from 'vitest'
import { VirtualClock } from '../simulation/virtual-clock.ts'
import type { Feed, PageRequest } from '../../server/hub/feed.ts'
import { Pages, PageStream } from '../../server/hub/pages.ts'
import { toSpec } from '../../server/hub/spec.ts'
import { toSeq } from '../../protocol/seq.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'

const tables = new Map([...loadCatalog().synced].map(([name, { descriptor }]) => [name, descriptor]))
const spec = toSpec(
  { id: 's', channel: 'global', embeddings: false, tables: ['tasks'] },
  '01a20131-04be-71c0-b2f5-6dcd62c2842a',
  tables,
)

const limits = { pageRows: 100, pageBytes: 10_000, concurrentPages: 2 }

/** Counts what is read, and answers empty pages of a growing position. */
function countingFeed(next: string | null = null): { readonly feed: Feed; readonly asked: PageRequest[] } {
  const asked: PageRequest[] = []
  const never = (): Promise<never> => Promise.reject(new Error('not asked for here'))
  const page: Feed['page'] = (request) => {
    asked.push(request)
    return Promise.resolve({ from: toSeq(asked.length), blocks: [], rows: 0, next })
  }
  return { asked, feed: { state: never, advance: never, access: never, page } }
}

test('clients that start together share one read and the same bytes', async () => {
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, new VirtualClock(), limits)
  const first = { spec, subscription: 's', after: null }
  const [one, two] = await Promise.all([pages.get(first), pages.get(first)])
  expect(one.frame).toBe(two.frame)
  expect(asked).toHaveLength(1)
  expect(pages.reads).toBe(1)
})

test('another subscription and a later page are read for themselves', async () => {
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, new VirtualClock(), limits)
  const first = { spec, subscription: 's', after: null }
  for (const page of [
    first,
    { ...first, subscription: 't' },
    { ...first, after: '[0,null]' },
    { ...first, after: '[0,null]' },
  ])
    await pages.get(page)
  expect(asked).toHaveLength(4)
})

test('a first page is read anew after a while, and after a failure', async () => {
  const clock = new VirtualClock()
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, clock, limits)
  const first = { spec, subscription: 's', after: null }
  await pages.get(first)
  await clock.run(2500)
  await pages.get(first)
  expect(asked).toHaveLength(2)
  const failing = new Pages({ ...feed, page: () => Promise.reject(new Error('gone')) }, clock, limits)
  await expect(failing.get(first)).rejects.toThrow('gone')
  await expect(failing.get(first)).rejects.toThrow('gone')
  expect(failing.reads).toBe(2)
})

test('while a page is on its way the next one is read, for that session alone', async () => {
  const { feed, asked } = countingFeed('[0,null]')
  const pages = new Pages(feed, new VirtualClock(), limits)
  const stream = new PageStream(pages)
  await stream.get({ spec, subscription: 's', after: null })
  expect(asked.map(({ after }) => after)).toEqual([null, '[0,null]'])
  await stream.get({ spec, subscription: 's', after: '[0,null]' })
  expect(asked).toHaveLength(3)
  await new PageStream(pages).get({ spec, subscription: 's', after: '[0,null]' })
  expect(pages.reads).toBe(5)
})

test('a page that was read ahead is read again for another place, and when it has waited too long', async () => {
  const clock = new VirtualClock()
  const { feed, asked } = countingFeed('[0,null]')
  const stream = new PageStream(new Pages(feed, clock, limits))
  await stream.get({ spec, subscription: 's', after: null })
  await stream.get({ spec, subscription: 's', after: '[1,null]' })
  expect(asked.map(({ after }) => after)).toEqual([null, '[0,null]', '[1,null]', '[0,null]'])
  await clock.run(2500)
  await stream.get({ spec, subscription: 's', after: '[0,null]' })
  expect(asked).toHaveLength(6)
})

test('only so many pages are read ahead as may lie around', async () => {
  const { feed, asked } = countingFeed('[0,null]')
  const pages = new Pages(feed, new VirtualClock(), limits)
  const streams = Array.from({ length: 10 }, () => new PageStream(pages))
  for (const stream of streams) await stream.get({ spec, subscription: 's', after: '[9,null]' })
  expect(asked).toHaveLength(14)
  for (const stream of streams) stream.drop()
  await new PageStream(pages).get({ spec, subscription: 's', after: '[9,null]' })
  expect(asked).toHaveLength(16)
})
