import { expect, test } from 'vitest'
import { VirtualClock } from '../simulation/virtual-clock.ts'
import type { Feed, PageRequest } from '../../server/hub/feed.ts'
import { Pages } from '../../server/hub/pages.ts'
import { toSpec } from '../../server/hub/spec.ts'
import { toSeq } from '../../protocol/seq.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'

const tables = new Map([...loadCatalog().synced].map(([name, { descriptor }]) => [name, descriptor]))
const spec = toSpec(
  { id: 's', channel: 'global', embeddings: false, tables: ['tasks'] },
  '01a20131-04be-71c0-b2f5-6dcd62c2842a',
  tables,
)

/** Counts what is read, and answers empty pages of a growing position. */
function countingFeed(): { readonly feed: Feed; readonly asked: PageRequest[] } {
  const asked: PageRequest[] = []
  const never = (): Promise<never> => Promise.reject(new Error('not asked for here'))
  const page: Feed['page'] = (request) => {
    asked.push(request)
    return Promise.resolve({ from: toSeq(asked.length), tables: [], next: null })
  }
  return { asked, feed: { state: never, advance: never, access: never, page } }
}

test('clients that start together share one read and the same bytes', async () => {
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, tables, new VirtualClock(), 2)
  const first = { spec, subscription: 's', after: null, maxRows: 100 }
  const [one, two] = await Promise.all([pages.get(first), pages.get(first)])
  expect(one.frame).toBe(two.frame)
  expect(asked).toHaveLength(1)
  expect(pages.reads).toBe(1)
})

test('another subscription, another size and a later page are read for themselves', async () => {
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, tables, new VirtualClock(), 2)
  const first = { spec, subscription: 's', after: null, maxRows: 100 }
  for (const page of [
    first,
    { ...first, subscription: 't' },
    { ...first, maxRows: 7 },
    { ...first, after: '[0,null]' },
    { ...first, after: '[0,null]' },
  ])
    await pages.get(page)
  expect(asked).toHaveLength(5)
})

test('a first page is read anew after a while, and after a failure', async () => {
  const clock = new VirtualClock()
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, tables, clock, 2)
  const first = { spec, subscription: 's', after: null, maxRows: 100 }
  await pages.get(first)
  await clock.run(2500)
  await pages.get(first)
  expect(asked).toHaveLength(2)
  const failing = new Pages({ ...feed, page: () => Promise.reject(new Error('gone')) }, tables, clock, 2)
  await expect(failing.get(first)).rejects.toThrow('gone')
  await expect(failing.get(first)).rejects.toThrow('gone')
  expect(failing.reads).toBe(2)
})
