import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

test('gives a replica to one tab at a time, and to the next one when that has closed its client or crashed', async () => {
  const [first, second] = await Promise.all([site.context.newPage(), site.context.newPage()])
  expect(await load(first, 'tabs')).toBe('open')
  const refusal = /^replica_locked: Another tab has the replica tabs open\. .*close it and try again/
  expect(await load(second, 'tabs')).toMatch(refusal)
  const projectId = await first.evaluate(() => sdkPage.follow())
  await first.evaluate(() => sdkPage.disconnect())
  await first.evaluate((id) => sdkPage.insert(id, 'From the first tab', 3, 1), projectId)

  await first.evaluate(() => sdkPage.close())
  expect(await load(second, 'tabs', { offline: true })).toBe('open')
  expect((await second.evaluate(() => sdkPage.read('From the first tab'))).titles).toHaveLength(3)
  expect(await load(first, 'tabs')).toMatch(refusal)
  await second.evaluate((id) => sdkPage.insert(id, 'From the second tab', 3, 1), projectId)

  await second.close()
  expect(await load(first, 'tabs')).toBe('open')
  expect((await first.evaluate(() => sdkPage.read('From the second tab'))).titles).toHaveLength(3)
  await first.evaluate(() => sdkPage.synced())
  await first.close()
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
