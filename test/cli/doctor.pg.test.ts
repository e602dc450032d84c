// What `doctor` says of a database that nobody has migrated yet, to a login that may do little, and of one whose
// triggers were disabled.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { doctor, type Finding } from '../../server/cli/doctor.ts'
import { loadConfig } from '../../server/config.ts'
import { openDatabase } from '../../server/db/db.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const login = `weak_${randomUUID().replaceAll('-', '')}`
let db: TestDatabase
let url = ''

beforeAll(async () => {
  // Roles are of the whole cluster: that there are some is made sure of by a database that was migrated.
  await (await createTestDatabase({ kind: 'postgres' })).close()
  db = await createTestDatabase({ kind: 'postgres', migrated: false })
  await db.database.pool.query(`create role ${login} login password 'weak'`)
  await db.database.pool.query(`grant all on schema public to ${login}`)
  url = Object.assign(new URL(db.url ?? ''), { username: login, password: 'weak' }).href
})
afterAll(async () => {
  await db.database.pool.query(`drop owned by ${login}; drop role ${login}`)
  await db.close()
})

async function findingsOf(capture: 'wal' | 'trigger', at = url): Promise<ReadonlyMap<string, Finding>> {
  const config = loadConfig({ DATABASE_URL: at, AUTH_SECRET: 's'.repeat(32), CAPTURE: capture, PORT: '1' })
  const database = await openDatabase(config)
  let said: { readonly findings: readonly Finding[] } = { findings: [] }
  const code = await doctor({
    database,
    config,
    catalog: loadCatalog(),
    application: {},
    console: { json: true, progress: () => undefined, answer: (value) => void (said = value as typeof said) },
  }).finally(() => database.close())
  expect(code).toBe(said.findings.every(({ ok }) => ok) ? 0 : 1)
  return new Map(said.findings.map((finding) => [finding.what, finding]))
}

describe('of a database that is not migrated, doctor', () => {
  test('names for each thing what is to be typed', async () => {
    const findings = await findingsOf('trigger')
    const wrong = [...findings.values()].filter(({ ok }) => !ok)
    expect(wrong.map(({ what }) => what)).toEqual([
      'extensions',
      'migrations',
      'roles',
      'capture',
      'embedding dimension',
    ])
    for (const { fix } of wrong) expect(fix).toContain('`npx tidewire migrate`')
    expect(findings.get('roles')?.fix).toContain(`grant app_rw to ${login};`)
    expect(findings.get('embedding dimension')?.fix).toContain('Set EMBEDDING_DIMENSION, now 384,')
  })

  test('names the right that capture from the WAL needs', async () => {
    const findings = await findingsOf('wal')
    expect(findings.get('capture: replication right')).toMatchObject({
      ok: false,
      fix: expect.stringContaining(`ALTER ROLE "${login}" REPLICATION;`) as string,
    })
  })
})

test.for(['wal', 'trigger'] as const)(
  'doctor has the statements that enable triggers again, capture %s',
  async (capture) => {
    await using own = await createTestDatabase({ kind: 'postgres' })
    const { pool } = own.database
    const told = `select tgrelid::regclass::text as table, tgname as name, tgenabled as enabled from pg_trigger where not tgisinternal order by 1, 2`
    const atFirst = (await pool.query(told)).rows
    const before = await findingsOf(capture, own.url)
    expect(before.get('triggers')).toMatchObject({ ok: true })
    await pool.query('alter table plans disable trigger a_channel, disable trigger b_touch')
    await pool.query('alter table project_members enable trigger b_touch')
    const found = (await findingsOf(capture, own.url)).get('triggers')
    expect(found).toMatchObject({ ok: false, found: expect.stringContaining('plans (a_channel, b_touch)') as string })
    await pool.query(/`(.*)`/.exec(found?.fix ?? '')?.[1] ?? '')
    expect((await pool.query(told)).rows).toEqual(atFirst)
  },
)
