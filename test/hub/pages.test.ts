import { expect, test } from 'vitest'
import { pageBlocks } from '../../client-sdk/connection/page-blocks.ts'
import { parseDown } from '../../protocol/parse.ts'
import { packRows, plainBlank, unpackPlainRows } from '../../protocol/rows/block-codec.ts'
import { VirtualClock } from '../simulation/virtual-clock.ts'
import type { Feed, PageRequest } from '../../server/hub/feed.ts'
import { Pages, PageStream } from '../../server/hub/pages.ts'
import { toSpec } from '../../server/hub/spec.ts'
import { toSeq } from '../../protocol/seq.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'

const tables = new Map([...loadCatalog().synced].map(([name, { descriptor }]) => [name, descriptor]))
const spec = toSpec(
  { id: 's', channel: 'global', embeddings: false, tables: ['tasks'] },
  { organizationId: '01a20131-04be-71c0-b2f5-6dcd62c2842a' },
  tables,
)

const limits = { pageRows: 100, pageBytes: 10_000, concurrentPages: 2 }

/** Counts what is read, and answers empty pages of a growing position. */
function countingFeed(next: string | null = null): { readonly feed: Feed; readonly asked: PageRequest[] } {
  const asked: PageRequest[] = []
  const never = (): Promise<never> => Promise.reject(new Error('not asked for here'))
  const page: Feed['page'] = (request) => {
    asked.push(request)
    const at = toSeq(asked.length)
    return Promise.resolve({ from: at, shows: at, blocks: [], rows: 0, next })
  }
  return { asked, feed: { state: never, advance: never, access: never, page } }
}

test('clients that start together share one read and the same bytes', async () => {
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, new VirtualClock(), limits)
  const first = { epoch: 'e', spec, subscription: 's', after: null }
  const [one, two] = await Promise.all([pages.get(first, {}), pages.get(first, {})])
  expect(one.frame).toBe(two.frame)
  expect(asked).toHaveLength(1)
  expect(pages.reads).toBe(1)
})

test('another subscription, another epoch and a later page are read for themselves', async () => {
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, new VirtualClock(), limits)
  const first = { epoch: 'e', spec, subscription: 's', after: null }
  for (const page of [
    first,
    { ...first, subscription: 't' },
    { ...first, epoch: 'f' },
    { ...first, after: '[0,null]' },
    { ...first, after: '[0,null]' },
  ])
    await pages.get(page, {})
  expect(asked).toHaveLength(5)
})

test('a first page is read anew after a while, and after a failure', async () => {
  const clock = new VirtualClock()
  const { feed, asked } = countingFeed()
  const pages = new Pages(feed, clock, limits)
  const first = { epoch: 'e', spec, subscription: 's', after: null }
  await pages.get(first, {})
  await clock.run(2500)
  await pages.get(first, {})
  expect(asked).toHaveLength(2)
  const failing = new Pages({ ...feed, page: () => Promise.reject(new Error('gone')) }, clock, limits)
  await expect(failing.get(first, {})).rejects.toThrow('gone')
  await expect(failing.get(first, {})).rejects.toThrow('gone')
  expect(failing.reads).toBe(2)
})

test('while a page is on its way the next one is read, for that session alone', async () => {
  const { feed, asked } = countingFeed('[0,null]')
  const pages = new Pages(feed, new VirtualClock(), limits)
  const stream = new PageStream(pages)
  await stream.get({ epoch: 'e', spec, subscription: 's', after: null })
  expect(asked.map(({ after }) => after)).toEqual([null, '[0,null]'])
  await stream.get({ epoch: 'e', spec, subscription: 's', after: '[0,null]' })
  expect(asked).toHaveLength(3)
  await new PageStream(pages).get({ epoch: 'e', spec, subscription: 's', after: '[0,null]' })
  expect(pages.reads).toBe(5)
})

test('a page that was read ahead is read again for another place, and when it has waited too long', async () => {
  const clock = new VirtualClock()
  const { feed, asked } = countingFeed('[0,null]')
  const stream = new PageStream(new Pages(feed, clock, limits))
  await stream.get({ epoch: 'e', spec, subscription: 's', after: null })
  await stream.get({ epoch: 'e', spec, subscription: 's', after: '[1,null]' })
  expect(asked.map(({ after }) => after)).toEqual([null, '[0,null]', '[1,null]', '[0,null]'])
  await clock.run(2500)
  await stream.get({ epoch: 'e', spec, subscription: 's', after: '[0,null]' })
  expect(asked).toHaveLength(6)
})

test('only so many pages are read ahead as may lie around', async () => {
  const { feed, asked } = countingFeed('[0,null]')
  const pages = new Pages(feed, new VirtualClock(), limits)
  const streams = Array.from({ length: 10 }, () => new PageStream(pages))
  for (const stream of streams) await stream.get({ epoch: 'e', spec, subscription: 's', after: '[9,null]' })
  expect(asked).toHaveLength(14)
  for (const stream of streams) stream.drop()
  await new PageStream(pages).get({ epoch: 'e', spec, subscription: 's', after: '[9,null]' })
  expect(asked).toHaveLength(16)
})

test('no more bootstraps are read at a time than may be, however many begin', async () => {
  const { feed } = countingFeed()
  let [reading, most] = [0, 0]
  const page: Feed['page'] = async (request) => {
    most = Math.max(most, ++reading)
    await Promise.resolve()
    reading--
    return feed.page(request)
  }
  const pages = new Pages({ ...feed, page }, new VirtualClock(), limits)
  const begun = Array.from({ length: 20 }, (_, n) =>
    pages.get({ epoch: 'e', spec, subscription: String(n), after: null }, {}),
  )
  await Promise.all(begun)
  expect([most, pages.reads]).toEqual([limits.concurrentPages, 20])
})

test('a big page is deflated, holds the same rows, and keeps no memory of its blocks', async () => {
  const descriptor = loadCatalog().synced.get('tasks')?.descriptor
  if (!descriptor) throw new Error('no tasks')
  const rows = Array.from({ length: 500 }, (_, index) => ({
    ...plainBlank(descriptor),
    id: `01a20131-04be-71c0-b2f5-${index.toString(16).padStart(12, '0')}`,
    title: `The ${index}th of many tasks that have much to say: ${'more '.repeat(index % 17)}`,
  }))
  const block = packRows(descriptor, rows, { embeddings: false })
  const { feed } = countingFeed()
  const page: Feed['page'] = () =>
    Promise.resolve({ from: toSeq(7), shows: toSeq(7), blocks: [block], rows: 500, next: null })
  const pages = new Pages({ ...feed, page }, new VirtualClock(), limits)
  const { frame } = await pages.get({ epoch: 'e', spec, subscription: 's', after: null }, {})
  const { message, sections } = parseDown(frame)
  if (message.type !== 'page') throw new Error('another message')
  expect(message).toMatchObject({ from: 7, blocks: [], deflated: expect.any(Number) as number })
  expect(frame.byteLength).toBeLessThan((message.deflated ?? 0) / 2)
  const left = block.sections.reduce((sum, { byteLength }) => sum + byteLength, 0)
  expect(left).toBeLessThan((message.deflated ?? 0) / 10)
  const [packed] = await pageBlocks(message, sections)
  if (!packed) throw new Error('no block')
  expect(unpackPlainRows(descriptor, packed.block, packed.sections).rows).toEqual(rows)
})
