// Random statements in random transactions: rows that come, change, move between channels, go, and come again under
// the same id; tables that are truncated; people who gain and lose access. What a statement did is not known here:
// the database says (`world-history.ts`). One that fails or waits too long for a lock is undone as an application
// would do it.
import type { Random } from '../../lib/random.ts'
import { newId } from '../support/fixtures.ts'
import { worldTables, type World, type WorldTable } from './world.ts'
import type { SynchronousCommit, WriterConnection } from './writer-connection.ts'

const lockTimeoutMs = 60
/** What hangs under others, or shares them. */
const leaves = [
  'task_dependencies',
  'memory_tags',
  'messages',
  'conversation_participants',
  'knowledge_grants',
] as const satisfies readonly WorldTable[]
/** What is put most is what others share. */
const parts = [...leaves, 'messages', 'conversation_participants', 'knowledge_grants'] as const
const guestTables = new Set<WorldTable>(['conversation_participants', 'knowledge_grants'])
const scopes = ['organization', 'project', 'team', 'user', 'agent'] as const
/** Rows of these have a scope of their own, and can be anywhere. */
const scoped = ['memories', 'conversations', 'knowledge_entries'] as const satisfies readonly WorldTable[]

type Row = Readonly<Record<string, unknown>>

/** Ids that were ever given out, for all writers: they write the same rows. */
export type WorldIds = ReadonlyMap<WorldTable, string[]>

export function createWorldIds(): WorldIds {
  return new Map(worldTables.map((table) => [table, []]))
}

export interface WorldWriterOptions {
  readonly world: World
  readonly ids: WorldIds
  readonly random: Random
}

export class WorldWriter {
  readonly #connection: WriterConnection
  readonly #world: World
  readonly #ids: WorldIds
  readonly #random: Random
  #tries = 0
  /** How often each kind of statement went through, and each way in which a transaction ended. */
  readonly done = new Map<string, number>()

  constructor(connection: WriterConnection, { world, ids, random }: WorldWriterOptions) {
    this.#connection = connection
    this.#world = world
    this.#ids = ids
    this.#random = random
  }

  get state(): WriterConnection['state'] {
    return this.#connection.state
  }

  async begin(level: SynchronousCommit): Promise<void> {
    await this.#connection.begin(level)
    await this.#connection.query(`set local lock_timeout = ${lockTimeoutMs}`)
  }

  /** One statement, of any kind; what fails is undone up to the last savepoint. */
  async write(): Promise<void> {
    const kinds: readonly (readonly [string, number, () => Promise<unknown>])[] = [
      ['put a task', 14, () => this.#putTask()],
      ['put what is shared', 14, () => this.#putScoped()],
      ['move what is shared', 10, () => this.#moveScoped()],
      ['put a part', 22, () => this.#putPart()],
      ['end a part', 10, () => this.#endPart()],
      ['delete', 8, () => this.#delete()],
      ['replace', 8, () => this.#replace()],
      ['truncate', 6, () => this.#truncate()],
      ['change a project', 6, () => this.#changeProject()],
      ['let in or shut out', 12, () => this.#changeAccess()],
    ]
    let roll = this.#random.next() * kinds.reduce((sum, [, weight]) => sum + weight, 0)
    const kind = kinds.find(([, weight]) => (roll -= weight) < 0)
    if (!kind) return
    const [name, , statement] = kind
    await this.#try(name, statement)
  }

  async savepoint(): Promise<void> {
    if (this.#connection.savepoints < 3) await this.#connection.savepoint()
  }

  async endSavepoint(end: 'release' | 'rollback to'): Promise<void> {
    if (this.#connection.savepoints > 0) await this.#connection.endSavepoint(end)
  }

  /** What is refused at the end is rolled back by Postgres. */
  async commit(): Promise<void> {
    await this.#end('commit', () => this.#connection.commit())
  }

  async rollback(): Promise<void> {
    await this.#end('rollback', () => this.#connection.rollback())
  }

  async prepare(): Promise<void> {
    await this.#end('prepare', () => this.#connection.prepare())
  }

  async resolve(how: 'commit' | 'rollback'): Promise<void> {
    await this.#end(`${how} prepared`, () => this.#connection.resolve(how))
  }

  end(): Promise<void> {
    return this.#connection.end()
  }

  async #end(name: string, end: () => Promise<void>): Promise<void> {
    try {
      await end()
      this.#count(name)
    } catch {
      this.#count(`${name} refused`)
      await this.#connection.rollback()
    }
  }

  async #try(name: string, statement: () => Promise<unknown>): Promise<void> {
    try {
      await statement()
      this.#count(name)
    } catch {
      this.#count(`${name} failed`)
      if (this.#connection.savepoints > 0) await this.#connection.endSavepoint('rollback to')
      else await this.#connection.rollback()
    }
  }

  #count(name: string): void {
    this.done.set(name, (this.done.get(name) ?? 0) + 1)
  }

  #pick<T>(items: readonly T[]): T {
    const found = items[Math.floor(this.#random.next() * items.length)]
    if (found === undefined) throw new Error('There is nothing to pick from.')
    return found
  }

  #known(table: WorldTable): string | undefined {
    const ids = this.#ids.get(table) ?? []
    return ids.length === 0 ? undefined : this.#pick(ids)
  }

  /** One that is there now, or nothing. */
  async #living(table: WorldTable): Promise<Row> {
    const rows = await this.#connection.query<Row>(
      `select * from ${table} where organization_id = $1 and deleted_at is null order by id`,
      [this.#world.organizationId],
    )
    return rows.length === 0 ? {} : this.#pick(rows)
  }

  #text(): string {
    return `${this.#connection.name}/${++this.#tries}`
  }

  async #insert(table: WorldTable, row: Row): Promise<void> {
    const id = newId()
    this.#ids.get(table)?.push(id)
    const all = { id, organization_id: this.#world.organizationId, ...row }
    const [names, values] = [Object.keys(all), Object.values(all)]
    const places = values.map((_, index) => `$${index + 1}`)
    await this.#run(`insert into ${table} (${names.join()}) values (${places.join()})`, values)
  }

  #run(text: string, values: readonly unknown[] = []): Promise<unknown> {
    return this.#connection.query(text, values)
  }

  #someone(): Row {
    const { memberIds, agentId, ownerId } = this.#world
    return this.#random.next() < 0.2
      ? { agent_id: agentId }
      : { user_id: this.#pick([...memberIds, ...memberIds, ownerId]) }
  }

  async #putTask(): Promise<unknown> {
    const [project_id, known] = [this.#pick(this.#world.projectIds), this.#known('tasks')]
    if (known === undefined || this.#random.next() < 0.4) {
      const count = this.#random.next() < 0.2 ? 15 : 1
      for (let n = 0; n < count; n++) await this.#insert('tasks', { project_id, title: this.#text() })
      return undefined
    }
    const deletedAt = this.#random.next() < 0.2 ? new Date() : null
    return this.#run('update tasks set title = $2, deleted_at = $3 where id = $1', [known, this.#text(), deletedAt])
  }

  async #putScoped(): Promise<unknown> {
    const { memberIds, agentId, teamId, projectIds } = this.#world
    const table = this.#pick(scoped)
    const known = this.#known(table)
    const column = table === 'memories' ? 'content' : 'title'
    if (known !== undefined && this.#random.next() < 0.4)
      return this.#run(`update ${table} set ${column} = $2 where id = $1`, [known, this.#text()])
    return this.#insert(table, {
      scope: this.#pick(scopes),
      project_id: this.#pick(projectIds),
      team_id: teamId,
      user_id: this.#pick(memberIds),
      agent_id: agentId,
      [column]: this.#text(),
      ...(table === 'knowledge_entries' ? { entry_type: 'lesson' } : {}),
    })
  }

  #moveScoped(): Promise<unknown> {
    const { memberIds, projectIds } = this.#world
    const table = this.#pick(scoped)
    return this.#run(`update ${table} set scope = $2, project_id = $3, user_id = $4 where id = $1`, [
      this.#known(table),
      this.#pick(scopes),
      this.#pick(projectIds),
      this.#pick(memberIds),
    ])
  }

  /** Something that hangs under something else, or shares it. */
  async #putPart(): Promise<unknown> {
    const table = this.#pick(parts)
    const known = this.#known(table)
    const again = known !== undefined && this.#random.next() < 0.25
    switch (table) {
      case 'task_dependencies': {
        const [task, other] = [await this.#living('tasks'), await this.#living('tasks')]
        if (task['id'] === other['id']) return undefined
        const { project_id, id: task_id } = task
        return this.#insert(table, { project_id, task_id, depends_on_task_id: other['id'] })
      }
      case 'memory_tags': {
        const { id: memory_id } = await this.#living('memories')
        return memory_id && this.#insert(table, { memory_id, tag: this.#text().toLowerCase() })
      }
      case 'messages': {
        const { id: conversation_id } = await this.#living('conversations')
        return conversation_id && this.#insert(table, { conversation_id, role: 'user', content: this.#text() })
      }
      case 'conversation_participants': {
        const { id: conversation_id } = await this.#living('conversations')
        if (again)
          return this.#run(`update ${table} set deleted_at = null, is_muted = not is_muted where id = $1`, [known])
        return conversation_id && this.#insert(table, { conversation_id, ...this.#someone() })
      }
      case 'knowledge_grants': {
        const { id: knowledge_entry_id } = await this.#living('knowledge_entries')
        if (again)
          return this.#run(`update ${table} set deleted_at = null, can_edit = not can_edit where id = $1`, [known])
        const guest = this.#random.next() < 0.3 ? { team_id: this.#world.teamId } : this.#someone()
        return knowledge_entry_id && this.#insert(table, { knowledge_entry_id, ...guest })
      }
    }
  }

  #endPart(): Promise<unknown> {
    const table = this.#pick(leaves)
    return this.#run(`update ${table} set deleted_at = now() where id = $1`, [this.#known(table)])
  }

  #delete(): Promise<unknown> {
    const table = this.#pick(['tasks', ...scoped, ...leaves] as const)
    return this.#run(`delete from ${table} where id = $1`, [this.#known(table)])
  }

  /** Another row under the same id: its versions begin anew, perhaps elsewhere. */
  async #replace(): Promise<unknown> {
    const table = this.#pick(['tasks', ...scoped, 'messages', 'knowledge_grants', 'conversation_participants'] as const)
    const [found] = await this.#connection.query<Row>(`delete from ${table} where id = $1 returning *`, [
      this.#known(table),
    ])
    if (!found) return undefined
    const kept: Readonly<Record<string, readonly string[]>> = {
      tasks: ['id', 'title'],
      messages: ['id', 'conversation_id', 'role'],
      knowledge_grants: ['id', 'knowledge_entry_id', 'user_id', 'agent_id', 'team_id'],
      conversation_participants: ['id', 'conversation_id', 'user_id', 'agent_id'],
    }
    const columns = kept[table] ?? [
      'id',
      'scope',
      'project_id',
      'team_id',
      'user_id',
      'agent_id',
      'entry_type',
      'content',
    ]
    const row = Object.fromEntries(columns.flatMap((name) => (name in found ? [[name, found[name]]] : [])))
    return this.#insert(table, {
      ...row,
      ...(table === 'tasks' ? { project_id: this.#pick(this.#world.projectIds) } : {}),
      ...(table === 'conversations' || table === 'knowledge_entries' ? { title: this.#text() } : {}),
      ...('scope' in row ? { scope: this.#pick(scopes) } : {}),
    })
  }

  /**
   * Empties a table, and in the same transaction perhaps fills it again. Nobody can read it until that ends: at once.
   */
  async #truncate(): Promise<void> {
    const table = this.#pick(leaves)
    await this.#run(`truncate ${table} cascade`)
    if (guestTables.has(table)) this.#count('truncate guests')
    for (let puts = this.#random.next() * 3; puts > 1; puts--) await this.#putPart()
    await this.commit()
  }

  #changeProject(): Promise<unknown> {
    const { memberIds, ownerId, teamId, projectIds } = this.#world
    const [, ...changing] = projectIds
    const id = this.#pick(changing)
    const roll = this.#random.next()
    if (roll < 0.2) return this.#run('update projects set name = $2 where id = $1', [id, this.#text()])
    if (roll < 0.4)
      return this.#run('update projects set owner_user_id = $2 where id = $1', [
        id,
        this.#pick([ownerId, ...memberIds]),
      ])
    return this.#run('update projects set visibility = $2, team_id = $3 where id = $1', [
      id,
      this.#pick(['organization', 'team', 'private']),
      this.#random.next() < 0.8 ? teamId : null,
    ])
  }

  async #changeAccess(): Promise<unknown> {
    const { memberIds, teamId, projectIds } = this.#world
    const roll = this.#random.next()
    if (roll < 0.1)
      return this.#run('update organization_members set status = $2 where user_id = $1', [
        this.#pick(memberIds),
        this.#pick(['active', 'active', 'suspended']),
      ])
    const table = roll < 0.45 ? 'team_memberships' : 'project_members'
    const known = this.#known(table)
    if (known !== undefined && this.#random.next() < 0.6) {
      if (this.#random.next() < 0.3) return this.#run(`delete from ${table} where id = $1`, [known])
      return this.#run(`update ${table} set deleted_at = case when deleted_at is null then now() end where id = $1`, [
        known,
      ])
    }
    if (table === 'team_memberships') return this.#insert(table, { team_id: teamId, user_id: this.#pick(memberIds) })
    const guest = this.#random.next() < 0.3 ? { team_id: teamId } : this.#someone()
    return this.#insert(table, { project_id: this.#pick(projectIds), ...guest })
  }
}
