import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, rowOf, type SqlRow, type World } from './rows.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

const query = async (text: string, values: readonly unknown[] = []) =>
  (await db.database.pool.query(text, [...values])).rows
const add = async (table: string, row: SqlRow) =>
  insert(db.database.pool, table, { organization_id: world.organization, ...row })
const read = async (table: string, { id }: { readonly id: string }) => rowOf(db.database.pool, table, id)

describe('a document', () => {
  const versionsOf = async (id: string) =>
    query(
      'select id, revision, content, parent_version_id from document_versions where document_id = $1 order by revision',
      [id],
    )

  test('has a version of each content, each with the one before, and the newest as its head', async () => {
    const document = await add('documents', { scope: 'organization', title: 'D', content: 'one' })
    await query('update documents set content = $2 where id = $1', [document.id, 'two'])
    const versions = await versionsOf(document.id)
    expect(versions.map(({ revision, content }) => [revision, content])).toEqual([
      [1, 'one'],
      [2, 'two'],
    ])
    expect(versions[1]?.parent_version_id).toBe(versions[0]?.id)
    expect(await read('documents', document)).toMatchObject({
      revision: 2,
      head_version_id: versions[1]?.id,
      version: 2,
    })
  })

  test('without content has no version, and no other change makes one', async () => {
    const document = await add('documents', { scope: 'organization', title: 'D' })
    await query('update documents set title = $2 where id = $1', [document.id, 'E'])
    expect(await versionsOf(document.id)).toEqual([])
    expect(await read('documents', document)).toMatchObject({ revision: 0, head_version_id: null })
  })

  test('knows when it was published first', async () => {
    const document = await add('documents', { scope: 'organization', title: 'D', status: 'published' })
    const { published_at: published } = await read('documents', document)
    expect(published).toBeInstanceOf(Date)
    await query(`update documents set status = 'archived' where id = $1`, [document.id])
    expect(await read('documents', document)).toMatchObject({ published_at: published })
  })
})

test('the prompt that is activated takes the place of the one before, in its organization alone', async () => {
  const prompt = { agent_type: 'generic', prompt_text: 'p', is_active: true }
  const first = await add('prompts', { ...prompt, semver: '1.0.0' })
  const second = await add('prompts', { ...prompt, semver: '1.1.0' })
  expect(await read('prompts', first)).toMatchObject({ is_active: false })
  await query('update prompts set is_active = true where id = $1', [first.id])
  expect(await read('prompts', second)).toMatchObject({ is_active: false })
  expect(await query(`select is_active from prompts where organization_id is null and agent_type = 'generic'`)).toEqual(
    [{ is_active: true }],
  )
})

describe('a pipeline', () => {
  test('has a revision for each change of its steps', async () => {
    const pipeline = await add('pipelines', { project_id: world.project, name: 'p' })
    const step = await add('pipeline_steps', { pipeline_id: pipeline.id, name: 'build' })
    await query('update pipeline_steps set position = 1 where id = $1', [step.id])
    await query('delete from pipeline_steps where id = $1', [step.id])
    expect(await read('pipelines', pipeline)).toMatchObject({ definition_revision: 4 })
    await expect(query('delete from pipelines where id = $1', [pipeline.id])).resolves.toEqual([])
  })

  test('has steps that wait for steps of it, and none for itself', async () => {
    const pipeline = await add('pipelines', { project_id: world.project, name: 'q' })
    const other = await add('pipelines', { project_id: world.project, name: 'r' })
    const stranger = await add('pipeline_steps', { pipeline_id: other.id, name: 'far' })
    const build = await add('pipeline_steps', { pipeline_id: pipeline.id, name: 'build' })
    const waiting = { pipeline_id: pipeline.id, name: 'deploy', depends_on: [build.id] }
    const deploy = await add('pipeline_steps', waiting)
    await expect(
      query('update pipeline_steps set depends_on = $2 where id = $1', [build.id, [deploy.id]]),
    ).rejects.toMatchObject({ code: '23514', constraint: 'pipeline_steps_cycle' })
    await expect(add('pipeline_steps', { ...waiting, name: 'test', depends_on: [stranger.id] })).rejects.toMatchObject({
      code: '23514',
      constraint: 'pipeline_steps_depends_on_known',
    })
  })
})

describe('a knowledge entry', () => {
  test('waits for an embedding again when its content changes, which is a revision', async () => {
    await db.database.pool.query(`insert into system_settings (key, value) values ('embedding.provider', '"openai"')`)
    const embedding = `[${Array.from({ length: 384 }, () => 0.1).join()}]`
    const entry = await add('knowledge_entries', { scope: 'organization', entry_type: 'lesson', title: 'T', embedding })
    expect(await read('knowledge_entries', entry)).toMatchObject({
      embedding_status: 'ready',
      embedded_at: expect.any(Date),
      revision: 1,
    })
    await query(`update knowledge_entries set content = 'more', use_count = use_count + 1 where id = $1`, [entry.id])
    expect(await read('knowledge_entries', entry)).toMatchObject({
      embedding_status: 'pending',
      last_used_at: expect.any(Date),
      revision: 2,
    })
  })

  test('tells the log when somebody is granted it, and when no more', async () => {
    const entry = await add('knowledge_entries', {
      scope: 'agent',
      agent_id: world.agent,
      entry_type: 'lesson',
      title: 'T',
    })
    const grant = await add('knowledge_grants', { knowledge_entry_id: entry.id, user_id: world.user })
    await query('update knowledge_grants set deleted_at = now() where id = $1', [grant.id])
    expect(
      await query(
        `select channel, old_channel, op from sync_changes where table_name = 'knowledge_grants.grants' and row_id = $1 order by seq`,
        [grant.id],
      ),
    ).toEqual([
      { channel: `user/${world.user}`, old_channel: `knowledge_entry/${entry.id}`, op: 'upsert' },
      { channel: `user/${world.user}`, old_channel: `knowledge_entry/${entry.id}`, op: 'delete' },
    ])
  })
})
