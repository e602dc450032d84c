// Whatever right ends, by whichever server or by SQL, ends on all of three servers, and nothing that is committed after
// it is told to whoever had it: with Redis, without, while the log changes its writer, and by servers that stood still
// meanwhile, nor is done there what they asked for.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId, seedFixture, type Fixture } from '../support/fixtures.ts'
import { helloOf, RawClient } from '../support/raw-client.ts'
import type { ServerProcess } from '../support/server-process.ts'
import { canRun, redisIs, startCluster, writerOf, type Cluster } from './cluster.ts'
import { hasRedis, startRedis, type RedisProcess } from './redis-process.ts'
import { allRevocations, type Effect, type Holder, type Revocation } from './revocations.ts'

/** What happens to a server before the rights end, and after. */
interface Trouble {
  readonly name: string
  readonly begin?: (server: ServerProcess) => Promise<unknown>
  readonly end?: (server: ServerProcess) => Promise<unknown>
  /** For those that come after it too. */
  readonly stopsRedis?: boolean
  readonly to?: 'writer' | 'follower'
  /** Its connections are gone with it. */
  readonly isKilled?: boolean
  /** What is sent to it meanwhile waits in its sockets until it wakes up. */
  readonly standsStill?: boolean
}

const standingStill = {
  begin: async (server: ServerProcess) => server.signal('SIGSTOP'),
  end: async (server: ServerProcess) => server.signal('SIGCONT'),
  standsStill: true,
}
const troubles: readonly Trouble[] = [
  { name: 'with Redis' },
  { name: 'with Redis and a follower that stands still meanwhile', to: 'follower', ...standingStill },
  {
    name: 'with Redis, while the writer of the log is gone and before there is another one',
    to: 'writer',
    begin: (server) => server.crash(),
    end: (server) => server.restart(),
    isKilled: true,
  },
  { name: 'without Redis', stopsRedis: true },
  { name: 'without Redis and with a writer that stands still meanwhile', to: 'writer', ...standingStill },
]

interface Session extends Revocation {
  readonly holder: Holder
  readonly server: ServerProcess
  readonly client: RawClient
  /** What it writes is called so. */
  readonly title: string
}

describe.skipIf(!canRun || !hasRedis)('what ends on one of three servers', () => {
  let redis: RedisProcess
  let cluster: Cluster
  let fixture: Fixture
  let revocations: readonly Revocation[]

  beforeAll(async () => {
    redis = await startRedis()
    cluster = await startCluster({ servers: 3, capture: 'wal', redis })
    fixture = await seedFixture(cluster.pool)
    const secret = cluster.servers[0]?.env['AUTH_SECRET'] ?? ''
    revocations = await allRevocations({ pool: cluster.pool, fixture, secret })
    await redisIs(cluster, true)
  }, 240_000)
  afterAll(async () => {
    await cluster?.close()
    await redis?.kill()
  }, 120_000)

  /** One who follows the tasks of a project live. */
  async function follow({ url }: ServerProcess, { token, projectId }: Omit<Holder, 'end'>): Promise<RawClient> {
    const { client } = await RawClient.greeted(url, token)
    const followed = { id: 's', channel: `project/${projectId}`, tables: ['tasks'], embeddings: false, held: false }
    client.send({ type: 'subscribe', subscriptions: [followed] })
    client.send({ type: 'page', subscription: 's', after: null })
    const { from } = await client.next('page')
    client.send({ type: 'activate', subscription: 's', from })
    await client.next('batch', ({ activated }) => activated.includes('s'))
    return client
  }

  async function addTasks(title: string, projects: readonly string[]): Promise<void> {
    await cluster.pool.query(
      'insert into tasks (organization_id, project_id, title) select organization_id, id, $2 from projects where id = any($1)',
      [projects, title],
    )
  }

  function write({ client, title }: Pick<Session, 'client' | 'title'>, projectId: string): void {
    const task = { id: newId(), clientSeq: 1, table: 'tasks', rowId: newId(), op: 'insert' as const, at: 0 }
    client.send({ type: 'push', mutations: [{ ...task, set: { projectId, title } }] })
  }

  /** All that a client may ask of a server, at once. */
  function askForAll(session: Pick<Session, 'client' | 'title'>, projectId: string): void {
    const { client, title } = session
    write(session, projectId)
    client.send({ type: 'search', ref: 1, table: 'tasks', text: 'redis', where: { projectId }, limit: 100 })
    client.send({ type: 'call', ref: 2, id: newId(), action: 'tokens.issue', input: { name: title } })
  }

  /** Who has written a task, and who was given a token. */
  async function done(titles: readonly string[]): Promise<Record<'wrote' | 'issued', readonly string[]>> {
    const { rows: tasks } = await cluster.pool.query<{ title: string }>(
      'select title from tasks where title = any($1)',
      [titles],
    )
    const { rows: tokens } = await cluster.pool.query<{ name: string }>(
      'select name from access_tokens where name = any($1)',
      [titles],
    )
    return { wrote: tasks.map(({ title }) => title), issued: tokens.map(({ name }) => name) }
  }

  /** Waits for it. */
  async function expectEffect(client: RawClient, effect: Effect): Promise<void> {
    if (effect === 'leaves') {
      const { leaves } = await client.next('batch', (batch) => batch.leaves.length > 0)
      expect(leaves).toMatchObject([{ revoked: true }])
    } else if (effect === 'writes refused') {
      const { outcomes } = await client.next('outcomes')
      expect(outcomes).toMatchObject([{ kind: 'rejected', error: { code: 'forbidden' } }])
    } else {
      expect((await client.next('error', ({ fatal }) => fatal)).error.code).toBe(effect.code)
      await client.closed
    }
  }

  async function expectRefusal({ url }: ServerProcess, token: string): Promise<void> {
    const client = await RawClient.connect(url)
    client.send(helloOf(token))
    expect(await client.next('error')).toMatchObject({ fatal: true })
  }

  test.for(troubles)('$name, is over on all of them', { timeout: 240_000 }, async (trouble) => {
    if (trouble.stopsRedis) {
      await redis.kill()
      await redisIs(cluster, false)
    }
    const writer = await writerOf(cluster.servers)
    const followers = cluster.servers.filter((server) => server !== writer)
    const [follower = writer] = followers
    const troubled = trouble.to === undefined ? undefined : trouble.to === 'writer' ? writer : follower
    const well = cluster.servers.find((server) => server !== troubled)
    const owner = { token: await ownersToken(), projectId: fixture.projectId }
    const controls = await Promise.all(cluster.servers.map((server) => follow(server, owner)))
    const sessions: readonly Session[] = (
      await Promise.all(
        revocations.map(async (revocation) => {
          const holder = await revocation.hold()
          const at = async (server: ServerProcess): Promise<Session> =>
            ({ ...revocation, holder, server, client: await follow(server, holder), title: newId() }) as const
          return Promise.all(cluster.servers.map(at))
        }),
      )
    ).flat()
    const holders = new Set(sessions.map(({ holder }) => holder))
    const projects = [...new Set(sessions.map(({ holder }) => holder.projectId))]
    const [before, after] = [`before it, ${trouble.name}`, `after it, ${trouble.name}`]
    await addTasks(before, projects)
    await Promise.all(sessions.map(({ client }) => client.sees(before)))

    const late = trouble.standsStill ? sessions.filter(({ server }) => server === troubled) : []
    const lateControls = controls.flatMap((client, index) =>
      trouble.standsStill && cluster.servers[index] === troubled ? [{ client, title: newId() }] : [],
    )

    if (troubled) await trouble.begin?.(troubled)
    try {
      await Promise.all([...holders].map((holder) => holder.end(well?.url ?? '')))
      await addTasks(after, projects)
      // Where the writer of the log is the one in trouble, another one has taken its place by then.
      await Promise.all(
        controls.filter((_, index) => cluster.servers[index] !== troubled).map((one) => one.sees(after)),
      )
      for (const session of late) askForAll(session, session.holder.projectId)
      for (const control of lateControls) askForAll(control, fixture.projectId)
    } finally {
      if (troubled) await trouble.end?.(troubled)
    }

    const connected = sessions.filter(({ server }) => !trouble.isKilled || server !== troubled)
    const told = await Promise.all(
      connected.map(async (session) => {
        const { name, effect, holder, client, server } = session
        const isLate = late.includes(session)
        if (effect === 'writes refused' && !isLate) write(session, holder.projectId)
        await expectEffect(client, effect)
        // It is still connected, and has an answer.
        if (effect === 'leaves' && isLate) await client.next('found')
        const saw = effect !== 'writes refused' && client.saw(after)
        return saw ? [`${name}, at server ${cluster.servers.indexOf(server)}`] : []
      }),
    )
    await Promise.all(
      cluster.servers.map(async (server, index) => {
        if (!trouble.isKilled || server !== troubled) await controls[index]?.sees(after)
      }),
    )
    expect(told.flat()).toEqual([])
    const { wrote, issued } = await done(late.map(({ title }) => title))
    // Losing a project takes no right to make tokens.
    const issuers = late.flatMap(({ effect, title }) => (typeof effect === 'string' ? [title] : []))
    const named = (titles: readonly string[]): readonly string[] =>
      late.filter(({ title }) => titles.includes(title)).map(({ name }) => name)
    expect({ wrote: named(wrote), issued: named(issued) }).toEqual({ wrote: [], issued: named(issuers) })
    for (const { client, title } of lateControls) {
      expect((await client.next('found')).hits.length).toBeGreaterThan(0)
      await client.next('called')
      expect(await done([title])).toEqual({ wrote: [title], issued: [title] })
    }
    // A token outlives the device that it came from; all else is refused where it comes back.
    for (const { effect, holder, server } of sessions)
      if (server === troubled && typeof effect === 'object' && effect.code !== 'device_revoked')
        await expectRefusal(server, holder.token)
    for (const client of [...controls, ...sessions.map((session) => session.client)]) client.close()
  })

  async function ownersToken(): Promise<string> {
    const { rows } = await cluster.pool.query<{ email: string }>('select email from users where id = $1', [
      fixture.ownerId,
    ])
    return cluster.tokenOf(rows[0]?.email ?? '')
  }
})
