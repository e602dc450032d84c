// Somebody alters, drops and makes again a synced table under a running server.
import type { Client } from '@tidewire/client'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import type { LogLine } from '../support/server-process.ts'
import type { Cause, HealthRecord, Readiness } from './health-record.ts'
import { hasOwnCluster, openCluster } from './own-cluster.ts'
import { isCurrent, openStage, untilStatus, type Stage } from './stage.ts'
import { addTask } from './writers.ts'

describe.skipIf(!hasOwnCluster)('a synced table under a running server', () => {
  let cluster: Cluster
  let stage: Stage
  let clients: readonly [Client, Client]
  let pid: number
  let since: number
  let epoch: string
  let health: HealthRecord

  beforeAll(async () => {
    cluster = await openCluster()
    stage = await openStage({ cluster: cluster.url })
    clients = [await stage.open('ada'), await stage.open('ben', 'pglite')]
    ;({ pid } = stage.server)
    await addPlan('Before')
    await begin()
  })
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })
  afterEach(() => begin())

  async function begin(): Promise<void> {
    since = stage.server.log.length
    epoch = await readEpoch()
    health = stage.watchHealth()
  }

  const readEpoch = async (): Promise<string> => (await stage.sql('select epoch from sync_heads'))[0]?.['epoch'] ?? ''
  const addPlan = (title: string) =>
    stage.sql(
      'insert into plans (organization_id, project_id, title) select organization_id, id, $2 from projects where id = $1',
      [stage.projectId, title],
    )

  /** Until /ready is not well because of the schema, in words that name what is wrong and what to do. */
  async function told(what: string): Promise<void> {
    const schema = ({ body }: Readiness) => body.troubles?.find(({ part }) => part === 'schema')
    const readiness = await stage.untilReady((answer) => schema(answer) !== undefined)
    expect(readiness.status).toBe(503)
    expect(schema(readiness)).toMatchObject({ code: 'schema_mismatch', remedy: expect.stringContaining('Put it back') })
    const line = await stage.server.logged(({ code }) => code === 'schema_mismatch', since)
    expect(line).toMatchObject({ level: 50, error: expect.stringContaining(what) })
  }

  /** `said`: what health had to say until then, beside what comes of these causes. */
  async function wellAgain(said: readonly string[], ...made: readonly Cause[]): Promise<void> {
    expect(await health.end(...made)).toEqual(said)
    for (const tide of clients) tide.connect()
    await Promise.all(clients.map((tide) => untilStatus(tide, isCurrent)))
    await addTask(stage, 'Well again')
    await addPlan('Well again')
    await stage.expectEqual(clients)
    expect(stage.server.pid).toBe(pid)
  }

  /** Locks its neighbours too, which those who read and write have in another order. */
  async function drop(table: string): Promise<void> {
    const dropped = () =>
      stage.sql(`drop table if exists ${table} cascade`).then(
        () => true,
        () => false,
      )
    await expect.poll(dropped, { timeout: 30_000 }).toBe(true)
  }

  /** Until the server has looked at the table's present contents. */
  async function compared(table: string): Promise<void> {
    const look = `select shape -> $1 ->> ' file' = (select relfilenode::text from pg_class where oid = $1::regclass) as seen from sync.settings`
    await expect.poll(async () => (await stage.sql(look, [table]))[0]?.['seen'], { timeout: 60_000 }).toBe(true)
  }

  /** As the remedy says. */
  const firingAlways = 'alter table plans enable always trigger a_channel, enable always trigger b_touch'
  /** The server sets the others: those of capture rest, and the one that says who writes fires always. */
  async function othersAsBefore(): Promise<void> {
    const others = `select count(*)::integer as count from pg_trigger where tgrelid = 'plans'::regclass and (tgname ~ '^capture_' and tgenabled <> 'D' or tgname = 'tell_origin' and tgenabled <> 'A')`
    await expect.poll(() => stage.sql(others), { timeout: 60_000 }).toEqual([{ count: 0 }])
  }
  const startsOver = ({ code }: LogLine): boolean => code === 'capture_gap'

  test('gets more columns: nobody notices', async () => {
    await stage.sql(`alter table plans add column colour text, add column weight integer not null default 3`)
    await stage.sql(`update plans set colour = 'red', title = title || ', red'`)
    await stage.sql('alter table plans drop column colour, drop column weight')
    await wellAgain([])
    const told = stage.server.log.slice(since).map(({ code }) => code)
    expect(told).not.toContain('schema_mismatch')
    expect(told).not.toContain('capture_gap')
    expect(await readEpoch()).toBe(epoch)
  })

  test('loses a column and gets it back with a default: told, and all replicas start over and have that', async () => {
    const [ada] = clients
    await stage.sql('alter table plans drop column description')
    await told('plans.description is missing')
    const own = await ada.tasks.insert({ projectId: stage.projectId, title: 'Written meanwhile' })
    await stage.sql(`alter table plans add column description text default 'none'`)
    await stage.server.logged(startsOver, since)
    await wellAgain(['schema_mismatch'], 'another epoch begins')
    await own.$write.wait('synced')
    // The default is in no commit of its rows, and everybody has it all the same.
    for (const tide of clients) expect(await tide.plans.find({ where: { description: 'none' } })).not.toEqual([])
    expect(await readEpoch()).not.toBe(epoch)
  })

  test('has a column renamed and renamed back: told, and what was written meanwhile arrives', async () => {
    await stage.sql('alter table plans rename column description to about')
    await told('plans.description is missing')
    await stage.sql(`update plans set about = 'renamed'`)
    await stage.sql('alter table plans rename column about to description')
    await wellAgain(['schema_mismatch'])
    expect(await readEpoch()).toBe(epoch)
  })

  test('has a column of another type for a while: told, and what that did to its rows reaches everybody', async () => {
    await stage.sql('alter table plans alter column description type varchar(4) using left(description, 4)')
    await told('plans.description is of type character varying(4)')
    await stage.sql('alter table plans alter column description type text')
    await stage.server.logged(startsOver, since)
    await wellAgain(['schema_mismatch'], 'another epoch begins')
    expect(await readEpoch()).not.toBe(epoch)
  })

  test('has its rows rewritten by a change of type to the same: it reaches everybody', async () => {
    await stage.sql('alter table plans alter column description type text using upper(description)')
    await stage.server.logged(startsOver, since)
    await wellAgain([], 'another epoch begins')
    expect(await clients[0].plans.find({ where: { description: 'RENA' } })).not.toEqual([])
  })

  test('is compacted, also when a column was added with a default: nobody notices', async () => {
    const added = `select attname::text as name from pg_attribute where attrelid = 'tasks'::regclass and atthasmissing`
    expect(await stage.sql(added)).not.toEqual([])
    for (const table of ['plans', 'tasks']) {
      await stage.sql(`vacuum full ${table}`)
      await compared(table)
    }
    expect(await stage.sql(added)).toEqual([])
    await wellAgain([])
    expect(await readEpoch()).toBe(epoch)
  })

  test('has its triggers disabled while rows are changed: told, and the changes reach everybody', async () => {
    await stage.sql('alter table plans disable trigger all')
    await stage.sql(`update plans set description = 'without a version'`)
    await told('plans lacks its triggers, or they do not fire always: a_channel, b_touch')
    await stage.sql(`alter table plans enable trigger user`)
    await stage.sql(firingAlways)
    await stage.server.logged(startsOver, since)
    await wellAgain(['schema_mismatch'], 'another epoch begins')
    await othersAsBefore()
    expect(await readEpoch()).not.toBe(epoch)
  })

  test('has its triggers disabled, rows changed and the triggers enabled in one transaction: the changes reach everybody', async () => {
    await stage.sql(`update plans set description = 'with a version'`)
    await stage.expectEqual(clients)
    await stage.sql(
      `alter table plans disable trigger user; update plans set description = 'between two looks'; alter table plans enable trigger user; ${firingAlways}`,
    )
    await stage.server.logged(startsOver, since)
    await wellAgain([], 'another epoch begins')
    await othersAsBefore()
    expect(await readEpoch()).not.toBe(epoch)
  })

  test('is dropped and made again by hand: told until it is put back from a dump, as the remedy says', async () => {
    const [ada] = clients
    await stage.sql(
      `insert into task_dependencies (organization_id, project_id, task_id, depends_on_task_id)
       select organization_id, project_id, id, before from (select t.*, lag(t.id) over (order by t.id) as before from tasks t) b where before is not null limit 20`,
    )
    await stage.expectEqual(clients)
    const dump = cluster.program('pg_dump', '--inserts', '-t', 'public.task_dependencies', stage.url)
    await stage.sql('alter table task_dependencies rename to set_aside')
    await told('table task_dependencies is missing')
    const own = await ada.tasks.insert({ projectId: stage.projectId, title: 'While a table is missing' })
    since = stage.server.log.length
    await stage.sql('create table task_dependencies (like set_aside including all)')
    await drop('set_aside')
    await told('task_dependencies lacks its triggers')
    await drop('task_dependencies')
    // In a connection of its own: a dump changes its settings. Lines with a backslash are for psql.
    const restoring = new pg.Client({ connectionString: stage.url })
    await restoring.connect()
    await restoring.query(dump.replaceAll(/^\\.*$/gm, ''))
    await restoring.end()
    await stage.server.logged(startsOver, since)
    await wellAgain(['schema_mismatch'], 'the slot is taken anew', 'another epoch begins')
    await own.$write.wait('synced')
    const [first] = await stage.sql(
      'delete from task_dependencies where id = (select min(id::text)::uuid from task_dependencies) returning id',
    )
    expect(first).toBeDefined()
    await stage.expectEqual(clients)
    const [state] = await stage.sql<{ published: boolean; identified: boolean }>(
      `select published, identified from sync.captured_tables((select pubname::text from pg_publication)) where name = 'task_dependencies'`,
    )
    expect(state).toEqual({ published: true, identified: true })
  })
})
