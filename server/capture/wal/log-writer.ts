import type pg from 'pg'
import { toSeq, type Seq } from '../../../protocol/seq.ts'
import type { CapturedKey, CommitPoint, SpilledKey } from './captured-commit.ts'

/** A commit ready to be logged. */
export interface WritableCommit {
  readonly point: CommitPoint
  readonly keys: readonly CapturedKey[]
}

const columns = ['uuid', 'text', 'text', 'text', 'uuid', 'text', 'uuid', 'uuid', 'uuid', 'uuid'] as const
const logSql = `select sync.log_commits($1, $2, $3, $4::bigint[], $5::integer[], $6::bigint[], $7::double precision[], ${columns.map((type, index) => `$${index + 8}::${type}[]`).join(', ')})`
const spillSql = `select sync.spill_keys($1, $2, $3, $4::bigint[], $5::bigint[], $6::boolean[], ${columns.map((type, index) => `$${index + 7}::${type}[]`).join(', ')})`

/**
 * Writes the log for one slot in one term: each call is one transaction, which first locks the row of the slot in
 * `sync_capture` and is refused (SQLSTATE TW001) when another writer has begun a later term. What was logged before is
 * left out, so sending a commit twice does no harm. When a call returns, its commits are durable. Keys that are spilled
 * become so with the commit that names them.
 */
export class LogWriter {
  readonly #client: pg.Client
  readonly #slot: string
  readonly #term: string
  /** Of Postgres, by the time of its start. */
  readonly run: string

  constructor(client: pg.Client, slot: string, { term, run }: { readonly term: string; readonly run: string }) {
    this.#client = client
    this.#slot = slot
    this.#term = term
    this.run = run
  }

  /** Ends the terms of all writers before, and the epoch, where Postgres was started since it began. */
  static async claim(client: pg.Client, slot: string, holder: string): Promise<LogWriter> {
    await client.query('select sync.ensure_epoch()')
    const { rows } = await client.query<{ term: string; run: string }>(
      'select sync.claim_capture($1, $2)::text as term, sync.postgres_run() as run',
      [slot, holder],
    )
    return new LogWriter(client, slot, rows[0] ?? { term: '', run: '' })
  }

  /** What the term begins with: the history that is written, and a position up to which nothing more is logged. */
  async begin(): Promise<{ readonly epoch: string; readonly newest: Seq }> {
    const { rows } = await this.#client.query<{ epoch: string; newest: string }>(
      `select epoch, greatest((select max(seq) from sync_changes), (select max(last_seq) from sync_capture), 0)::text as newest
       from sync_heads where id = 1`,
    )
    return { epoch: rows[0]?.epoch ?? '', newest: toSeq(rows[0]?.newest ?? 0) }
  }

  async log(commits: readonly WritableCommit[]): Promise<void> {
    const keys = commits.flatMap((commit) => commit.keys)
    const each = (of: (commit: WritableCommit, ordinal: number) => number): string | null =>
      plainArray(commits.flatMap((commit) => commit.keys.map((_, ordinal) => of(commit, ordinal))))
    await this.#client.query({
      name: 'log_commits',
      text: logSql,
      values: [
        this.#slot,
        this.#term,
        commits.at(-1)?.point.seq ?? 0,
        each(({ point }) => point.seq),
        each((_, ordinal) => ordinal),
        each(({ point }) => point.xid),
        each(({ point }) => point.at),
        ...keyArrays(keys),
      ],
    })
  }

  async spill(xid: number, spilled: readonly SpilledKey[]): Promise<void> {
    await this.#client.query({
      name: 'spill_changes',
      text: spillSql,
      values: [
        this.#slot,
        this.#term,
        xid,
        plainArray(spilled.map(({ subxid }) => subxid)),
        plainArray(spilled.map(({ n }) => n)),
        plainArray(spilled.map(({ key }) => key.born)),
        ...keyArrays(spilled.map(({ key }) => key)),
      ],
    })
  }

  async logBig({ seq, xid, at }: CommitPoint): Promise<void> {
    await this.#client.query('select sync.log_big_commit($1, $2, $3, $4, $5)', [this.#slot, this.#term, seq, xid, at])
  }

  async forget(xid: number, subxid: number | null): Promise<void> {
    await this.#client.query(
      'delete from sync.spilled_changes where term = $1 and xid = $2 and ($3::bigint is null or subxid = $3)',
      [this.#term, xid, subxid],
    )
  }

  /** A sign of life for those who watch. `through`: everything that ends before this place in the WAL is in the log. */
  async beat(through: number): Promise<void> {
    await this.#client.query(
      `update sync_capture set heartbeat_at = clock_timestamp(), captured_through = greatest(captured_through, $3)
       where slot_name = $1 and term = $2`,
      [this.#slot, this.#term, through],
    )
  }

  /**
   * Puts a message into the WAL that says nothing. Answers where it ends, in bytes. The next beat writes it to the
   * disk.
   */
  async mark(): Promise<number> {
    const { rows } = await this.#client.query<{ place: string }>(
      `select (pg_logical_emit_message(false, 'tidewire.flush', '') - '0/0')::text as place`,
    )
    return Number(rows[0]?.place)
  }

  /** Up to which place a process of Postgres has sent the WAL; undefined: it sends no more. */
  async sent(pid: number): Promise<number | undefined> {
    const { rows } = await this.#client.query<{ sent: string | null }>(
      `select (sent_lsn - '0/0')::text as sent from pg_stat_replication where pid = $1`,
      [pid],
    )
    const [found] = rows
    return found && Number(found.sent ?? 0)
  }
}

/** In the order of `columns`. Array literals are put together here: pg's own way costs several times as much. */
function keyArrays(keys: readonly CapturedKey[]): readonly (string | null)[] {
  return [
    plainArray(keys.map(({ organizationId }) => organizationId)),
    textArray(keys.map(({ channel }) => channel)),
    textArray(keys.map(({ oldChannel }) => oldChannel)),
    textArray(keys.map(({ table }) => table)),
    plainArray(keys.map(({ rowId }) => rowId)),
    plainArray(keys.map(({ op }) => op)),
    plainArray(keys.map(({ origin }) => origin.mutation_id)),
    plainArray(keys.map(({ origin }) => origin.origin_device_id)),
    plainArray(keys.map(({ origin }) => origin.actor_user_id)),
    plainArray(keys.map(({ origin }) => origin.actor_agent_id)),
  ]
}

/** Numbers, ids and words: nothing in them needs quoting. */
function plainArray(values: readonly (string | number | boolean | null)[]): string | null {
  return arrayOf(values, String)
}

function textArray(values: readonly (string | null)[]): string | null {
  return arrayOf(values, (value) => `"${value.replace(/["\\]/g, '\\$&')}"`)
}

/** Null where all are: `unnest` fills up with nulls what is shorter than the rest, and nobody has to read them. */
function arrayOf<T>(values: readonly (T | null)[], write: (value: T) => string): string | null {
  if (values.every((value) => value === null)) return null
  return `{${values.map((value) => (value === null ? 'NULL' : write(value))).join(',')}}`
}
