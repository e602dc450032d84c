// A connection that writes in every way Postgres has, and remembers what each of its commits left behind. Each writer
// has rows of its own, so no two wait for each other and the state is one history per writer.
import { newId } from '../support/fixtures.ts'
import { WriterConnection, type SynchronousCommit, type WriterState } from './writer-connection.ts'

/** Logical time: who calls it later gets more. */
export type Tick = () => number

/** Titles by row id. */
export type Rows = ReadonlyMap<string, string>

/** What a commit left of a writer's rows. */
export interface WrittenCommit {
  readonly rows: Rows
  readonly issuedAt: number
  /** Not known to have ended yet: infinite. */
  ackedAt: number
}

export interface WriterPlace {
  readonly url: string
  readonly organizationId: string
  readonly projectId: string
}

export class CommitWriter {
  readonly name: string
  /** In the order of commit; the first is the state before any. */
  readonly commits: WrittenCommit[] = [{ rows: new Map(), issuedAt: -1, ackedAt: -1 }]
  readonly #connection: WriterConnection
  readonly #place: WriterPlace
  readonly #tick: Tick
  /** Changed by every commit, so that each state is another one. */
  readonly #counter = newId()
  #tries = 0
  #rows = new Map<string, string>()
  /** As they were at each savepoint that is open. */
  #savepoints: Rows[] = []

  constructor(name: string, place: WriterPlace, tick: Tick) {
    this.name = name
    this.#place = place
    this.#tick = tick
    this.#connection = new WriterConnection(name, place.url)
  }

  get state(): WriterState {
    return this.#connection.state
  }

  get savepoints(): number {
    return this.#savepoints.length
  }

  get rows(): readonly string[] {
    return [...this.#rows.keys()].filter((id) => id !== this.#counter)
  }

  connect(): Promise<void> {
    return this.#connection.connect()
  }

  end(): Promise<void> {
    return this.#connection.end()
  }

  async begin(synchronousCommit: SynchronousCommit): Promise<void> {
    this.#rows = new Map(this.commits.at(-1)?.rows)
    this.#savepoints = []
    await this.#connection.begin(synchronousCommit)
  }

  async put(id: string | undefined, count = 1): Promise<void> {
    for (let index = 0; index < count; index++) await this.#put(id ?? newId(), `${this.name}/${++this.#tries}`)
  }

  async #put(id: string, title: string): Promise<void> {
    const { organizationId, projectId } = this.#place
    if (this.#rows.has(id)) await this.#connection.query('update tasks set title = $2 where id = $1', [id, title])
    else
      await this.#connection.query(
        'insert into tasks (id, organization_id, project_id, title) values ($1, $2, $3, $4)',
        [id, organizationId, projectId, title],
      )
    this.#rows.set(id, title)
  }

  async remove(id: string): Promise<void> {
    await this.#connection.query('delete from tasks where id = $1', [id])
    this.#rows.delete(id)
  }

  /** Another row in the place of this one: it has its first version again. */
  async replace(id: string): Promise<void> {
    await this.remove(id)
    await this.put(id)
  }

  async savepoint(): Promise<void> {
    await this.#connection.savepoint()
    this.#savepoints.push(new Map(this.#rows))
  }

  async endSavepoint(end: 'release' | 'rollback to'): Promise<void> {
    const last = this.#savepoints.pop()
    if (!last) return
    await this.#connection.endSavepoint(end)
    if (end === 'rollback to') this.#rows = new Map(last)
  }

  /** Resolves when Postgres has confirmed it; it may show before. */
  async commit(): Promise<void> {
    await this.#put(this.#counter, `${this.name}/${++this.#tries}`)
    await this.#remember(() => this.#connection.commit())
  }

  async rollback(): Promise<void> {
    await this.#connection.rollback()
  }

  async prepare(): Promise<void> {
    await this.#put(this.#counter, `${this.name}/${++this.#tries}`)
    await this.#connection.prepare()
  }

  async resolve(how: 'commit' | 'rollback'): Promise<void> {
    if (how === 'commit') await this.#remember(() => this.#connection.resolve('commit'))
    else await this.#connection.resolve('rollback')
  }

  async #remember(end: () => Promise<void>): Promise<void> {
    const commit = { rows: new Map(this.#rows), issuedAt: this.#tick(), ackedAt: Number.POSITIVE_INFINITY }
    this.commits.push(commit)
    await end()
    commit.ackedAt = this.#tick()
  }

  /** The commit after which the writer's rows looked like this; −1: they never did. */
  find(rows: Rows): number {
    return this.commits.findIndex(
      (commit) => commit.rows.size === rows.size && [...rows].every(([id, title]) => commit.rows.get(id) === title),
    )
  }
}
