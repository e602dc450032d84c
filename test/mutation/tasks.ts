// Tasks of a world, as the tests of mutations write and read them.
import { newId, type World } from './world.ts'

type Texts = Readonly<Record<string, string>>

export function insertTask(world: World, set: object = {}) {
  return {
    table: 'tasks',
    op: 'insert',
    rowId: newId(),
    set: { projectId: world.projectId, title: 'A', ...set },
  } as const
}

export function patchTask(rowId: string, set: Texts, base: Readonly<Record<string, string | null>>) {
  return { table: 'tasks', op: 'patch', rowId, set, base } as const
}

/** The task as it is stored; empty when there is none. */
export async function readTask(world: World, id: string): Promise<Record<string, unknown>> {
  const [row] = await world.query('select * from tasks where id = $1', [id])
  return row ?? {}
}

/** A task that ada made. */
export async function newTask(world: World, set: object = {}): Promise<string> {
  const insert = insertTask(world, set)
  const { kind } = await world.ada.one(insert)
  if (kind !== 'applied') throw new Error(`The task was ${kind}.`)
  return insert.rowId
}
