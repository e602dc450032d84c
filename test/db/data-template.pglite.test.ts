import { copyFile, mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { DataTemplate } from '../../server/db/data-template.ts'
import { openEmbedded, type Embedded } from '../../server/db/embedded.ts'

let home: string
let cacheDir: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-template-'))
  cacheDir = join(home, 'cache')
  const first = await open('first')
  await query(first, 'create table marked (id integer)')
  await query(first, 'insert into marked select generate_series(1, 1000)')
  await first.keepTemplate?.()
  await query(first, 'insert into marked values (0)')
  await first.close()
})
afterAll(async () => rm(home, { recursive: true, force: true }))

const onCrash = (error: Error): void => {
  throw error
}
const open = (name: string): Promise<Embedded> =>
  openEmbedded(join(home, name), { mode: 'own', clock: systemClock, cacheDir, onCrash })

async function query(embedded: Embedded, text: string): Promise<readonly object[]> {
  const client = new pg.Client({ host: embedded.host, port: 5432, user: 'postgres', database: 'postgres' })
  await client.connect()
  try {
    return (await client.query<object>(text)).rows
  } finally {
    await client.end()
  }
}

async function templates(): Promise<readonly string[]> {
  return (await readdir(cacheDir)).map((name) => join(cacheDir, name))
}

describe('a new embedded database', () => {
  test('begins as the template that an earlier one kept, without what came after', async () => {
    const second = await open('second')
    expect(await query(second, 'select count(*)::int as rows, min(id) as first from marked')).toEqual([
      { rows: 1000, first: 1 },
    ])
    expect(second.keepTemplate).toBeUndefined()
    await second.close()
  })

  test('is made from nothing when the template does not start, which is then forgotten', async () => {
    const [folder = ''] = await templates()
    const control = join(folder, 'pgdata/global/pg_control')
    await writeFile(control, Buffer.alloc(8192, 7))
    const embedded = await open('third')
    expect(await query(embedded, `select to_regclass('marked') as marked`)).toEqual([{ marked: null }])
    expect(embedded.keepTemplate).toBeTypeOf('function')
    expect(await templates()).toEqual([])
    await embedded.close()
  })
})

describe('a template', () => {
  const store = (): Promise<void> =>
    new DataTemplate(cacheDir).keep(async (target) => {
      await mkdir(join(target, 'base'), { recursive: true })
      await copyFile(import.meta.filename, join(target, 'base/1'))
    })

  test('is copied whole', async () => {
    await store()
    expect(await new DataTemplate(cacheDir).copyTo(join(home, 'whole'))).toBe(true)
    expect(await readdir(join(home, 'whole'), { recursive: true })).toEqual(['base', 'base/1'])
  })

  test('is one, however many keep it', async () => {
    await store()
    await store()
    expect(await templates()).toHaveLength(1)
  })

  test.each(['pgdata/base/1', 'files'])('that is not whole is not used and goes (%s)', async (name) => {
    await store()
    const [folder = ''] = await templates()
    await truncate(join(folder, name), 10)
    expect(await new DataTemplate(cacheDir).copyTo(join(home, 'broken'))).toBe(false)
    expect(await readdir(home)).not.toContain('broken')
    expect(await templates()).toEqual([])
  })

  test('of older sources goes when there are three newer ones', async () => {
    await store()
    for (const name of ['a', 'b', 'c', 'd']) await mkdir(join(cacheDir, `pgdata-${name}`))
    await Promise.all(
      (await templates()).filter((path) => !/-[a-d]$/.test(path)).map((path) => rm(path, { recursive: true })),
    )
    await store()
    expect(await templates()).toHaveLength(3)
  })
})
