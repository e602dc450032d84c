import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, newId, type World } from './world.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

interface Version {
  readonly id: string
  readonly revision: number | null
  readonly content: string
  readonly parent: string | null
  readonly merged: string | null
  readonly device: string
}

async function newDocument(content: string): Promise<string> {
  const rowId = newId()
  const set = { scope: 'organization', title: 'D', content }
  expect(await world.ada.one({ table: 'documents', op: 'insert', rowId, set })).toMatchObject({ kind: 'applied' })
  return rowId
}

const edit = (rowId: string, content: string, base: string) =>
  ({ table: 'documents', op: 'patch', rowId, set: { content }, base: { content: base } }) as const

const versionsOf = (id: string) =>
  world.query<Version>(
    `select id, revision, content, parent_version_id as parent, merged_version_id as merged, origin_device_id as device
     from document_versions where document_id = $1 order by revision nulls last, created_at, id`,
    [id],
  )

const base = 'one\n\ntwo\n\nthree'
const theirs = 'ONE\n\ntwo\n\nthree'
const mine = 'one\n\ntwo\n\nTHREE'
const both = 'ONE\n\ntwo\n\nTHREE'

describe('edits of a document on two devices', () => {
  test('in different paragraphs merge into one version with two parents: the head, and what the device had written', async () => {
    const id = await newDocument(base)
    expect(await world.ada.one(edit(id, theirs, base))).toMatchObject({ kind: 'applied' })
    expect(await world.ben.one(edit(id, mine, base))).toMatchObject({ kind: 'merged' })
    const [first, second, merged, written, ...others] = await versionsOf(id)
    expect(others).toEqual([])
    expect(first).toMatchObject({ revision: 1, content: base, parent: null, merged: null })
    expect(second).toMatchObject({ revision: 2, content: theirs, parent: first?.id, merged: null })
    expect(merged).toMatchObject({ revision: 3, content: both, parent: second?.id, merged: written?.id })
    expect(written).toMatchObject({ revision: null, content: mine, parent: first?.id, merged: null })
    expect([merged?.device, written?.device]).toEqual([world.ben.principal.deviceId, world.ben.principal.deviceId])
    expect(await world.query('select head_version_id, revision from documents where id = $1', [id])).toEqual([
      { head_version_id: merged?.id, revision: 3 },
    ])
  })

  test('go on from what the device had written, and edits after a merge have one parent again', async () => {
    const id = await newDocument(base)
    const further = 'one\n\ntwo\n\nTHREE\n\nfour'
    await world.ada.one(edit(id, theirs, base))
    const outcomes = await world.ben.send(edit(id, mine, base), edit(id, further, mine))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['merged', 'merged'])
    expect(await world.ada.one(edit(id, 'new', `${both}\n\nfour`))).toMatchObject({ kind: 'applied' })
    const [, , third, fourth, fifth, written, next] = await versionsOf(id)
    expect(fourth).toMatchObject({ content: `${both}\n\nfour`, parent: third?.id, merged: next?.id })
    expect(next).toMatchObject({ content: further, parent: written?.id, revision: null })
    expect(fifth).toMatchObject({ content: 'new', parent: fourth?.id, merged: null })
  })

  test('of several documents in one push each have their own', async () => {
    const ids = [await newDocument(base), await newDocument(base), await newDocument(base)]
    await world.ada.send(...ids.slice(0, 2).map((id) => edit(id, theirs, base)))
    const outcomes = await world.ben.send(...ids.map((id) => edit(id, mine, base)))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['merged', 'merged', 'applied'])
    const merges = await Promise.all(
      ids.map(async (id) => {
        const versions = await versionsOf(id)
        const written = new Set(versions.filter(({ revision }) => revision === null).map((version) => version.id))
        return versions.filter(({ merged }) => merged !== null && written.has(merged)).map(({ content }) => content)
      }),
    )
    expect(merges).toEqual([[both], [both], []])
  })

  test('of a content that is no version merge, and what the device had written follows none', async () => {
    const id = await newDocument(base)
    await world.ada.one(edit(id, theirs, base))
    const outcome = await world.ben.one(edit(id, mine, base.replace('two', 'zwei')))
    expect(outcome).toMatchObject({ kind: 'merged' })
    const [, , merged, written] = await versionsOf(id)
    expect(merged).toMatchObject({ content: both, merged: written?.id })
    expect(written).toMatchObject({ content: mine, parent: null })
  })

  test('merge although another column is in conflict', async () => {
    const id = await newDocument(base)
    const titled = (content: string, title: string) =>
      ({ ...edit(id, content, base), set: { content, title }, base: { content: base, title: 'D' } }) as const
    await world.ada.one(titled(theirs, 'E'))
    expect(await world.ben.one(titled(mine, 'F'))).toMatchObject({ kind: 'conflict', columns: ['title'] })
    const [, , merged, written] = await versionsOf(id)
    expect(merged).toMatchObject({ content: both, merged: written?.id })
  })

  test('in one line conflict, and make no version', async () => {
    const id = await newDocument(base)
    await world.ada.one(edit(id, theirs, base))
    const outcome = await world.ben.one(edit(id, 'uno\n\ntwo\n\nthree', base))
    expect(outcome).toMatchObject({ kind: 'conflict', columns: ['content'] })
    expect((await versionsOf(id)).map(({ content }) => content)).toEqual([base, theirs])
    const conflicts = await world.query('select kind, status, fields from sync_conflicts where id = $1', [
      outcome.conflictId,
    ])
    expect(conflicts).toMatchObject([{ kind: 'text', status: 'open' }])
    expect(JSON.stringify(conflicts)).toContain('uno')
  })
})
