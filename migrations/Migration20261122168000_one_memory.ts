import { Migration } from '@mikro-orm/migrations'
import { computeDuplicate } from './Migration20261122120000_memory_keeping.ts'

/**
 * The same words that two remember at the same time are one memory: who looks for them waits for whoever is just writing
 * them down.
 */
export class Migration20261122168000_one_memory extends Migration {
  override up(): void {
    this.addSql(replacing(computeDuplicate.replace('begin\n', `begin\n${wait}`)))
  }

  override down(): void {
    this.addSql(replacing(computeDuplicate))
  }
}

const replacing = (statement: string): string => statement.replace('create function', 'create or replace function')

/**
 * A thousand locks for all contents, since a lock lasts until the end of its transaction and there is not room for one per
 * memory of a large import. Two contents that share one wait for each other, and no longer than a commit takes.
 */
const wait = `  perform pg_advisory_xact_lock(71657, (hashtextextended(new.organization_id::text || new.content, 0) & 1023)::integer);
`
