import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect, type Client } from '@tidewire/client'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'
import { openSite, type Site } from './open-site.ts'
import type { OpenOptions, SdkPage } from './page/page.ts'

/** What a careful site sends; PGlite compiles WebAssembly, nothing evaluates text. */
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self' ws://127.0.0.1:*",
  'img-src data:',
].join('; ')

let home: string
let server: ServerProcess
let token: string
let site: Site

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-browser-'))
  server = await startServerProcess(join(home, 'server'))
  token = await server.cli('token', '--user', 'ada@example.com')
  site = await openSite(join(home, 'site'), { 'content-security-policy': policy })
})
afterAll(async () => {
  await site?.close()
  await server?.stop()
  await rm(home, { recursive: true, force: true })
})

declare const sdkPage: SdkPage

/** Loads the page anew, without closing the client that may be open in it, and opens a client. */
async function load(page: Page, name: string, options: Partial<OpenOptions> = {}): Promise<string> {
  await page.goto(site.url)
  return page.evaluate((open) => sdkPage.open(open), { url: server.url, token, name, ...options })
}

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix} ${index}`).sort()

test('is one replica and one connection for all tabs, and goes on in another when the one that had it is gone', async () => {
  const [first, second] = await Promise.all([site.context.newPage(), site.context.newPage()])
  const sockets = new Map<Page, number>()
  const countSockets = (page: Page): void => {
    sockets.set(page, 0)
    page.on('websocket', () => sockets.set(page, (sockets.get(page) ?? 0) + 1))
  }
  for (const page of [first, second]) countSockets(page)
  expect(await load(first, 'tabs')).toBe('open')
  const projectId = await first.evaluate(() => sdkPage.follow())
  expect(await load(second, 'tabs')).toBe('open')
  expect(await second.evaluate(() => sdkPage.follow())).toBe(projectId)

  // What one tab writes is live in the other, both ways.
  await second.evaluate(() => sdkPage.watch('From'))
  await first.evaluate(() => sdkPage.watch('From'))
  await first.evaluate((id) => sdkPage.insert(id, 'From first', 2, 1), projectId)
  await second.waitForFunction(() => sdkPage.watched.length === 2)
  await second.evaluate((id) => sdkPage.insert(id, 'From second', 2, 2), projectId)
  await first.waitForFunction(() => sdkPage.watched.length === 4)
  await second.evaluate(() => sdkPage.synced())
  expect([...sockets.values()].filter((count) => count > 0)).toHaveLength(1)

  // Offline writes of both, one of them under way, when the tab that has the replica is killed.
  await second.evaluate(() => sdkPage.disconnect())
  await first.waitForFunction(() => sdkPage.connection === 'offline')
  await first.evaluate((id) => sdkPage.insert(id, 'Offline first', 20, 1), projectId)
  await second.evaluate((id) => sdkPage.insert(id, 'Offline second', 20, 1), projectId)
  await second.evaluate((id) => void sdkPage.insert(id, 'Half second', 20, 1), projectId)
  await second.waitForFunction(() => sdkPage.inserted >= 25)
  const leader = (sockets.get(first) ?? 0) > 0 ? first : second
  expect(leader).toBe(first)
  await first.close()
  await second.waitForFunction(() => sdkPage.inserted === 42, undefined, { timeout: 120_000 })
  for (const [prefix, count] of [
    ['Offline first', 20],
    ['Offline second', 20],
    ['Half second', 20],
  ] as const) {
    const { titles, ids, pendingIds } = await second.evaluate((text) => sdkPage.read(text), prefix)
    expect(titles).toEqual(numbered(prefix, count))
    expect(pendingIds).toEqual(expect.arrayContaining([...ids]))
  }
  expect(await second.evaluate(() => sdkPage.connection)).toBe('offline')

  // A tab that comes now follows the new leader; what was written offline goes to the server from there.
  const third = await site.context.newPage()
  countSockets(third)
  expect(await load(third, 'tabs')).toBe('open')
  await third.evaluate(() => sdkPage.goOnline())
  await third.evaluate(() => sdkPage.synced())
  const seen = await openInNode()
  await (
    await seen.subscribe({ project: projectId })
  ).ready
  for (const prefix of ['Offline first', 'Offline second', 'Half second'])
    expect(
      (await seen.tasks.find({ where: { title: { like: `${prefix} %` } } })).map(({ title }) => title).sort(),
    ).toEqual(numbered(prefix, 20))
  await seen.close()
  expect(sockets.get(second)).toBeGreaterThan(0)
  expect(sockets.get(third)).toBe(0)

  // Closed in good order, it hands over as well.
  await second.evaluate(() => sdkPage.close())
  await third.evaluate((id) => sdkPage.insert(id, 'From third', 2, 1), projectId)
  await third.evaluate(() => sdkPage.synced())
  await second.close()
  await third.close()
})

test('the React example shows the tasks, and a new one from the first moment until the server has it', async () => {
  const example = await openSite(
    join(home, 'react'),
    {},
    fileURLToPath(new URL('../../examples/react', import.meta.url)),
  )
  try {
    const page = await example.context.newPage()
    page.setDefaultTimeout(120_000)
    await page.goto(`${example.url}#${token}@${server.url}`)
    await page.locator('li').first().waitFor()
    await page.getByLabel('title').fill('Written in React')
    await page.getByLabel('title').press('Enter')
    await page.locator('li', { hasText: 'Written in React (pending, synced)' }).waitFor()
    await page.locator('li', { hasText: 'Written in React' }).getByRole('button').click()
    await page.locator('li', { hasText: 'Written in React (completed, synced)' }).waitFor()
    const header = page.locator('header')
    await expect.poll(() => header.textContent(), { timeout: 60_000 }).toBe('live, 0 waiting to be sent')
  } finally {
    await example.close()
  }
})

test('keeps 1,000 offline rows and their writes through reloads, syncs them, and reads them again without a server', async () => {
  const page = await site.context.newPage()
  expect(await load(page, 'story')).toBe('open')
  const projectId = await page.evaluate(() => sdkPage.follow())

  await page.evaluate(() => sdkPage.disconnect())
  await page.evaluate((id) => sdkPage.insert(id, 'Kept', 1000, 1), projectId)
  // In mid-flight: nothing is closed, and further writes are under way that nobody was told are durable.
  await page.evaluate((id) => void sdkPage.insert(id, 'Torn', 1000, 5), projectId)
  await page.waitForFunction(() => sdkPage.inserted >= 1010)
  expect(await load(page, 'story', { offline: true })).toBe('open')

  const kept = await page.evaluate(() => sdkPage.read('Kept'))
  expect(kept.titles).toEqual(numbered('Kept', 1000))
  expect(kept.pendingIds).toEqual(expect.arrayContaining([...kept.ids]))
  const torn = await page.evaluate(() => sdkPage.read('Torn'))
  expect(torn.titles.length).toBeGreaterThanOrEqual(10)
  expect(torn.titles.length % 5).toBe(0)
  expect(torn.pendingIds).toEqual([...kept.ids, ...torn.ids].sort())
  expect(torn.pending).toBe(kept.ids.length + torn.ids.length)

  await page.evaluate(() => sdkPage.goOnline())
  await page.evaluate(() => sdkPage.synced())
  const seen = await openInNode()
  await (
    await seen.subscribe({ project: projectId })
  ).ready
  expect((await seen.tasks.find({ where: { title: { like: 'Kept %' } } })).map(({ id }) => id).sort()).toEqual(kept.ids)
  expect((await seen.tasks.find({ where: { title: { like: 'Torn %' } } })).map(({ id }) => id).sort()).toEqual(torn.ids)
  await seen.close()

  await server.stop()
  expect(await load(page, 'story')).toBe('open')
  expect(await page.evaluate(() => sdkPage.read('Kept'))).toEqual({ ...kept, pendingIds: [], pending: 0 })
  // zod tries once whether it may compile and goes without; nothing else was refused.
  expect(await page.evaluate(() => sdkPage.violations)).toEqual([expect.stringMatching(/^script-src eval /)])
  await page.close()
})

function openInNode(): Promise<Client> {
  return connect({ url: server.url, token, replica: { kind: 'memory' }, device: { name: 'node', kind: 'cli' } })
}
