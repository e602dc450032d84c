import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { requireProgram } from '../../server/backup/postgres-programs.ts'
import { postgresPrograms } from '../../scripts/services.ts'
import { postgresUrl } from '../support/services.ts'
import { describeBackups } from './backup-contract.ts'

const names: string[] = []
afterAll(async () => {
  const admin = new pg.Client({ connectionString: postgresUrl() })
  await admin.connect()
  for (const name of names) {
    await admin.query(`drop database if exists ${name} with (force)`)
    await admin.query(`drop database if exists ${name}_before_20260101t000000 with (force)`)
  }
  await admin.end()
})

describeBackups('postgres', async (db) => {
  const url = new URL(db.url ?? '')
  url.pathname = `${url.pathname}_r`
  names.push(url.pathname.slice(1))
  return { kind: 'postgres', url: url.href, poolSize: 4, readUrls: [] }
})

test('a pg_dump that is missing or too old is named before anything is done', async () => {
  const environment = process.env
  await expect(requireProgram({ bin: '/nowhere', environment }, 'pg_dump', 17)).rejects.toMatchObject({
    code: 'program_missing',
    message: expect.stringContaining('/nowhere/pg_dump') as string,
  })
  await expect(requireProgram({ bin: postgresPrograms(), environment }, 'pg_dump', 99)).rejects.toMatchObject({
    code: 'program_missing',
    remedy: expect.stringContaining('postgresql-client-99') as string,
  })
})
