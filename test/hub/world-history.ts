// What each commit left of each row, kept by the database itself: triggers write down every version of a row in the
// transaction that made it, so what is rolled back is not there. With the log's order of the transactions that is the
// state at every position.
import type pg from 'pg'
import type { Seq } from '../../protocol/seq.ts'
import { worldTables, type WorldTable } from './world.ts'

/** As `to_jsonb` writes it, by SQL names. */
export type JsonRow = Readonly<Record<string, unknown>>

/** Rows by id. */
export type State = ReadonlyMap<WorldTable, ReadonlyMap<string, JsonRow>>

/** One version of a row; null: it is gone. */
interface Version {
  readonly seq: Seq
  readonly table: WorldTable
  readonly id: string
  readonly row: JsonRow | null
}

// Its name makes the trigger the first of all: what other triggers change in the same row comes after it.
const recordSql = `
create schema history;
create table history.versions (
  number bigserial primary key,
  xid xid8 not null default pg_current_xact_id(),
  table_name text not null,
  id uuid not null,
  row jsonb
);
create index on history.versions (id, number);
-- A row that is made and deleted within one transaction was never there, and the log may have no word of it.
create view history.effects as
select v.* from history.versions v
join lateral (select min(number) as first, max(number) as last from history.versions o where o.xid = v.xid and o.id = v.id) own on true
where (select o.row is not null from history.versions o where o.number = own.last)
  or (select o.row is not null from history.versions o where o.id = v.id and o.number < own.first order by o.number desc limit 1);
create function history.record() returns trigger language plpgsql as $$
begin
  if tg_op = 'TRUNCATE' then
    execute format('insert into history.versions (table_name, id) select %L, id from %I', tg_table_name, tg_table_name);
  elsif tg_op = 'DELETE' then
    insert into history.versions (table_name, id) values (tg_table_name, old.id);
  elsif tg_op = 'INSERT' or new is distinct from old then
    insert into history.versions (table_name, id, row) values (tg_table_name, new.id, to_jsonb(new));
  end if;
  return null;
end $$;`

/** Begins to keep the history of the world's tables. Once for each database, before a world is made there. */
export async function recordHistory(pool: pg.Pool): Promise<void> {
  const triggers = worldTables.map(
    (table) => `
    create trigger "0_history" after insert or update or delete on ${table} for each row execute function history.record();
    alter table ${table} enable always trigger "0_history";
    create trigger "0_history_truncate" before truncate on ${table} for each statement execute function history.record();
    alter table ${table} enable always trigger "0_history_truncate";`,
  )
  await pool.query(recordSql + triggers.join(''))
}

const versionsSql = `
with commits as (select xid, min(seq) as seq from sync_changes where xid is not null group by xid)
select v.number::float8, v.table_name as table, v.id::text, v.row, c.seq::float8
from history.effects v left join commits c using (xid)
where (v.row->>'organization_id' = $1 or v.row is null) order by c.seq, v.number`

interface VersionRow {
  readonly number: number
  readonly table: WorldTable
  readonly id: string
  readonly row: JsonRow | null
  readonly seq: Seq | null
}

/** Commits that the history knows and the log does not have, by one row that they changed. */
export async function readUnlogged(pool: pg.Pool): Promise<readonly JsonRow[]> {
  const { rows } = await pool.query<JsonRow>(
    `select distinct on (xid) table_name, id, row from history.effects v
    where not exists (select from sync_changes c where c.xid = v.xid) order by xid, number desc`,
  )
  return rows
}

export class History {
  readonly #versions: readonly Version[]
  readonly #state = new Map(worldTables.map((table) => [table, new Map<string, JsonRow>()]))
  #next = 0

  private constructor(versions: readonly Version[]) {
    this.#versions = versions
  }

  /**
   * Throws when the log has no place for a commit, or two commits of one row in another order than they were made in.
   */
  static async read(pool: pg.Pool, organizationId: string): Promise<History> {
    const { rows } = await pool.query<VersionRow>(versionsSql, [organizationId])
    const numbers = new Map<string, number>()
    const versions = rows.map(({ seq, number, table, id, row }) => {
      if (seq === null) throw new Error(`A commit that changed ${table} ${id} is not in the log.`)
      if ((numbers.get(id) ?? 0) > number) throw new Error(`The log has commits of ${table} ${id} in another order.`)
      numbers.set(id, number)
      return { seq, table, id, row }
    })
    return new History(versions)
  }

  /** The state at a position that is not before the last that was asked for; good until the next is. */
  at(position: number): State {
    for (
      let version = this.#versions[this.#next];
      version && version.seq <= position;
      version = this.#versions[++this.#next]
    ) {
      const { table, id, row } = version
      if (row) this.#state.get(table)?.set(id, row)
      else this.#state.get(table)?.delete(id)
    }
    return this.#state
  }

  get end(): State {
    return this.at(Number.POSITIVE_INFINITY)
  }

  /** Every version of a row, and of those that name it, a line for each. */
  tell(id: string): readonly string[] {
    const own = this.#versions.filter((version) => version.id === id)
    const parents = new Set(
      own.flatMap(({ row }) => ['conversation_id', 'memory_id', 'knowledge_entry_id'].map((column) => row?.[column])),
    )
    const told = this.#versions.filter(
      ({ id: other, row }) => other === id || parents.has(other) || Object.values(row ?? {}).includes(id),
    )
    return told.map(({ seq, table, id: other, row }) => {
      const values = Object.entries(row ?? {}).filter(([, value]) => value !== null && typeof value !== 'object')
      return `  ${seq} ${table} ${other} ${row ? JSON.stringify(Object.fromEntries(values)) : 'gone'}`
    })
  }
}

/** The tables as they are: the last state of every history. */
export async function readTables(pool: pg.Pool, organizationId: string): Promise<State> {
  const state = new Map<WorldTable, ReadonlyMap<string, JsonRow>>()
  for (const table of worldTables) {
    const { rows } = await pool.query<{ id: string; row: JsonRow }>(
      `select id, to_jsonb(t) as row from ${table} t where organization_id = $1`,
      [organizationId],
    )
    state.set(table, new Map(rows.map(({ id, row }) => [id, row])))
  }
  return state
}
