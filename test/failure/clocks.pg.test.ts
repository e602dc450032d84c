// Clocks that are set while everybody works: the server's, and those of devices.
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from '@tidewire/client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../support/raw-client.ts'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask, expectOnce, keepWriting } from './writers.ts'

const day = 24 * 3_600_000
const preload = fileURLToPath(new URL('../support/jumping-clock.ts', import.meta.url))

describe('clocks that are set', () => {
  let home: string
  let stage: Stage
  let clients: readonly [Client, Client]

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'tidewire-clock-'))
    stage = await openStage({
      env: {
        NODE_OPTIONS: `--conditions=tidewire:source --disable-warning=ExperimentalWarning --import=${preload}`,
        CLOCK_FILE: join(home, 'skew'),
      },
    })
    clients = [await stage.open('ada'), await stage.open('ben')]
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await rm(home, { recursive: true, force: true })
  })

  const machineNow = Date.now
  afterEach(() => {
    Date.now = machineNow
  })
  /** All devices of the story are in this process. */
  const setDevices = (skew: number): void => {
    Date.now = () => machineNow() + skew
  }

  async function setServer(skew: number): Promise<void> {
    const since = stage.server.log.length
    await writeFile(join(home, 'skew'), String(skew))
    process.kill(stage.server.pid, 'SIGUSR2')
    const line = await stage.server.logged(({ msg }) => msg === 'clock set', since)
    expect(Math.abs(Number(line['now']) - machineNow() - skew)).toBeLessThan(10 * 60_000)
  }

  /** By how much what the server tells devices of the time is wrong, milliseconds. */
  async function toldWrong(): Promise<number> {
    const { client, welcome } = await RawClient.greeted(stage.server.url, await stage.tokenFor(3600))
    client.close()
    return Math.abs(welcome.serverTime - machineNow())
  }

  test.for([
    ['a day ahead', day],
    ['a day back', -day],
  ] as const)("the server's to %s: nobody is cut off or thought stale, and who comes is let in", async ([, skew]) => {
    const [ada, ben] = clients
    const [writer, health] = [keepWriting(stage, ada), stage.watchHealth()]
    await writer.oneMore()
    await setServer(skew)
    await stage.untilReady()
    expect(await stage.metric('tidewire_canary_age_seconds')).toBeLessThan(60)
    expect(await toldWrong()).toBeLessThan(10 * 60_000)
    ben.disconnect()
    ben.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    // Two signs of life under the new time.
    const canaries = async (): Promise<number> =>
      Number((await stage.sql(`select count(*) as count from sync_changes where channel = 'canary'`))[0]?.['count'])
    const before = await canaries()
    await expect.poll(canaries, { timeout: 60_000 }).toBeGreaterThan(before + 1)
    await stage.untilReady()
    await setServer(0)
    expect(await health.end()).toEqual([])
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await expectOnce(stage, await writer.stop().then(async (titles) => ada.synced().then(() => titles)))
    await stage.expectEqual(clients)
  })

  test("a device's two hours wrong: neither side's writes win by their date", async () => {
    const [ada, ben] = clients
    const id = await addTask(stage, 'Of whom?')
    await stage.expectEqual(clients)
    setDevices(2 * 3_600_000)
    const early = await ada.tasks.update(id, { description: 'Dated ahead' })
    const made = await ada.tasks.insert({ projectId: stage.projectId, title: 'Made in the future' })
    const gone = await ada.tasks.insert({ projectId: stage.projectId, title: 'Deleted in the future' })
    await ada.synced()
    await ada.tasks.delete(gone.id)
    await ada.synced()
    await stage.expectEqual(clients)
    setDevices(-2 * 3_600_000)
    await ben.tasks.update(id, { description: 'Later, dated back' })
    await ben.tasks.update(made.id, { title: 'Changed in the past' })
    await ben.synced()
    setDevices(0)
    await stage.expectEqual(clients)
    expect(await early.outcome).toMatchObject({ kind: 'applied' })
    expect(await ada.tasks.get(id)).toMatchObject({ description: 'Later, dated back' })
    expect(await ada.tasks.get(made.id)).toMatchObject({ title: 'Changed in the past' })
    const [dates] = await stage.sql<{ right: boolean }>(
      `select bool_and(updated_at between now() - interval '1 hour' and now() + interval '1 minute') as right from tasks where id = any($1)`,
      [[id, made.id, gone.id]],
    )
    expect(dates).toEqual({ right: true })
  })

  test("a device's days ahead: its writes are dated by the server's time, and taken", async () => {
    const [ada] = clients
    setDevices(2 * day)
    const task = await ada.tasks.insert({ projectId: stage.projectId, title: 'From the day after tomorrow' })
    const outcome = await task.$write.outcome
    setDevices(0)
    expect(outcome).toMatchObject({ kind: 'applied' })
    await ada.synced()
    await stage.expectEqual(clients)
    await expectOnce(stage, new Set(['From the day after tomorrow']))
  })
})
