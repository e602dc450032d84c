/**
 * The door of the server: what a program imports to run one of its own (docs/embedding.md). `tidewire start` does
 * without it: the base class of migrations brings the ORM along, which a server that only syncs never needs.
 */
export { defineAction, type ActionContext, type CredentialRequest } from './actions/actions.ts'
export { loadConfig, type Config } from './config.ts'
export type { OwnMigration } from './db/db.ts'
export { Migration } from '@mikro-orm/migrations'
export { createPusher, createServer, type Application, type ServerOptions, type TideServer } from './tide-server.ts'
// What an application declares its own tables with (docs/embedding.md).
export {
  bigint,
  boolean,
  date,
  double,
  enumeration,
  integer,
  json,
  numeric,
  reference,
  text,
  textArray,
  timestamp,
  uuid,
  vector,
} from './entities/column.ts'
export { defineTable, type TableEntity } from './entities/define.ts'
export { gin, hnsw, index, live, trigram, unique } from './entities/indexes.ts'
export { authorColumns, recordColumns, scopeColumns, serverColumns, syncedColumns } from './entities/mixins.ts'
export type { Credentials } from './credentials/credentials.ts'
export type { Actor, Repositories, Unit } from './repositories/repositories.ts'
