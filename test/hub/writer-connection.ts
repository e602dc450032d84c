// A connection that begins and ends transactions in every way Postgres has.
import pg from 'pg'

export type SynchronousCommit = 'on' | 'off' | 'local' | 'remote_apply'

export type WriterState = 'idle' | 'open' | 'prepared'

export class WriterConnection {
  readonly name: string
  readonly #client: pg.Client
  #state: WriterState = 'idle'
  #savepoints = 0

  constructor(name: string, url: string) {
    this.name = name
    this.#client = new pg.Client({ connectionString: url, application_name: `writer ${name}` })
    this.#client.on('error', () => undefined)
  }

  get state(): WriterState {
    return this.#state
  }

  /** How many are open, one within the other. */
  get savepoints(): number {
    return this.#savepoints
  }

  async connect(): Promise<void> {
    await this.#client.connect()
    // A lock that nobody gives back would be a fault of this driver: said, not waited for.
    await this.#client.query(`set statement_timeout = '60s'`)
  }

  async end(): Promise<void> {
    await this.#client.end()
  }

  async query<R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<readonly R[]> {
    return (await this.#client.query<R>(text, [...values])).rows
  }

  async begin(synchronousCommit: SynchronousCommit): Promise<void> {
    await this.#client.query(`begin; set local synchronous_commit = ${synchronousCommit}`)
    this.#state = 'open'
    this.#savepoints = 0
  }

  async savepoint(): Promise<void> {
    await this.#client.query(`savepoint s${this.#savepoints}`)
    this.#savepoints++
  }

  /** Ends the innermost. */
  async endSavepoint(end: 'release' | 'rollback to'): Promise<void> {
    await this.#client.query(`${end} savepoint s${this.#savepoints - 1}`)
    this.#savepoints--
  }

  /** Resolves when Postgres has confirmed it; it may show before. */
  async commit(): Promise<void> {
    await this.#end('commit')
  }

  async rollback(): Promise<void> {
    await this.#end('rollback')
  }

  async prepare(): Promise<void> {
    await this.#client.query(`prepare transaction '${this.name}'`)
    this.#state = 'prepared'
  }

  /** Ends what was prepared. */
  async resolve(how: 'commit' | 'rollback'): Promise<void> {
    await this.#end(`${how} prepared '${this.name}'`)
  }

  async #end(statement: string): Promise<void> {
    await this.#client.query(statement)
    this.#state = 'idle'
  }
}
