import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { createAuth } from '../../server/auth/auth.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { createActions, defineAction, shippedActions } from '../../server/actions/actions.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createCipher, createCredentials } from '../../server/credentials/credentials.ts'
import { createActionWorld, newId, type ActionWorld } from './world.ts'

/** Adds a task and then, when asked to, refuses. */
const addTask = defineAction({
  name: 'test.addTask',
  input: z.strictObject({ projectId: z.uuid(), title: z.string(), refuse: z.boolean().default(false) }),
  async run({ query, principal }, { projectId, title, refuse }) {
    const [task] = await query<{ readonly id: string }>({
      text: 'insert into tasks (organization_id, project_id, title) values ($1, $2, $3) returning id',
      values: [principal.organizationId, projectId, title],
    })
    if (refuse) throw new TideError('forbidden', 'Not this one.')
    return { id: task?.id ?? null }
  },
})

let world: ActionWorld
beforeAll(async () => {
  world = await createActionWorld(undefined, [addTask])
})
afterAll(() => world.close())

const titled = (title: string) => world.query('select id from tasks where title = $1', [title])

describe('a call', () => {
  test('does what the action does, in the name of the caller', async () => {
    const input = { projectId: world.fixture.projectId, title: 'once' }
    const answer = await world.call(world.owner, 'test.addTask', input)
    expect(await titled('once')).toEqual([answer])
    const [change] = await world.query(
      `select origin_device_id, actor_user_id from sync_changes where table_name = 'tasks' and row_id = $1`,
      [(answer as { id: string }).id],
    )
    expect(change).toEqual({ origin_device_id: world.owner.deviceId, actor_user_id: world.owner.id })
  })

  test('that is repeated is answered and not done again', async () => {
    const id = newId()
    const input = { projectId: world.fixture.projectId, title: 'repeated' }
    const answers = await Promise.all([1, 2, 3].map(() => world.call(world.owner, 'test.addTask', input, id)))
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(await titled('repeated')).toHaveLength(1)
  })

  test('under an id of another call, or of another device, is refused', async () => {
    const id = newId()
    const input = { projectId: world.fixture.projectId, title: 'mine' }
    await world.call(world.owner, 'test.addTask', input, id)
    await expect(world.call(world.owner, 'test.addTask', { ...input, title: 'other' }, id)).rejects.toMatchObject({
      code: 'bad_message',
    })
    await expect(world.call(world.agent, 'test.addTask', input, id)).rejects.toMatchObject({ code: 'bad_message' })
    expect(await titled('other')).toEqual([])
  })

  test('that is refused changes nothing and may be made again', async () => {
    const id = newId()
    const input = { projectId: world.fixture.projectId, title: 'refused', refuse: true }
    for (let n = 0; n < 2; n++)
      await expect(world.call(world.owner, 'test.addTask', input, id)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await titled('refused')).toEqual([])
  })

  test('with wrong input names the field', async () => {
    await expect(
      world.call(world.owner, 'test.addTask', { projectId: 'x', title: 7, more: true }),
    ).rejects.toMatchObject({
      code: 'bad_message',
      message: expect.stringMatching(/test\.addTask[^]*more[^]*projectId[^]*title/),
    })
  })

  test.each(['\u0000', '\ud800'])(
    'with text that has %j, which PostgreSQL cannot store, names the field',
    async (character) => {
      await expect(
        world.call(world.owner, 'test.addTask', { projectId: world.fixture.projectId, title: `a${character}` }),
      ).rejects.toMatchObject({ code: 'bad_message', message: expect.stringContaining('the text at title has U+0000') })
    },
  )

  test('of an unknown action lists the known ones', async () => {
    await expect(world.call(world.owner, 'tasks.clam', {})).rejects.toMatchObject({
      code: 'not_found',
      remedy: expect.stringContaining('tasks.claim'),
    })
  })

  test('of a revoked device is refused', async () => {
    const device = await world.device('user', world.fixture.memberId)
    await world.query('update devices set revoked_at = now() where id = $1', [device.deviceId])
    await expect(world.call(device, 'test.addTask', { projectId: newId(), title: 'x' })).rejects.toMatchObject({
      code: 'device_revoked',
    })
  })
})

test('a project is closed with a reason and its archive, once', async () => {
  const { id: projectId } = await world.add('projects', { name: 'Over', slug: 'over' })
  await world.addTask({ project_id: projectId })
  const input = {
    projectId,
    kind: 'archived',
    reason: 'done',
    archivePath: 's3://a/over.tgz',
    archiveSha256: 'ab'.repeat(32),
  }
  await expect(world.call(world.agent, 'projects.close', input)).rejects.toMatchObject({
    code: expect.stringMatching(/forbidden|not_found/) as string,
  })
  const answer = await world.call(world.owner, 'projects.close', input)
  expect(answer).toMatchObject({
    project: { status: 'archived' },
    closure: { reason: 'done', archivePath: 's3://a/over.tgz' },
  })
  expect(await world.call(world.owner, 'projects.close', { ...input, reason: 'again' })).toEqual(answer)
  const tasks = await world.query('select status from tasks where project_id = $1', [projectId])
  expect(tasks).toEqual([{ status: 'cancelled' }])
  expect(
    await world.query(
      `select reason, encode(archive_sha256, 'hex') as sha from project_closures where project_id = $1`,
      [projectId],
    ),
  ).toEqual([{ reason: 'done', sha: 'ab'.repeat(32) }])
})

test('an action reads the secrets of its organization in its own transaction, and a limit holds there', async () => {
  const credentials = createCredentials({
    pool: world.pool,
    cipher: createCipher([{ id: 'k1', key: systemRandom.bytes(32) }], systemRandom),
    clock: systemClock,
    random: systemRandom,
  })
  const organizationId = world.fixture.organizationId
  const name = { organizationId, provider: 'openrouter', kind: 'api_key', label: 'default' } as const
  const id = await credentials.store({ ...name, userId: null }, { secret: 'shared' })
  await credentials.store({ ...name, userId: world.fixture.ownerId }, { secret: 'own' })
  const ask = defineAction({
    name: 'test.ask',
    input: z.strictObject({ own: z.boolean() }),
    async run(context, { own }) {
      const { secret } = await context.credential({ provider: 'openrouter', own })
      // The rest of the action is a writer's again.
      const [now] = await context.query<{ role: string }>({ text: 'select current_user::text as role' })
      return { is: secret, as: now?.role ?? null }
    },
  })
  const actions = createActions({
    pool: world.pool,
    catalog: loadCatalog(),
    clock: systemClock,
    random: systemRandom,
    actions: [ask],
    readCredential: (client, wanted) => credentials.within(client).read(wanted),
  })
  const asked = (own: boolean, who = world.owner) =>
    actions.call(who, { id: newId(), action: 'test.ask', input: { own } })
  expect(await asked(false)).toEqual({ is: 'shared', as: 'app_rw' })
  expect(await asked(true)).toEqual({ is: 'own', as: 'app_rw' })
  await expect(asked(true, world.agent)).rejects.toMatchObject({ code: 'not_found' })
  await credentials.limit(organizationId, id, 0)
  await expect(asked(false)).rejects.toMatchObject({ code: 'spend_limit_reached' })
  await expect
    .poll(() => world.query(`select outcome from audit_logs where row_id = $1 and outcome = 'denied'`, [id]))
    .toHaveLength(1)
})

test('two actions of one name are refused at the start', () => {
  const options = { pool: world.pool, catalog: loadCatalog(), clock: systemClock, random: systemRandom }
  expect(() => createActions({ ...options, actions: [...shippedActions, ...shippedActions] })).toThrow(/same name/)
})

describe('access tokens and devices', () => {
  interface Issued {
    readonly tokenId: string
    readonly token: string
  }
  const issue = async (who = world.owner, input: Record<string, Json> = {}, id = newId()): Promise<Issued> =>
    (await world.call(who, 'tokens.issue', { name: 'CI', ...input }, id)) as unknown as Issued
  const tokensOf = async (who: DevicePrincipal): Promise<readonly string[]> => {
    const { tokens } = (await world.call(who, 'tokens.list', {})) as unknown as { tokens: readonly Issued[] }
    return tokens.map(({ tokenId }) => tokenId)
  }
  const auth = () =>
    createAuth({
      pool: world.pool,
      clock: systemClock,
      random: systemRandom,
      key: { kind: 'secret', bytes: systemRandom.bytes(32) },
    })
  const audited = (id: string) =>
    world.query(
      `select action, actor_user_id, coalesce(after->>'revoked_at', '') <> '' as revoked from audit_logs where row_id = $1 order by id`,
      [id],
    )

  test('are issued once in words, hashed in the database, and noted', async () => {
    const id = newId()
    const made = await issue(world.owner, { scopes: ['read', 'tasks.claim'], expiresInHours: 2 }, id)
    await expect(auth().authenticate(made.token)).resolves.toMatchObject({
      id: world.owner.id,
      scopes: ['read', 'tasks.claim'],
    })
    expect(await issue(world.owner, { scopes: ['read', 'tasks.claim'], expiresInHours: 2 }, id)).toEqual({
      ...made,
      token: null,
    })
    const kept = await world.query(
      `select answer::text as text from sync.calls where id = $2
       union all select row_to_json(t)::text from access_tokens t where id = $1
       union all select (before || after)::text from audit_logs where row_id = $1`,
      [made.tokenId, id],
    )
    expect(JSON.stringify(kept)).not.toContain(made.token.split('_')[2])
    expect(await audited(made.tokenId)).toEqual([{ action: 'insert', actor_user_id: world.owner.id, revoked: false }])
  })

  test('are of the caller or of an agent which the caller may act as, with scopes that mean something', async () => {
    const { agentId } = world.fixture
    const ofAgent = await issue(world.owner, { agentId })
    await expect(auth().authenticate(ofAgent.token)).resolves.toMatchObject({ kind: 'agent', id: agentId })
    await expect(issue(world.viewer, { agentId })).rejects.toMatchObject({ code: 'forbidden' })
    for (const scope of ['everything', 'tokens.issue'])
      await expect(issue(world.owner, { scopes: [scope] })).rejects.toMatchObject({ code: 'invalid_value' })
  })

  test('are seen and ended by who they are of and by admins, and by nobody else', async () => {
    const [ours, theirs] = [await issue(world.owner), await issue(world.viewer)]
    expect(await tokensOf(world.viewer)).toEqual([theirs.tokenId])
    expect(await tokensOf(world.owner)).toEqual(expect.arrayContaining([ours.tokenId, theirs.tokenId]))
    const revoke = (who: DevicePrincipal, { tokenId }: Issued) => world.call(who, 'tokens.revoke', { tokenId })
    await expect(revoke(world.viewer, ours)).rejects.toMatchObject({ code: 'not_found' })
    await revoke(world.owner, theirs)
    await expect(auth().authenticate(theirs.token)).rejects.toMatchObject({ code: 'token_invalid' })
    await expect(revoke(world.owner, theirs)).rejects.toMatchObject({ code: 'not_found' })
    expect((await audited(theirs.tokenId)).at(-1)).toEqual({
      action: 'update',
      actor_user_id: world.owner.id,
      revoked: true,
    })
    const device = await world.device('user', world.owner.id)
    const end = (who: DevicePrincipal) => world.call(who, 'devices.revoke', { deviceId: device.deviceId })
    await expect(end(world.viewer)).rejects.toMatchObject({ code: 'not_found' })
    await end(world.owner)
    await end(world.owner)
    expect(await audited(device.deviceId)).toEqual([{ action: 'update', actor_user_id: world.owner.id, revoked: true }])
    await expect(world.call(device, 'tokens.list', {})).rejects.toMatchObject({ code: 'device_revoked' })
  })

  test('are listed newest first, to who may end them, page after page', async () => {
    const devicesOf = async (who: DevicePrincipal, input: Record<string, Json> = {}) =>
      (await world.call(who, 'devices.list', input)) as unknown as {
        readonly devices: readonly { readonly deviceId: string; readonly revokedAt: string | null }[]
        readonly next: string | null
      }
    const idsOf = async (who: DevicePrincipal) => (await devicesOf(who)).devices.map(({ deviceId }) => deviceId)
    const ours = await world.device('user', world.owner.id)
    const theirs = await world.device('user', world.viewer.id)
    const agents = await world.device('agent', world.fixture.agentId)
    expect((await idsOf(world.viewer)).slice(0, 2)).toEqual([theirs.deviceId, world.viewer.deviceId])
    expect((await idsOf(world.owner)).slice(0, 3)).toEqual([agents, theirs, ours].map(({ deviceId }) => deviceId))
    await world.call(world.viewer, 'devices.revoke', { deviceId: theirs.deviceId })
    expect((await devicesOf(world.viewer)).devices[0]).toMatchObject({
      deviceId: theirs.deviceId,
      userId: world.viewer.id,
      agentId: null,
      revokedAt: expect.stringMatching(/Z$/),
    })
    await world.query(
      `insert into devices (id, organization_id, user_id, fingerprint, name, kind)
       select sync.uuid_v7(), $1, $2, 'many-devices-' || n, 'many', 'cli' from generate_series(1, 500) n`,
      [world.fixture.organizationId, world.viewer.id],
    )
    const first = await devicesOf(world.viewer)
    const rest = await devicesOf(world.viewer, { after: first.next ?? '' })
    expect([first.devices.length, rest.next]).toEqual([500, null])
    const all = [...first.devices, ...rest.devices].map(({ deviceId }) => deviceId)
    expect(all).toEqual([...new Set(all)].toSorted().reverse())
    expect(all).toEqual(expect.arrayContaining([theirs.deviceId, world.viewer.deviceId]))
    expect(all).not.toContain(ours.deviceId)
  })

  test('limit what a connection may call to their scopes', async () => {
    const task = { projectId: world.fixture.projectId, title: 'scoped' }
    const as = (scopes: readonly string[], action: string, input: Json) =>
      world.call({ ...world.owner, scopes }, action, input)
    const refused = { code: 'forbidden' }
    await expect(as(['read'], 'test.addTask', task)).rejects.toMatchObject(refused)
    await expect(as(['write'], 'tokens.issue', { name: 'more' })).rejects.toMatchObject(refused)
    await expect(as(['read'], 'tokens.list', {})).resolves.toHaveProperty('tokens')
    for (const scopes of [['write'], ['test.addTask'], []])
      await expect(as(scopes, 'test.addTask', task)).resolves.toHaveProperty('id')
  })

  test('are at most a hundred of one principal', async () => {
    await world.query(
      `insert into access_tokens (id, organization_id, user_id, name, token_hash, token_prefix)
       select sync.uuid_v7(), $1, $2, 'many', sha256(n::text::bytea), 'many' from generate_series(1, 100) n`,
      [world.fixture.organizationId, world.viewer.id],
    )
    await expect(issue(world.viewer)).rejects.toMatchObject({ code: 'limit_reached' })
  })
})
