// A connection that writes in every way Postgres has, and remembers what each of its commits left behind. Each writer has
// rows of its own, so no two wait for each other and the state is one history per writer.
import pg from 'pg'
import { newId } from '../support/fixtures.ts'

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

export type WriterState = 'idle' | 'open' | 'prepared'

export class CommitWriter {
  readonly name: string
  /** In the order of commit; the first is the state before any. */
  readonly commits: WrittenCommit[] = [{ rows: new Map(), issuedAt: -1, ackedAt: -1 }]
  readonly #client: pg.Client
  readonly #place: WriterPlace
  readonly #tick: Tick
  /** Changed by every commit, so that each state is another one. */
  readonly #counter = newId()
  #tries = 0
  #state: WriterState = 'idle'
  #rows = new Map<string, string>()
  #savepoints: { readonly name: string; readonly rows: Rows }[] = []

  constructor(name: string, place: WriterPlace, tick: Tick) {
    this.name = name
    this.#place = place
    this.#tick = tick
    this.#client = new pg.Client({ connectionString: place.url, application_name: `writer ${name}` })
    this.#client.on('error', () => undefined)
  }

  get state(): WriterState {
    return this.#state
  }

  get savepoints(): number {
    return this.#savepoints.length
  }

  get rows(): readonly string[] {
    return [...this.#rows.keys()].filter((id) => id !== this.#counter)
  }

  async connect(): Promise<void> {
    await this.#client.connect()
    // A lock that nobody gives back would be a fault of this driver: said, not waited for.
    await this.#client.query(`set statement_timeout = '60s'`)
  }

  async end(): Promise<void> {
    await this.#client.end()
  }

  async begin(synchronousCommit: 'on' | 'off' | 'local' | 'remote_apply'): Promise<void> {
    this.#rows = new Map(this.commits.at(-1)?.rows)
    this.#savepoints = []
    await this.#client.query(`begin; set local synchronous_commit = ${synchronousCommit}`)
    this.#state = 'open'
  }

  async put(id: string | undefined, count = 1): Promise<void> {
    for (let index = 0; index < count; index++) await this.#put(id ?? newId(), `${this.name}/${++this.#tries}`)
  }

  async #put(id: string, title: string): Promise<void> {
    const { organizationId, projectId } = this.#place
    if (this.#rows.has(id)) await this.#client.query('update tasks set title = $2 where id = $1', [id, title])
    else
      await this.#client.query('insert into tasks (id, organization_id, project_id, title) values ($1, $2, $3, $4)', [
        id,
        organizationId,
        projectId,
        title,
      ])
    this.#rows.set(id, title)
  }

  async remove(id: string): Promise<void> {
    await this.#client.query('delete from tasks where id = $1', [id])
    this.#rows.delete(id)
  }

  /** Another row in the place of this one: it has its first version again. */
  async replace(id: string): Promise<void> {
    await this.remove(id)
    await this.put(id)
  }

  async savepoint(): Promise<void> {
    const name = `s${this.#savepoints.length}`
    await this.#client.query(`savepoint ${name}`)
    this.#savepoints.push({ name, rows: new Map(this.#rows) })
  }

  async endSavepoint(end: 'release' | 'rollback to'): Promise<void> {
    const last = this.#savepoints.pop()
    if (!last) return
    await this.#client.query(`${end} savepoint ${last.name}`)
    if (end === 'rollback to') this.#rows = new Map(last.rows)
  }

  /** Resolves when Postgres has confirmed it; it may show before. */
  async commit(): Promise<void> {
    await this.#put(this.#counter, `${this.name}/${++this.#tries}`)
    await this.#end('commit')
  }

  async rollback(): Promise<void> {
    await this.#client.query('rollback')
    this.#state = 'idle'
  }

  async prepare(): Promise<void> {
    await this.#put(this.#counter, `${this.name}/${++this.#tries}`)
    await this.#client.query(`prepare transaction '${this.name}'`)
    this.#state = 'prepared'
  }

  async resolve(how: 'commit' | 'rollback'): Promise<void> {
    if (how === 'commit') return this.#end(`commit prepared '${this.name}'`)
    await this.#client.query(`rollback prepared '${this.name}'`)
    this.#state = 'idle'
  }

  async #end(statement: string): Promise<void> {
    const commit = { rows: new Map(this.#rows), issuedAt: this.#tick(), ackedAt: Number.POSITIVE_INFINITY }
    this.commits.push(commit)
    await this.#client.query(statement)
    commit.ackedAt = this.#tick()
    this.#state = 'idle'
  }

  /** The commit after which the writer's rows looked like this; −1: they never did. */
  find(rows: Rows): number {
    return this.commits.findIndex(
      (commit) => commit.rows.size === rows.size && [...rows].every(([id, title]) => commit.rows.get(id) === title),
    )
  }
}
