import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createCipher, createCredentials } from '../../server/credentials/credentials.ts'
import { workOne } from '../../server/integrations/work-queue.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { insert } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seedFixture, type Fixture } from '../support/fixtures.ts'

let db: TestDatabase
let fixture: Fixture
beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  fixture = await seedFixture(db.database.pool)
})
afterAll(() => db.close())

test('many servers deal with each event once, and with those of one integration in order, also past one that fails', async () => {
  const { pool } = db.database
  const organization_id = fixture.organizationId
  const integrations: string[] = []
  for (const name of ['a', 'b', 'c']) {
    const { id } = await insert(pool, 'integrations', { organization_id, provider: 'generic', name, status: 'active' })
    integrations.push(id)
  }
  for (let n = 0; n < 20; n++)
    for (const integration_id of integrations) {
      const { id, occurred_at } = await insert(pool, 'integration_events', {
        organization_id,
        integration_id,
        provider: 'generic',
        event_type: `n${String(n).padStart(2, '0')}`,
        payload: { n },
      })
      await pool.query(
        `insert into sync.integration_queue (event_id, event_at, integration_id, direction) values ($1, $2, $3, 'inbound')`,
        [id, occurred_at, integration_id],
      )
    }
  // The first of b cannot be published until it is mended.
  await pool.query(
    `alter table events add constraint mended check (subject_id <> '${integrations[1]}' or type <> 'generic.n00') not valid`,
  )
  const deps = {
    pool,
    credentials: createCredentials({
      pool,
      cipher: createCipher([], systemRandom),
      clock: systemClock,
      random: systemRandom,
    }),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    allowPrivate: false,
    timeoutMs: 1000,
    maxAttempts: 1000,
  }
  const untilIdle = async (): Promise<void> => {
    while (await workOne(deps));
  }
  const published = async (integration: string | undefined): Promise<readonly unknown[]> =>
    (await pool.query('select type from events where subject_id = $1 order by seq', [integration])).rows.map(
      (row: { type: string }) => row.type,
    )
  const all = Array.from({ length: 20 }, (_, n) => `generic.n${String(n).padStart(2, '0')}`)
  // A server that finds all heads taken by others is idle for a moment: they go on until nothing is left but b.
  const rest = async (): Promise<number> =>
    (
      await pool.query(`select 1 from sync.integration_queue where due_at <= now() and integration_id <> $1`, [
        integrations[1],
      ])
    ).rowCount ?? 0
  do await Promise.all([1, 2, 3, 4].map(untilIdle))
  while ((await rest()) > 0)
  expect(await published(integrations[0])).toEqual(all)
  expect(await published(integrations[1])).toEqual([])
  expect(await published(integrations[2])).toEqual(all)
  const { rows } = await pool.query(
    `select status from integration_events where status <> 'processed' and integration_id <> '${integrations[1]}' or status = 'failed'`,
  )
  expect(rows).toEqual([{ status: 'failed' }])

  await pool.query('alter table events drop constraint mended')
  await pool.query('update sync.integration_queue set due_at = now()')
  do await Promise.all([1, 2, 3, 4].map(untilIdle))
  while (((await pool.query('select 1 from sync.integration_queue')).rowCount ?? 0) > 0)
  expect(await published(integrations[1])).toEqual(all)
})

describe('an issue of a task', () => {
  test('hears of what changed while its platform was away, once the platform answers', async () => {
    const { pool } = db.database
    const organization_id = fixture.organizationId
    const asked: string[] = []
    let answer: (issue: string) => number = () => 503
    const platform = createServer((request, response) => {
      const issue = request.url?.split('/').at(-1) ?? ''
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        asked.push(`${issue} ${String((JSON.parse(body) as { title: unknown }).title)}`)
        response.writeHead(answer(issue)).end('{}')
      })
    })
    await new Promise<void>((resolve) => void platform.listen(0, '127.0.0.1', resolve))
    try {
      const credentials = createCredentials({
        pool,
        cipher: createCipher([{ id: 'k1', key: randomBytes(32) }], systemRandom),
        clock: systemClock,
        random: systemRandom,
      })
      const credential_id = await credentials.store(
        { organizationId: organization_id, userId: null, provider: 'github', kind: 'api_key', label: 'push' },
        { secret: 'ghp_x' },
      )
      const { id: integration_id } = await insert(pool, 'integrations', {
        organization_id,
        provider: 'github',
        name: 'app',
        repository_owner: 'acme',
        repository_name: 'app',
        status: 'active',
        credential_id,
        sync_settings: { apiUrl: `http://127.0.0.1:${(platform.address() as AddressInfo).port}` },
      })
      const linked = async (external_id: string): Promise<string> => {
        const { id } = await insert(pool, 'tasks', { organization_id, project_id: fixture.projectId, title: 'new' })
        const link = { organization_id, integration_id, local_type: 'task', local_id: id, external_type: 'issue' }
        await insert(pool, 'external_links', { ...link, external_id })
        return id
      }
      const rename = (id: string, title: string) => pool.query('update tasks set title = $2 where id = $1', [id, title])
      const deps = {
        pool,
        credentials,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        allowPrivate: true,
        timeoutMs: 10_000,
        maxAttempts: 1,
      }
      /** What the platform is asked until nothing waits. */
      const work = async (): Promise<readonly string[]> => {
        asked.length = 0
        while (await workOne(deps));
        return [...asked]
      }
      const state = async () =>
        (await pool.query('select status, error_count from integrations where id = $1', [integration_id])).rows
      const [first, second, gone] = [await linked('1'), await linked('2'), await linked('3')]

      await rename(first, 'given up')
      expect(await work()).toEqual(['1 given up'])
      expect(await state()).toEqual([{ status: 'error', error_count: 1 }])
      // What changes meanwhile waits, and of one task only how it is in the end.
      for (const title of ['a', 'b', 'c']) await rename(second, title)
      answer = (issue) => (issue === '3' ? 404 : 200)
      expect(await work()).toEqual(['2 c', '1 given up'])
      expect(await state()).toEqual([{ status: 'active', error_count: 0 }])

      // What the platform refuses is not asked of it again, until the integration is configured.
      await rename(gone, 'refused')
      expect(await work()).toEqual(['3 refused'])
      await rename(first, 'later')
      expect(await work()).toEqual(['1 later'])
      answer = () => 200
      await pool.query('select sync.queue_issues_behind($1, true)', [integration_id])
      expect(await work()).toEqual(['3 refused'])
      expect((await pool.query('select from sync.issues_behind')).rowCount).toBe(0)
    } finally {
      await new Promise<void>((resolve) => void platform.close(() => resolve()))
    }
  })

  test('is pushed after the change is committed, though an older push of it waits', async () => {
    // The push that waits is locked by the transaction that relies on it.
    const { pool } = db.database
    const { rows } = await pool.query<{ id: string; link: string }>(
      `select t.id, l.id as link from tasks t join external_links l on l.local_id = t.id where l.external_id = '1'`,
    )
    const { id = '', link = '' } = rows[0] ?? {}
    await pool.query('update tasks set title = $2 where id = $1', [id, 'waits'])
    const writer = await pool.connect()
    try {
      await writer.query('begin')
      await writer.query('update tasks set title = $2 where id = $1', [id, 'relies on it'])
      const free = await pool.query('select id from sync.integration_queue where link_id = $1 for update skip locked', [
        link,
      ])
      expect(free.rows).toEqual([])
      await writer.query('commit')
    } finally {
      writer.release()
    }
    const waiting = await pool.query('select id from sync.integration_queue where link_id = $1', [link])
    expect(waiting.rowCount).toBe(1)
  })

  test('and its task each keep what the other did not change, and a value that loses is in a conflict', async () => {
    const { pool } = db.database
    const organization_id = fixture.organizationId
    const sent: unknown[] = []
    const at = '2026-01-01T00:00:05Z'
    const issue = { number: 9, title: 'A', body: 'text', state: 'open', updated_at: at }
    let taken = true
    const platform = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        const patch = JSON.parse(body) as Partial<typeof issue>
        sent.push(patch)
        if (taken) Object.assign(issue, patch)
        response.writeHead(taken ? 200 : 401).end(JSON.stringify(issue))
      })
    })
    await new Promise<void>((resolve) => void platform.listen(0, '127.0.0.1', resolve))
    try {
      const credentials = createCredentials({
        pool,
        cipher: createCipher([{ id: 'k1', key: randomBytes(32) }], systemRandom),
        clock: systemClock,
        random: systemRandom,
      })
      const credential_id = await credentials.store(
        { organizationId: organization_id, userId: null, provider: 'github', kind: 'api_key', label: 'two ways' },
        { secret: 'ghp_y' },
      )
      const { id: integration_id } = await insert(pool, 'integrations', {
        organization_id,
        provider: 'github',
        name: 'two ways',
        repository_owner: 'acme',
        repository_name: 'app',
        status: 'active',
        credential_id,
        sync_settings: { apiUrl: `http://127.0.0.1:${(platform.address() as AddressInfo).port}` },
      })
      const { id: task } = await insert(pool, 'tasks', {
        organization_id,
        project_id: fixture.projectId,
        title: 'A',
        description: 'text',
        created_by_user_id: fixture.ownerId,
      })
      const { id: link } = await insert(pool, 'external_links', {
        organization_id,
        integration_id,
        local_type: 'task',
        local_id: task,
        external_type: 'issue',
        external_id: '9',
      })
      const deps = {
        pool,
        credentials,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        allowPrivate: true,
        timeoutMs: 10_000,
        maxAttempts: 1,
      }
      const work = async (): Promise<readonly unknown[]> => {
        sent.length = 0
        while (await workOne(deps));
        return [...sent]
      }
      const edit = (set: string) => pool.query(`update tasks set ${set} where id = $1`, [task])
      /** The platform tells how the issue is, or was. */
      const hear = async (action: string, was: Partial<typeof issue> = {}): Promise<void> => {
        const { id, occurred_at } = await insert(pool, 'integration_events', {
          organization_id,
          integration_id,
          provider: 'github',
          event_type: `issues.${action}`,
          payload: { action, issue: { ...issue, ...was } },
        })
        await pool.query(
          `insert into sync.integration_queue (event_id, event_at, integration_id, direction) values ($1, $2, $3, 'inbound')`,
          [id, occurred_at, integration_id],
        )
      }
      const now = async () => {
        const { rows } = await pool.query('select title, description, status from tasks where id = $1', [task])
        return rows[0] as unknown
      }

      // Only what was changed is told, and what the platform says of it later reverts nothing that was changed since.
      await edit(`title = 'B'`)
      expect(await work()).toEqual([{ title: 'B' }])
      await edit(`title = 'C'`)
      await hear('edited', { title: 'B' })
      expect(await work()).toEqual([{ title: 'C' }])
      await hear('edited', { title: 'B' })
      expect(await work()).toEqual([])
      expect(await now()).toMatchObject({ title: 'C' })

      // What the answer to a push shows of other edits is taken.
      Object.assign(issue, { body: 'edited there' })
      await edit(`title = 'D'`)
      expect(await work()).toEqual([{ title: 'D' }])
      expect(await now()).toMatchObject({ title: 'D', description: 'edited there' })

      // The token has expired: what waits survives any news of the issue.
      taken = false
      await edit(`title = 'E', status = 'completed'`)
      expect(await work()).toEqual([{ title: 'E', state: 'closed', state_reason: 'completed' }])
      taken = true
      Object.assign(issue, { updated_at: '2026-01-02T00:00:00Z' })
      await hear('labeled')
      expect(await work()).toEqual([{ title: 'E', state: 'closed', state_reason: 'completed' }])
      expect(await now()).toMatchObject({ title: 'E', status: 'completed' })

      // Both sides changed the title: the task's stays and is told, the other is kept.
      await edit(`title = 'Ours'`)
      Object.assign(issue, { title: 'Theirs', updated_at: '2026-01-03T00:00:00Z' })
      await pool.query(`update sync.integration_queue set due_at = 'infinity' where link_id = $1`, [link])
      await hear('edited')
      expect(await work()).toEqual([])
      await pool.query(`update sync.integration_queue set due_at = now() where link_id = $1`, [link])
      expect(await work()).toEqual([{ title: 'Ours' }])
      expect(await now()).toMatchObject({ title: 'Ours' })
      const { rows } = await pool.query(
        `select kind, status, fields, user_id from sync_conflicts where table_name = 'tasks' and row_id = $1`,
        [task],
      )
      expect(rows).toEqual([
        {
          kind: 'field',
          status: 'open',
          fields: { title: { base: 'E', mine: 'Theirs', theirs: 'Ours' } },
          user_id: fixture.ownerId,
        },
      ])
      const told = await pool.query(`select type from events where subject_id = $1`, [task])
      expect(told.rows).toEqual([{ type: 'github.issue_conflict' }])
    } finally {
      await new Promise<void>((resolve) => void platform.close(() => resolve()))
    }
  })
})
