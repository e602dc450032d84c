import { connect, type ClientOf } from '@tidewire/client'
import { expect } from 'vitest'
import { schema } from '../../examples/notes/schema.generated.ts'

type Notes = ClientOf<typeof schema>

/**
 * The story of an application with a table of its own, told with the client that was generated from it: offline edits
 * of one column are one conflict, which is settled everywhere, and plain SQL reaches every replica.
 */
export async function ownTable(
  { url, token, folder }: { readonly url: string; readonly token: string; readonly folder: string },
  sql: (statement: string) => Promise<unknown>,
): Promise<void> {
  const open = async (name: string, replica: Parameters<typeof connect>[0]['replica']): Promise<Notes> => {
    const tide = await connect({ url, token, schema, replica, device: { name, kind: 'cli' } })
    await (
      await tide.subscribe({ organization: true }, { tables: ['projects'] })
    ).ready
    return tide
  }
  const [one, other] = [await open('one', { kind: 'memory' }), await open('other', { kind: 'pglite', dir: folder })]
  const [project] = await one.projects.find({})
  if (project === undefined) throw new Error('There is no project.')
  const projectId = project.id
  for (const tide of [one, other]) await (await tide.subscribe({ project: projectId })).ready

  const note = await one.notes.insert({ projectId, title: 'First' })
  expect(note).toMatchObject({ mood: 'calm', body: '' })
  await note.$write.wait('synced')
  await titled(other, note.id, 'First')

  other.disconnect()
  await other.notes.update(note.id, { title: 'Mine', mood: 'stormy' })
  await (await one.notes.update(note.id, { title: 'Theirs' })).wait('synced')
  other.connect()
  const conflict = await openConflict(other)
  expect(conflict).toMatchObject({
    table: 'notes',
    rowId: note.id,
    mine: { title: 'Mine' },
    theirs: { title: 'Theirs' },
  })
  expect(await one.notes.get(note.id)).toMatchObject({ title: 'Theirs' })
  await (await other.conflicts.resolve(conflict.id, 'client')).wait('synced')
  await titled(one, note.id, 'Mine')
  expect(await one.notes.get(note.id)).toMatchObject({ title: 'Mine', mood: 'stormy' })

  const refused = await one.notes.insert({ projectId, title: 'Nowhere', taskId: projectId })
  expect(await refused.$write.outcome).toMatchObject({ kind: 'rejected', error: { code: 'foreign_key_violated' } })
  await one.writes.discard(refused.$write.id)

  await sql(`update notes set title = 'By SQL' where id = '${note.id}'`)
  for (const tide of [one, other]) await titled(tide, note.id, 'By SQL')
  await (await one.notes.delete(note.id)).wait('synced')
  for await (const rows of other.notes.live({})) if (rows.length === 0) break
  expect(await one.verify()).toEqual({ equal: true })
  await one.close()
  await other.close()
}

async function titled(tide: Notes, id: string, title: string): Promise<void> {
  for await (const rows of tide.notes.live({ where: { id } })) if (rows[0]?.title === title) return
}

async function openConflict(tide: Notes) {
  for await (const [conflict] of tide.conflicts.live()) if (conflict !== undefined) return conflict
  throw new Error('The client was closed.')
}
