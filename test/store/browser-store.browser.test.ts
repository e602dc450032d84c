import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSite, type Site } from '../browser/open-site.ts'
import type { ReplicaContent, ReplicaPage } from './browser-page/replica-page.ts'

let folder: string
let site: Site

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidewire-browser-'))
  site = await openSite(folder, {}, fileURLToPath(new URL('browser-page', import.meta.url)))
})
afterAll(async () => {
  await site?.close()
  await rm(folder, { recursive: true, force: true })
})

declare const replicaPage: ReplicaPage

async function openPage(name: string, userAgent?: string): Promise<Page> {
  const page = await site.context.newPage()
  if (userAgent !== undefined) {
    const session = await site.context.newCDPSession(page)
    await session.send('Emulation.setUserAgentOverride', { userAgent })
  }
  await load(page, name)
  return page
}

async function load(page: Page, name: string): Promise<void> {
  await page.goto(site.url)
  await page.evaluate((replica) => replicaPage.open(replica), name)
}

const full: ReplicaContent = {
  issues: 1000,
  title: 'é',
  outbox: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  clientSeq: 10,
  subscriptions: 1,
  nearest: 'note 17',
}

test('finds all rows and writes again after a reload, on the private file system', async () => {
  const page = await openPage('reload')
  await page.evaluate(() => replicaPage.fill())
  expect(await page.evaluate(() => replicaPage.read())).toEqual(full)
  await load(page, 'reload')
  expect(await page.evaluate(() => replicaPage.read())).toEqual(full)
  expect(await page.evaluate(async () => (await indexedDB.databases()).length)).toBe(0)
  await page.close()
})

test('finds all rows and writes again on IndexedDB, though the page goes right after the last commit', async () => {
  const safari =
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15'
  const page = await openPage('indexed', safari)
  await page.evaluate(() => replicaPage.fill())
  await load(page, 'indexed')
  expect(await page.evaluate(() => replicaPage.read())).toEqual(full)
  expect(await page.evaluate(async () => (await indexedDB.databases()).length)).toBe(1)
  await page.close()
})

test('goes on in another tab when the first has gone without closing it', async () => {
  const first = await openPage('tabs')
  await first.evaluate(() => replicaPage.fill())
  await first.close()
  const second = await openPage('tabs')
  expect(await second.evaluate(() => replicaPage.read())).toEqual(full)
  await second.evaluate(() => replicaPage.write(11))
  const { outbox, clientSeq } = await second.evaluate(() => replicaPage.read())
  expect([outbox.length, clientSeq]).toEqual([11, 11])
  await second.close()
})

test('brings no module of Node to browsers', async () => {
  const assets = join(folder, 'files', 'assets')
  const scripts = (await readdir(assets)).filter((name) => name.endsWith('.js'))
  expect(scripts.filter((name) => name.startsWith('browser-worker-entry'))).toHaveLength(1)
  expect(scripts.some((name) => name.startsWith('node-pglite'))).toBe(false)
  const own = await Promise.all(scripts.map((name) => readFile(join(assets, name), 'utf8')))
  expect(own.filter((text) => /folder-lock|lockFolder/.test(text))).toEqual([])
})

test('refuses what finds no room in the storage of the browser, keeps what it confirmed, and goes on when there is room again', async () => {
  const page = await openPage('quota')
  await page.evaluate(() => replicaPage.write(1))
  const session = await site.context.newCDPSession(page)
  const { origin } = new URL(site.url)
  const { usage } = await session.send('Storage.getUsageAndQuota', { origin })
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usage + 5_000_000 })
  const { taken, code } = await page.evaluate(() => replicaPage.writeUntilFull(2))
  expect(code).toBe('replica_full')
  const numbers = Array.from({ length: taken + 1 }, (_, index) => index + 1)
  await session.send('Storage.overrideQuotaForOrigin', { origin })
  expect((await page.evaluate(() => replicaPage.read())).outbox).toEqual(numbers)
  await page.evaluate((number) => replicaPage.write(number), taken + 2)
  await load(page, 'quota')
  expect((await page.evaluate(() => replicaPage.read())).outbox).toEqual([...numbers, taken + 2])
  await page.evaluate(() => replicaPage.close())
  await page.close()
})
