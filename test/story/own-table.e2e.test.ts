// A server in process with a table of an application, on an embedded database.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import * as application from '../../examples/notes/application.ts'
import { startTestServer } from '../support/server.ts'
import { ownTable } from './own-table.ts'

test('an application has its own table by handing in entity and migration: offline edits, conflicts and SQL work as for the shipped ones', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewire-own-'))
  const home = await startTestServer({ application })
  onTestFinished(async () => {
    await home.close()
    await rm(folder, { recursive: true, force: true })
  }, 60_000)
  const { pool } = home.server.database
  await ownTable({ url: home.url, token: await home.userToken(home.fixture.ownerId), folder }, (text) =>
    pool.query(text),
  )
  const { rows } = await pool.query(
    `select t.scope_rule, c.relrowsecurity as secured, has_table_privilege('app_rw', 'notes', 'insert') as writes,
       has_table_privilege('app_feed', 'notes', 'select') as feeds
     from sync_tables t join pg_class c on c.oid = 'notes'::regclass where t.table_name = 'notes'`,
  )
  expect(rows).toEqual([{ scope_rule: 'project(project_id)', secured: true, writes: true, feeds: true }])
}, 300_000)
