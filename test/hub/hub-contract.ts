// The hub over a real database, from commit to frame, the same on both databases.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import { RangeSums } from '../../protocol/rows/verify.ts'
import type { Cursor } from '../../protocol/seq.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { createHub, type Hub, type HubSession } from '../../server/hub/hub.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedDevice, seedFixture, seedUser, type Fixture } from '../support/fixtures.ts'
import { untilWriter } from '../support/log-writer.ts'
import type { MakeSource } from './feed-contract.ts'
import { FrameLog } from './frame-log.ts'

interface Connected {
  readonly log: FrameLog
  readonly session: HubSession
  readonly ended: Promise<string>
}

const byTrigger: MakeSource = ({ database }) => createTriggerSource({ database, clock: systemClock, log: silentLog })

export function hubContract(kind: 'embedded' | 'postgres', makeSource = byTrigger): void {
  const catalog = loadCatalog()
  let db: TestDatabase
  let feed: SqlFeed
  let source: ChangeSource
  let hub: Hub
  let it: Fixture
  const open: HubSession[] = []

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    const { database } = db
    source = makeSource(db)
    feed = createSqlFeed({ database, source, catalog })
    hub = createHub({
      feed,
      source,
      catalog,
      clock: systemClock,
      log: silentLog,
      limits: { pageRows: 4, subscriptions: 12 },
    })
    await hub.start()
    await untilWriter(source)
  })
  beforeEach(async () => {
    it = await seedFixture(db.database.pool)
  })
  afterEach(() => {
    for (const session of open.splice(0)) session.close()
  })
  afterAll(async () => {
    await hub.stop()
    await feed.close()
    await db.close()
  })

  const pool = () => db.database.pool

  const device = (userId = it.memberId): Promise<DevicePrincipal> =>
    seedDevice(pool(), { organizationId: it.organizationId, kind: 'user', id: userId })

  async function connect(principal: DevicePrincipal, cursor: Cursor | null = null): Promise<Connected> {
    const log = new FrameLog((name) => catalog.synced.get(name)?.descriptor)
    const ended = Promise.withResolvers<string>()
    // What was committed before comes with the pages, and in no batch of its own.
    await source.head()
    const session = await hub.open({ principal, cursor, send: log.send, ended: (error) => ended.resolve(error.code) })
    open.push(session)
    return { log, session, ended: ended.promise }
  }

  function inProject(rest: Partial<Subscription> = {}): Subscription {
    return { id: 's', channel: `project/${it.projectId}`, tables: ['tasks'], embeddings: false, ...rest }
  }

  /** Pages, activates, and returns the ids of what was staged. */
  async function bootstrap(
    { session, log }: Connected,
    subscription: Subscription,
  ): Promise<{ readonly ids: string[]; readonly cursor: Cursor }> {
    await session.subscribe([{ ...subscription, held: false }])
    expect((await log.next('subscribed')).message.error).toBeUndefined()
    const ids: string[] = []
    let after: string | null = null
    let from: number | undefined
    do {
      await session.page(subscription.id, after)
      const { message, rows } = await log.next('page')
      from ??= message.from
      ids.push(...[...rows.values()].flat().map((row) => String(row['id'])))
      after = message.next
    } while (after !== null)
    session.activate(subscription.id, from)
    const { message } = await log.next('batch', ({ activated }) => activated.includes(subscription.id))
    return { ids, cursor: { epoch: session.epoch, seq: message.to as Cursor['seq'] } }
  }

  async function addTask(rest: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const id = newId()
    await insertRow(pool(), 'tasks', {
      id,
      organization_id: it.organizationId,
      project_id: it.projectId,
      title: 'T',
      ...rest,
    })
    return id
  }

  const rowIds = (rows: ReadonlyMap<string, readonly { readonly [key: string]: unknown }[]>, table = 'tasks') =>
    (rows.get(table) ?? []).map((row) => row['id'])

  test('a commit by plain SQL reaches a follower', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject())
    const id = await addTask({ title: 'by SQL' })
    const { rows } = await one.log.next('batch')
    expect(rows.get('tasks')).toMatchObject([{ id, title: 'by SQL', version: 1 }])
  })

  test('a bootstrap in small pages holds every row, and what is written meanwhile follows', async () => {
    const ids = await Promise.all(Array.from({ length: 9 }, () => addTask()))
    const one = await connect(await device())
    const found = await bootstrap(one, inProject())
    expect(found.ids.toSorted()).toEqual(ids.toSorted())
  })

  test('sessions with equal subscriptions get the very same bytes', async () => {
    const [a, b] = await Promise.all([connect(await device()), connect(await device(it.ownerId))])
    await Promise.all([bootstrap(a, inProject()), bootstrap(b, inProject({ id: 'other name' }))])
    await addTask()
    const [first, second] = await Promise.all([a.log.next('batch'), b.log.next('batch')])
    expect(second.frame).toBe(first.frame)
  })

  test('a row that leaves the filter is deleted, one that never matched is not mentioned', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject({ where: { tasks: { priority: 'high' } } }))
    const [low, high] = [await addTask({ priority: 'low' }), await addTask({ priority: 'high' })]
    expect(rowIds((await one.log.next('batch')).rows)).toEqual([high])
    await pool().query(`update tasks set priority = 'low' where id = $1`, [high])
    const { message } = await one.log.next('batch')
    expect(message.deletes).toEqual([{ table: 'tasks', ids: [high] }])
    expect(JSON.stringify(one.log.heard.map((heard) => heard.message))).not.toContain(low)
  })

  /** Deletes a task and puts one of the same id in its place, in one transaction. */
  async function replaceTask(id: string, title: string, priority = 'medium'): Promise<void> {
    await pool().query(`begin; delete from tasks where id = '${id}';
      insert into tasks (id, organization_id, project_id, title, priority)
      values ('${id}', '${it.organizationId}', '${it.projectId}', '${title}', '${priority}'); commit`)
  }

  test('a row that is deleted and put in anew in one transaction is told as it is now', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject())
    const id = await addTask({ title: 'first' })
    expect(rowIds((await one.log.next('batch')).rows)).toEqual([id])
    for (const title of ['second', 'third']) {
      await replaceTask(id, title)
      // Whatever came of it comes before this.
      const other = await addTask()
      const heard = [await one.log.next('batch')]
      while (!rowIds(heard.at(-1)?.rows ?? new Map()).includes(other)) heard.push(await one.log.next('batch'))
      const told = heard.flatMap(({ rows }) => rows.get('tasks') ?? []).filter((row) => row['id'] === id)
      expect(told).toMatchObject([{ title, version: 1 }])
    }
  })

  test('a row that is replaced in one transaction by one that the filter leaves out is taken away', async () => {
    const one = await connect(await device())
    const late = await device()
    await bootstrap(one, inProject({ where: { tasks: { priority: 'high' } } }))
    const id = await addTask({ priority: 'high' })
    expect(rowIds((await one.log.next('batch')).rows)).toEqual([id])
    const away = await connect(late)
    const { cursor } = await bootstrap(away, inProject({ where: { tasks: { priority: 'high' } } }))
    away.session.close()
    await replaceTask(id, 'other', 'low')
    const shown = await addTask({ priority: 'high' })
    // Live, and by the log for one who was away.
    const back = await connect(late, cursor)
    await back.session.subscribe([{ ...inProject({ where: { tasks: { priority: 'high' } } }), held: true }])
    for (const { log } of [one, back]) {
      const heard = [await log.next('batch')]
      while (!rowIds(heard.at(-1)?.rows ?? new Map()).includes(shown)) heard.push(await log.next('batch'))
      expect(heard.flatMap(({ message }) => message.deletes ?? [])).toEqual([{ table: 'tasks', ids: [id] }])
    }
  })

  test('a mobile device is shown what hangs under a plan while the plan is for mobiles, and what has none', async () => {
    const mine = { organization_id: it.organizationId, project_id: it.projectId }
    const [plan, phase, step] = [newId(), newId(), newId()]
    await insertRow(pool(), 'plans', { id: plan, ...mine, title: 'P' })
    await insertRow(pool(), 'phases', { id: phase, ...mine, plan_id: plan, title: 'F' })
    await insertRow(pool(), 'macro_steps', { id: step, ...mine, phase_id: phase, title: 'M' })
    const tasks = [await addTask({ plan_id: plan }), await addTask({ macro_step_id: step })]
    const under = [plan, phase, step, ...tasks, await addTask({ parent_task_id: tasks[1] })].toSorted()
    const free = await addTask()
    const followed = inProject({ tables: ['plans', 'phases', 'macro_steps', 'tasks'] })
    const phone = { ...(await device()), formFactor: 'mobile' } as const
    const one = await connect(phone)
    const { ids, cursor } = await bootstrap(one, followed)
    expect(ids).toEqual([free])
    const turn = (on: boolean) => pool().query('update plans set mobile_sync_enabled = $2 where id = $1', [plan, on])
    const idsOf = (rows: ReadonlyMap<string, readonly { readonly [key: string]: unknown }[]>) =>
      [...rows.values()].flatMap((list) => list.map((row) => String(row['id']))).toSorted()
    await turn(true)
    // A step may tell again of what the load has shown.
    expect(idsOf((await one.log.next('batch')).rows).filter((id) => id !== free)).toEqual(under)
    one.session.close()
    await turn(false)
    const again = await connect(phone, cursor)
    await again.session.subscribe([{ ...followed, where: { plans: { mobileSyncEnabled: false } }, held: true }])
    const { message, rows } = await again.log.next('batch')
    expect(idsOf(rows)).toEqual([])
    expect(message.deletes.flatMap((gone) => gone.ids).toSorted()).toEqual(under)
    await again.session.verify('s', 1)
    const [counted] = (await again.log.next('verified')).message.tables.filter(({ table }) => table === 'plans')
    expect((counted?.ranges ?? []).every(({ count }) => count === 0)).toBe(true)
  })

  test('a session has so many subscriptions and no more', async () => {
    const { session, log } = await connect(await device())
    const many = Array.from({ length: 13 }, (_, index) => ({ ...inProject({ id: `s${index}` }), held: false }))
    await session.subscribe(many)
    const codes: (string | undefined)[] = []
    for (const _ of many) codes.push((await log.next('subscribed')).message.error?.code)
    expect(codes).toEqual([...Array.from({ length: 12 }, () => undefined), 'subscription_limit'])
  })

  test('a replica goes on from its cursor', async () => {
    const principal = await device()
    const one = await connect(principal)
    const { cursor } = await bootstrap(one, inProject())
    one.session.close()
    const id = await addTask()
    const again = await connect(principal, cursor)
    expect(again.session.resume).toBe(true)
    await again.session.subscribe([{ ...inProject(), held: true }])
    expect(rowIds((await again.log.next('batch')).rows)).toEqual([id])
  })

  test('cursors of another epoch, or ahead of the log, are not continued', async () => {
    const principal = await device()
    const { cursor } = await bootstrap(await connect(principal), inProject())
    expect((await connect(principal, { ...cursor, epoch: 'another' })).session.resume).toBe(false)
    const ahead = await connect(principal, { ...cursor, seq: (cursor.seq + 1e6) as Cursor['seq'] })
    expect(ahead.session.resume).toBe(false)
    await ahead.session.subscribe([{ ...inProject(), held: true }])
    expect((await ahead.log.next('subscribed')).message.error?.code).toBe('cursor_ahead')
  })

  test('after a start of Postgres sessions come back, and go on from cursors that are not beyond its end', async () => {
    const principal = await device()
    const one = await connect(principal)
    const { cursor } = await bootstrap(one, inProject())
    await pool().query(`update sync.settings set started = started - interval '1 second'`)
    await pool().query('select sync.ensure_epoch()')
    const id = await addTask()
    expect(await one.ended).toBe('closed')
    const again = await connect(principal, cursor)
    expect(again.session).toMatchObject({ resume: true })
    expect(again.session.epoch).not.toBe(cursor.epoch)
    await again.session.subscribe([{ ...inProject(), held: true }])
    const { message, rows } = await again.log.next('batch')
    expect(rowIds(rows)).toEqual([id])
    // As a replica of the same epoch that went on in a copy of this database would say.
    const elsewhere = { ...cursor, seq: message.to as Cursor['seq'] }
    expect((await connect(principal, elsewhere)).session.resume).toBe(false)
    // An epoch that was minted for a gap goes on from nothing.
    await pool().query('update sync_heads set epoch = gen_random_uuid()::text')
    await addTask()
    expect(await again.ended).toBe('cursor_ahead')
    expect((await connect(principal, cursor)).session.resume).toBe(false)
  })

  test('the origin device is told that its write is settled, others are not', async () => {
    const [mine, other] = [await device(), await device()]
    const [one, two] = [await connect(mine), await connect(other)]
    await Promise.all([bootstrap(one, inProject()), bootstrap(two, inProject())])
    const mutation = newId()
    await pool().query('select sync.mark($1, $2, $3)', [mutation, mine.deviceId, it.organizationId])
    await addTask()
    expect((await one.log.next('batch', ({ settled }) => settled.length > 0)).message.settled).toEqual([mutation])
    await two.log.next('batch')
    expect(two.log.heard.flatMap(({ message }) => (message.type === 'batch' ? message.settled : []))).toEqual([])
  })

  test('a sign of life comes through to everyone who is up to date', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject())
    const joined = await one.log.next('frontier')
    expect(hub.stats().lastCanaryAt).toBeNull()
    await pool().query('select sync.mark_canary()')
    hub.wake()
    expect((await one.log.next('frontier')).message.seq).toBeGreaterThan(joined.message.seq)
    expect(hub.stats().lastCanaryAt).not.toBeNull()
  })

  test('counts and hashes come with the batch they are true for', async () => {
    const one = await connect(await device())
    const { ids } = await bootstrap(one, inProject())
    const id = await addTask()
    await one.session.verify('s', 7)
    const { message } = await one.log.next('verified')
    const sums = new RangeSums()
    for (const known of [...ids, id]) sums.add(known, 1)
    expect(message).toMatchObject({ ref: 7, tables: [{ table: 'tasks', ranges: sums.toRanges() }] })
    expect(one.log.heard.findLast((heard) => heard.message.type === 'batch')?.message).toMatchObject({ to: message.to })
  })

  test('a subscription is counted once for all who ask meanwhile, and not for too many', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject())
    const asked = Array.from({ length: 40 }, (_, ref) => one.session.verify('s', ref))
    const ends = await Promise.allSettled(asked)
    const refused = ends.filter((end) => end.status === 'rejected')
    expect(refused.map(({ reason }) => (reason as { code: string }).code)).toEqual(Array(24).fill('rate_limited'))
    const answers = [await one.log.next('verified')]
    while (answers.length < 16) answers.push(await one.log.next('verified'))
    expect(new Set(answers.map(({ message }) => message.ref)).size).toBe(16)
    expect(new Set(answers.map(({ message }) => message.to)).size).toBe(1)
    // What has been answered makes room.
    await one.session.verify('s', 99)
    expect((await one.log.next('verified')).message.ref).toBe(99)
  })

  test('a project that becomes private is taken from those outside, in one batch', async () => {
    const outsider = await connect(await device(await seedUser(pool(), it.organizationId, 'member')))
    await bootstrap(outsider, inProject())
    await pool().query(`update projects set visibility = 'private' where id = $1`, [it.projectId])
    const { message } = await outsider.log.next('batch')
    expect(message.leaves).toEqual([{ channel: `project/${it.projectId}`, revoked: true }])
    await addTask()
    expect(outsider.session.follows(`project/${it.projectId}`)).toBe(false)
    await expect(outsider.session.page('s', null)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a suspended member loses everything at once, and the session ends', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject())
    await pool().query(`update organization_members set status = 'suspended' where user_id = $1`, [it.memberId])
    expect((await one.log.next('batch')).message.leaves).toEqual([
      { channel: `project/${it.projectId}`, revoked: true },
    ])
    expect(await one.ended).toBe('token_invalid')
    await expect(connect(await device())).rejects.toMatchObject({ code: 'token_invalid' })
  })

  test('a revoked device ends, other devices of the same user go on', async () => {
    const [lost, kept] = [await device(), await device()]
    const [one, two] = [await connect(lost), await connect(kept)]
    await Promise.all([bootstrap(one, inProject()), bootstrap(two, inProject())])
    await pool().query('update devices set revoked_at = now() where id = $1', [lost.deviceId])
    expect(await one.ended).toBe('device_revoked')
    const id = await addTask()
    expect(rowIds((await two.log.next('batch')).rows)).toEqual([id])
  })

  test('a channel that may not be followed is refused, and so are unknown tables and bad filters', async () => {
    const { session, log } = await connect(await device())
    const other = await seedFixture(pool())
    const refused = [
      inProject({ channel: `project/${other.projectId}` }),
      inProject({ channel: `user/${it.ownerId}` }),
      inProject({ tables: ['user_credentials'] }),
      inProject({ where: { tasks: { nonsense: 1 } } }),
    ]
    await session.subscribe(refused.map((subscription, index) => ({ ...subscription, id: `s${index}`, held: false })))
    const codes = []
    for (const _ of refused) codes.push((await log.next('subscribed')).message.error?.code)
    expect(codes).toEqual(['forbidden', 'forbidden', 'unknown_table', 'bad_filter'])
  })

  test('a participant gets the conversation live, and loses it when removed', async () => {
    const conversation = newId()
    const mine = { organization_id: it.organizationId, conversation_id: conversation }
    await insertRow(pool(), 'conversations', {
      id: conversation,
      organization_id: it.organizationId,
      scope: 'user',
      user_id: it.ownerId,
      title: 'C',
    })
    const message = newId()
    await insertRow(pool(), 'messages', { id: message, ...mine, role: 'user', content: 'hello' })
    const one = await connect(await device())
    await bootstrap(one, { id: 'own', channel: `user/${it.memberId}`, embeddings: false })
    const participant = newId()
    await insertRow(pool(), 'conversation_participants', { id: participant, ...mine, user_id: it.memberId })
    const opened = await one.log.next('batch')
    expect(rowIds(opened.rows, 'messages')).toEqual([message])
    expect(rowIds(opened.rows, 'conversations')).toEqual([conversation])
    await pool().query('update conversation_participants set deleted_at = now() where id = $1', [participant])
    const closed = await one.log.next('batch')
    expect(closed.message.leaves).toEqual([{ channel: `conversation/${conversation}`, revoked: false }])
    expect(closed.message.deletes).toContainEqual({ table: 'conversations', ids: [conversation] })
  })

  test('who loads a channel is told again what changed under a row that left it meanwhile', async () => {
    const [conversation, changed, gone] = [newId(), newId(), newId()]
    const ours = { organization_id: it.organizationId }
    const title = { title: 'C', scope: 'project', project_id: it.projectId }
    await insertRow(pool(), 'conversations', { id: conversation, ...ours, ...title })
    const there = { ...ours, conversation_id: conversation }
    await insertRow(pool(), 'conversation_participants', { id: changed, ...there, user_id: it.ownerId })
    await insertRow(pool(), 'conversation_participants', { id: gone, ...there, user_id: it.memberId })
    const one = await connect(await device())
    const { session, log } = one
    const tables = ['conversations', 'conversation_participants']
    await bootstrap(one, { id: 'all', channel: `organization/${it.organizationId}`, tables, embeddings: false })
    await session.subscribe([inProject({ tables })].map((subscription) => ({ ...subscription, held: false })))
    await session.page('s', null)
    const { message: page, rows } = await log.next('page')
    expect(new Set(rowIds(rows, 'conversation_participants'))).toEqual(new Set([changed, gone]))
    for (const [text, id] of [
      [`update conversations set scope = 'organization' where id = $1`, conversation],
      ['update conversation_participants set is_muted = true where id = $1', changed],
      ['delete from conversation_participants where id = $1', gone],
    ] as const) {
      await pool().query(text, [id])
      session.ack((await log.next('batch')).message.to)
    }
    session.activate('s', page.from)
    const loaded = await log.next('batch', ({ activated }) => activated.includes('s'))
    const { rows: told, message } = loaded
    expect(told.get('conversation_participants')).toEqual([expect.objectContaining({ id: changed, isMuted: true })])
    expect(message.deletes).toContainEqual({ table: 'conversation_participants', ids: [gone] })
  })

  test.each([
    ['its owner', 'is given to another', `update projects set owner_user_id = null where id = $1`],
    ['its owner', 'is open to the team', `update projects set visibility = 'team', team_id = $2 where id = $1`],
    ['a member', 'is open to the team', `update projects set visibility = 'team', team_id = $2 where id = $1`],
    ['its owner', 'is removed for good', `delete from projects where id = $1`],
    ['a member', 'is removed for good', `delete from projects where id = $1`],
  ])('%s no longer finds a private project that %s', async (who, _, statement) => {
    const [project, team] = [newId(), newId()]
    const mine = { organization_id: it.organizationId }
    await insertRow(pool(), 'teams', { id: team, ...mine, name: 'T', slug: `t-${team}` })
    await insertRow(pool(), 'projects', {
      id: project,
      ...mine,
      name: 'P',
      slug: `p-${project}`,
      visibility: 'private',
      owner_user_id: who === 'its owner' ? it.memberId : null,
    })
    if (who === 'a member')
      await insertRow(pool(), 'project_members', {
        id: uuidFromKey('project_members', [project, it.memberId, null, null]),
        ...mine,
        project_id: project,
        user_id: it.memberId,
      })
    const one = await connect(await device())
    const { ids, cursor } = await bootstrap(one, { id: 'own', channel: `user/${it.memberId}`, embeddings: false })
    expect(ids).toContain(project)
    const values = statement.includes('$2') ? [project, team] : [project]
    await pool().query(statement, values)
    const { message } = await one.log.next('batch', ({ deletes }) => deletes.length > 0)
    expect(message.deletes).toContainEqual({ table: 'projects', ids: [project] })

    // The same for a device that was away.
    const two = await connect(await device(), cursor)
    await two.session.subscribe([{ id: 'own', channel: `user/${it.memberId}`, embeddings: false, held: true }])
    const caught = await two.log.next('batch', ({ deletes }) => deletes.length > 0)
    expect(caught.message.deletes).toContainEqual({ table: 'projects', ids: [project] })
  })

  test('a member finds its membership in its own channel, with the project, and each change of it', async () => {
    const [project, membership] = [newId(), newId()]
    const mine = { organization_id: it.organizationId }
    await insertRow(pool(), 'projects', {
      id: project,
      ...mine,
      name: 'P',
      slug: `p-${project}`,
      visibility: 'private',
    })
    const other = { ...mine, project_id: project, user_id: it.viewerId }
    await insertRow(pool(), 'project_members', { id: newId(), ...other })
    const one = await connect(await device())
    const { ids } = await bootstrap(one, { id: 'own', channel: `user/${it.memberId}`, embeddings: false })
    expect(ids).not.toContain(project)
    await insertRow(pool(), 'project_members', { ...other, id: membership, user_id: it.memberId })
    const joined = await one.log.next('batch', (_, { rows }) => rows.has('projects'))
    expect(rowIds(joined.rows, 'projects')).toEqual([project])
    expect(rowIds(joined.rows, 'project_members')).toEqual([membership])
    await pool().query(`update project_members set role = 'viewer' where id = $1`, [membership])
    expect((await one.log.next('batch')).rows.get('project_members')).toMatchObject([{ role: 'viewer' }])
    await pool().query('update project_members set deleted_at = now() where id = $1', [membership])
    const { message } = await one.log.next('batch', ({ deletes }) => deletes.length > 0)
    expect(message.deletes).toEqual(
      expect.arrayContaining([
        { table: 'projects', ids: [project] },
        { table: 'project_members', ids: [membership] },
      ]),
    )
    expect(message.leaves).toEqual([])
  })

  test('a transaction over several tables is one batch', async () => {
    const one = await connect(await device())
    await bootstrap(one, inProject({ tables: ['tasks', 'phases'] }))
    const mine = { organization_id: it.organizationId, project_id: it.projectId }
    const client = await pool().connect()
    try {
      await client.query('begin')
      await insertRow(client, 'tasks', { id: newId(), ...mine, title: 'T' })
      await insertRow(client, 'phases', { id: newId(), ...mine, title: 'P' })
      await client.query('commit')
    } finally {
      client.release()
    }
    const { rows } = await one.log.next('batch')
    expect([...rows.keys()].toSorted()).toEqual(['phases', 'tasks'])
  })
}
