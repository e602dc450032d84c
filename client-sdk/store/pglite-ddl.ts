import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import type { Tables } from './holding.ts'

/**
 * What a PGlite replica looks like inside. Synced tables lie in `public` under their own names, so that users' SQL
 * reads like the server's; columns have the server's types but no constraints, for the server has checked them and rows
 * of a batch come in any order. What the replica keeps for itself lies in schema `tidewire`.
 */

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Type of a column in SQL. */
export function columnSqlType({ type, precision, scale, dimension }: ColumnDescriptor): string {
  switch (type) {
    case 'double':
      return 'double precision'
    case 'numeric':
      return precision === undefined ? 'numeric' : `numeric(${precision},${scale ?? 0})`
    case 'vector':
      return dimension === undefined ? 'vector' : `vector(${dimension})`
    case 'timestamptz':
      return 'timestamptz(3)'
    default:
      return type
  }
}

/** One statement list that makes all synced tables. Its text is also what tells one replica schema from another. */
export function tablesDdl(tables: Tables): string {
  return [...tables.values()].map(tableDdl).join('\n')
}

function tableDdl(table: TableDescriptor): string {
  const name = identifier(table.name)
  const columns = Object.values(table.columns).map((column) => {
    const key = column.name === 'id' ? ' primary key' : ''
    return `${identifier(column.name)} ${columnSqlType(column)}${key}`
  })
  const indexes = indexedColumns(table).map(
    (column) =>
      `create index ${identifier(`${table.name}_${column}_replica`)} on public.${name} (${identifier(column)});`,
  )
  return [`create table public.${name} (${columns.join(', ')});`, ...indexes].join('\n')
}

/** Swaps and purges look for rows by channel, and for children by parent. */
function indexedColumns({ columns, scope }: TableDescriptor): readonly string[] {
  const parent = scope.kind === 'via' ? columns[scope.column]?.name : undefined
  return [columns['channel']?.name, parent].filter((name) => name !== undefined)
}

export const dropTables = `do $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' loop
    execute format('drop table public.%I cascade', name);
  end loop;
end $$;`

/** `json`, not `jsonb`, where a value must come back to the letter. */
export const localDdl = `
create extension if not exists vector;
create schema if not exists tidewire;
create table if not exists tidewire.local_meta (
  key text primary key, value json not null, updated_at timestamptz not null default now());
create table if not exists tidewire.local_outbox (
  id uuid primary key, position bigint not null, status text not null, table_name text not null, row_id uuid not null,
  entry json not null);
create table if not exists tidewire.local_row_states (
  table_name text not null, row_id uuid not null, server_image json, primary key (table_name, row_id));
create table if not exists tidewire.local_subscriptions (
  id text primary key, channel text not null, state text not null, from_seq bigint, next_page text, subscription json not null);
create table if not exists tidewire.local_staging (
  number bigint generated always as identity primary key, subscription text not null, table_name text not null, frame bytea not null);
create index if not exists local_staging_subscription on tidewire.local_staging (subscription, table_name);
alter table tidewire.local_staging alter column frame set storage external;
`
