// What the database itself allows whom, over every table of docs/schema.md: by SQL, as the role, without a server in
// between.
import type { DatabaseError, Pool, PoolClient } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { SampleRows, type SqlValues } from '../support/sample-rows.ts'
import { allColumns, isLog } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocTable } from '../support/schema-notation.ts'

const { tables } = readSchemaPage()
const hasOrganization = (table: DocTable): boolean => allColumns(table).some(({ name }) => name === 'organization_id')
const tenants = tables.filter(hasOrganization)

/** What holds secrets, and what says what happened. */
const secret = ['access_tokens', 'auth_sessions', 'credentials', 'user_credentials']
/** What pushes and actions do with the server's own tables, and nothing else. */
const internal: Readonly<Record<string, readonly string[]>> = {
  calls: ['INSERT', 'SELECT'],
  event_deliveries: ['INSERT'],
  former_epochs: ['SELECT'],
  integration_queue: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'],
  issue_bases: ['INSERT', 'SELECT', 'UPDATE'],
  issues_behind: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'],
  open_commits: ['INSERT'],
  pending_changes: ['INSERT'],
  pipeline_waits: ['INSERT', 'SELECT', 'UPDATE'],
  settings: ['SELECT'],
  stale_agents: ['INSERT'],
  stale_models: ['INSERT'],
  step_leases: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'],
  usage_news: ['INSERT'],
}
/** Of the database, and not of an organization. */
const ofNobody = ['former_epochs', 'settings']

/**
 * Functions that reach beyond the rights of a writer, and that writers call. All others are called by the owner, or by
 * triggers.
 */
const definersOfWriters = [
  'access_tokens_of',
  'credential_kind',
  'credential_of_usage',
  'embeds',
  'invite',
  'issue_token',
  'known_mutations',
  'open_invitations',
  'recount_mutations',
  'revoke_token',
  'withdraw_invitation',
]
const appendOnly = [
  'audit_logs',
  'memory_logs',
  'project_closures',
  'sync_changes',
  'sync_mutations',
  'tool_audit_logs',
]

export function describeRoles(kind: 'embedded' | 'postgres'): void {
  describe(`the roles of a database, ${kind}`, () => {
    let db: TestDatabase
    let pool: Pool
    let ours: string
    let theirs: string
    const foreign = new Map<string, SqlValues>()

    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      pool = db.database.pool
      const triggers = (state: string): string =>
        tables.map(({ name }) => `alter table "${name}" ${state} trigger user`).join(';')
      await pool.query(triggers('disable'))
      await pool.query('delete from sync_heads')
      const samples = new SampleRows(pool, tables)
      theirs = await samples.parent('organizations')
      ours = await samples.parent('organizations', 'second')
      for (const table of tables) {
        const own = hasOrganization(table) && table.name !== 'organizations' ? { organization_id: theirs } : {}
        const row = await samples.row(table.name, own)
        if (table.name === 'organizations') foreign.set(table.name, { ...row, id: theirs })
        else {
          await samples.insert(pool, table.name, row)
          foreign.set(table.name, row)
        }
      }
      await pool.query(triggers('enable'))
    })
    afterAll(() => db.close())

    /** Runs in the name of an organization, or of none, and takes everything back. */
    async function as<T>(
      role: string,
      organization: string | undefined,
      work: (client: PoolClient) => Promise<T>,
    ): Promise<T> {
      const client = await pool.connect()
      try {
        await client.query('begin')
        await client.query(`select set_config('app.organization_id', $1, true), set_config('role', $2, true)`, [
          organization ?? '',
          role,
        ])
        return await work(client)
      } finally {
        await client.query('rollback')
        client.release()
      }
    }

    /** Rows that a statement reached; `denied` when the role may not do such a thing at all, or not to this row. */
    async function reach(
      client: PoolClient,
      text: string,
      values: readonly unknown[] = [],
    ): Promise<number | 'denied'> {
      await client.query('savepoint one')
      try {
        return (await client.query(text, [...values])).rowCount ?? 0
      } catch (error) {
        if ((error as DatabaseError).code !== '42501') throw error
        return 'denied'
      } finally {
        await client.query('rollback to one')
      }
    }

    const isTheirs = (table: DocTable): string => (table.name === 'users' ? 'id = $1' : 'organization_id = $1')
    const idOf = (table: DocTable): unknown => (table.name === 'users' ? foreign.get('users')?.['id'] : theirs)

    test.each(tenants)(
      'app_rw finds rows of $name in the name of their organization, and in no other',
      async (table) => {
        const find = (organization: string | undefined): Promise<number | 'denied'> =>
          as('app_rw', organization, (client) =>
            reach(client, `select 1 from "${table.name}" where ${isTheirs(table)}`, [idOf(table)]),
          )
        const own = await find(theirs)
        expect(own).toEqual(secret.includes(table.name) ? 'denied' : expect.toSatisfy((count) => count > 0))
        expect([await find(ours), await find(undefined)]).toEqual(own === 'denied' ? ['denied', 'denied'] : [0, 0])
      },
    )

    test.each(tenants)(
      'app_rw can neither change, delete nor add rows of $name for another organization',
      async (table) => {
        const row = foreign.get(table.name) ?? {}
        const [column = 'id'] = Object.keys(row)
        const fresh = { ...row, ...('id' in row ? { id: '01890000-0000-7000-8000-00000000abcd' } : {}) }
        const names = Object.keys(fresh).map((name) => `"${name}"`)
        const places = names.map((_, index) => `$${index + 1}`)
        const found = await as('app_rw', ours, async (client) => [
          await reach(client, `update "${table.name}" set "${column}" = "${column}" where ${isTheirs(table)}`, [
            idOf(table),
          ]),
          await reach(client, `delete from "${table.name}" where ${isTheirs(table)}`, [idOf(table)]),
          await reach(
            client,
            `insert into "${table.name}" (${names.join()}) values (${places.join()})`,
            Object.values(fresh),
          ),
        ])
        expect(found).toEqual([expect.toSatisfy(isNothing), expect.toSatisfy(isNothing), 'denied'])
      },
    )

    test('app_rw changes and deletes no row that is shipped', async () => {
      const shipped = await as('app_rw', ours, async (client) => [
        await reach(client, 'select from agent_types where organization_id is null'),
        await reach(client, `update agent_types set name = 'x' where organization_id is null`),
        await reach(client, 'delete from agent_types where organization_id is null'),
      ])
      expect(shipped).toEqual([expect.toSatisfy((count) => count > 0), 'denied', 0])
    })

    test('app_rw can lock a shipped row, and not take it over', async () => {
      await as('app_rw', ours, async (client) => {
        expect(await reach(client, 'select from agent_types where organization_id is null for share')).toBeGreaterThan(
          0,
        )
        await expect(
          client.query('update agent_types set organization_id = $1 where organization_id is null', [ours]),
        ).rejects.toMatchObject({ code: '23514' })
      })
    })

    test('app_rw knows people by a membership in its organization', async () => {
      const member = foreign.get('organization_members')?.['user_id']
      const find = (organization: string): Promise<number | 'denied'> =>
        as('app_rw', organization, (client) => reach(client, 'select 1 from users where id = $1', [member]))
      expect([await find(theirs), await find(ours)]).toEqual([1, 0])
    })

    test.each(appendOnly.map((name) => ({ name })))('app_rw adds rows to $name, and changes none', async ({ name }) => {
      const { rows } = await pool.query(
        `select has_table_privilege('app_rw', $1, 'INSERT') as adds, has_table_privilege('app_rw', $1, 'SELECT') as reads,
           has_table_privilege('app_rw', $1, 'UPDATE') or has_any_column_privilege('app_rw', $1, 'UPDATE') as changes,
           has_table_privilege('app_rw', $1, 'DELETE') or has_table_privilege('app_rw', $1, 'TRUNCATE') as deletes`,
        [name],
      )
      expect(rows).toEqual([{ adds: true, reads: true, changes: false, deletes: false }])
    })

    test.each(['app_rw', 'app_feed', 'app_readonly'])('%s reads no secrets', async (role) => {
      for (const name of secret)
        expect.soft(await as(role, theirs, (client) => reach(client, `select 1 from ${name}`)), name).toBe('denied')
    })

    test.each(tables.filter(({ name }) => !secret.includes(name)))(
      'app_readonly reads $name of all organizations, and writes nothing',
      async (table) => {
        const { rows } = await pool.query<{ all: string }>(`select count(*) as all from "${table.name}"`)
        const row = foreign.get(table.name) ?? {}
        const [column = 'id'] = Object.keys(row)
        await as('app_readonly', undefined, async (client) => {
          expect(await reach(client, `select 1 from "${table.name}"`)).toBe(Number(rows[0]?.all))
          expect(await reach(client, `update "${table.name}" set "${column}" = "${column}"`)).toBe('denied')
          expect(await reach(client, `delete from "${table.name}"`)).toBe('denied')
        })
      },
    )

    test('app_feed reads what is synced of all organizations, and adds to the log alone', async () => {
      const synced = tables.filter((table) => allColumns(table).some(({ name }) => name === 'channel'))
      await as('app_feed', undefined, async (client) => {
        for (const { name } of synced) {
          expect.soft(await reach(client, `select 1 from "${name}"`), name).toBeGreaterThan(0)
          if (name !== 'sync_changes') expect.soft(await reach(client, `delete from "${name}"`), name).toBe('denied')
        }
        expect(
          await reach(
            client,
            `insert into sync_changes (seq, ordinal, channel, table_name, op) values (9, 0, 'canary', 't', 'mark')`,
          ),
        ).toBe(1)
        expect(await reach(client, 'delete from sync_changes')).toBe('denied')
      })
    })

    test('no table is without policy or grant', async () => {
      const { rows } = await pool.query<{ name: string; secured: boolean; tenant: boolean; readers: string[] }>(`
        select c.relname as name, c.relrowsecurity as secured,
          exists (select from pg_policy p where p.polrelid = c.oid and p.polname in ('tenant', 'known')) as tenant,
          array(select r.rolname::text from pg_roles r where r.rolname ~ '^app_(rw|readonly)$' and has_table_privilege(r.oid, c.oid, 'SELECT') order by 1) as readers
        from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname <> 'mikro_orm_migrations'`)
      for (const { name, ...found } of rows) {
        const table = tables.find((one) => one.name === name)
        const tenant = table !== undefined && (hasOrganization(table) || name === 'users')
        const served = tenant || ['sync_heads', 'sync_tables', 'system_settings'].includes(name)
        const readers = secret.includes(name) ? [] : served ? ['app_readonly', 'app_rw'] : ['app_readonly']
        expect.soft({ name, ...found }).toEqual({ name, secured: tenant, tenant, readers })
      }
      expect(rows.length).toBe(tables.length)
    })

    test("app_rw has of the server's own tables what its work needs, and of those that it reads the rows of its organization", async () => {
      const { rows } = await pool.query<{ name: string; secured: boolean; privileges: string[] }>(`
        select c.relname as name, c.relrowsecurity as secured, array(
            select p from unnest('{DELETE,INSERT,SELECT,UPDATE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p where has_table_privilege('app_rw', c.oid, p) order by 1
          ) as privileges
        from pg_class c where c.relnamespace = 'sync'::regnamespace and c.relkind in ('r', 'p', 'm') and not c.relispartition`)
      for (const { name, secured, privileges } of rows) {
        expect.soft({ name, privileges }).toEqual({ name, privileges: internal[name] ?? [] })
        if (privileges.includes('SELECT'))
          expect.soft({ name, secured }).toEqual({ name, secured: !ofNobody.includes(name) })
      }
      expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(internal)))
    })

    test('app_rw reaches leases and queues of its organization, and of no other', async () => {
      const id = (table: string): unknown => foreign.get(table)?.['id']
      await pool.query(
        `insert into sync.step_leases (step_execution_id, agent_id, expires_at) values ($1, $2, now())`,
        [id('pipeline_step_executions'), id('agents')],
      )
      await pool.query(
        `insert into sync.integration_queue (event_id, event_at, integration_id, direction) select id, occurred_at, $1, 'inbound' from integration_events limit 1`,
        [id('integrations')],
      )
      const reached = (organization: string) =>
        as('app_rw', organization, async (client) => [
          await reach(client, `update sync.step_leases set expires_at = now()`),
          await reach(client, 'delete from sync.step_leases'),
          await reach(client, 'update sync.integration_queue set attempts = 0'),
          await reach(
            client,
            `insert into sync.issues_behind (link_id, integration_id, refused) values ($1, $2, false)`,
            [id('external_links'), id('integrations')],
          ),
        ])
      expect(await reached(ours)).toEqual([0, 0, 0, 'denied'])
      expect(await reached(theirs)).toEqual([1, 1, 1, 1])
      await pool.query('delete from sync.step_leases; delete from sync.integration_queue')
    })

    test('partitions are reached through their table alone', async () => {
      const { rows } = await pool.query(`
        select c.relname from pg_class c where c.relispartition and c.relkind = 'r'
          and (has_table_privilege('app_rw', c.oid, 'SELECT, INSERT, UPDATE, DELETE') or has_table_privilege('app_readonly', c.oid, 'SELECT'))`)
      expect({ open: rows, logs: tables.filter(isLog).length > 5 }).toEqual({ open: [], logs: true })
    })

    test('a table that is added later gets its own, and doing it again changes nothing', async () => {
      await pool.query('create table boats (id uuid primary key, organization_id uuid not null, channel text not null)')
      await pool.query('select sync.secure()')
      const state = async (): Promise<unknown> =>
        (
          await pool.query(
            `select relacl::text, relrowsecurity, xmin::text, array(select polname::text from pg_policy where polrelid = c.oid order by 1) as policies from pg_class c where relname = 'boats'`,
          )
        ).rows[0]
      const secured = await state()
      expect(secured).toMatchObject({ relrowsecurity: true, policies: ['across_feed', 'across_readonly', 'tenant'] })
      await pool.query('select sync.ensure_roles(), sync.secure()')
      expect(await state()).toEqual(secured)
      await pool.query('drop table boats')
    })

    test('an id that another organization has used is known to be, and nothing else of it', async () => {
      const { id } = foreign.get('sync_mutations') ?? {}
      const found = await as(
        'app_rw',
        ours,
        async (client) => (await client.query('select * from sync.known_mutations($1, $2)', [[id], []])).rows,
      )
      expect(found).toEqual([
        expect.objectContaining({ id, own: null, result: null }),
        expect.objectContaining({ id: null, client_seq: 0 }),
      ])
    })

    test('a function with the rights of its owner is called by nobody but the roles that need it', async () => {
      const { rows } = await pool.query<{ name: string; trigger: boolean; callers: string[] }>(`
        select p.proname as name, p.prorettype = 'trigger'::regtype as trigger,
          array(select r.rolname::text from pg_roles r where r.rolname ~ '^app_(rw|feed|readonly)$' and has_function_privilege(r.oid, p.oid, 'EXECUTE') order by 1) as callers
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.prosecdef and n.nspname in ('public', 'sync')
          and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
        order by 1`)
      for (const { name, trigger, callers } of rows)
        expect
          .soft({ name, callers })
          .toEqual({ name, callers: !trigger && definersOfWriters.includes(name) ? ['app_rw'] : [] })
      expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(definersOfWriters))
    })

    test('app_readonly cannot make an invitation, whatever organization it names', async () => {
      const invited = (role: string) =>
        as(role, theirs, (client) =>
          reach(client, `select sync.invite('eve@example.com', 'owner', '\\x00', now() + interval '1 day')`),
        )
      expect([await invited('app_readonly'), await invited('app_feed'), await invited('app_rw')]).toEqual([
        'denied',
        'denied',
        1,
      ])
    })

    test('a row of a view asks for the rights of who reads it', async () => {
      const { rows } = await pool.query<{ name: string }>(`
        select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'v' and n.nspname in ('public', 'sync') and not coalesce('security_invoker=true' = any (c.reloptions) or 'security_barrier=true' = any (c.reloptions), false)
          and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`)
      expect(rows).toEqual([])
    })
  })
}

function isNothing(found: number | 'denied'): boolean {
  return found === 0 || found === 'denied'
}
