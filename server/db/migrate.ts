import { parse } from 'node:path'
import type { MikroORM, Transaction } from '@mikro-orm/postgresql'
import pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import { explainExtensions } from './extensions.ts'
import { patiently, type LockPatience } from './lock-wait.ts'
import { migrationNames, type OwnSchema } from './own-schema.ts'
import { prepare, type EmbeddingChoice } from './prepare.ts'

/** Held while migrations run, so that servers that start together do not migrate together. Any constant does. */
const migrationLock = 7_164_902_331

export interface MigrateOptions {
  /** Made only when something is pending, for it takes a moment. */
  readonly orm: () => Promise<MikroORM>
  readonly onProgress?: ((migration: string) => void) | undefined
  /** Hears in a sentence whom it waits for. */
  readonly onWait?: ((text: string) => void) | undefined
  readonly embedding?: EmbeddingChoice | undefined
  readonly own: OwnSchema
  /**
   * The shipped schema is there, nothing of the application and no shipped row yet. Not called when nothing was
   * pending.
   */
  readonly onMigrated?: (() => Promise<void>) | undefined
}

export async function migrateUp(connection: pg.ClientConfig, options: MigrateOptions): Promise<readonly string[]> {
  return alone(connection, options.onWait, async (client) => {
    const done: string[] = []
    const patience = { beside: besideOf(connection, client), onWait: options.onWait }
    const isOwn = (name: string): boolean => options.own.migrations?.some((one) => one.name === name) ?? false
    const apply = async (orm: MikroORM, isWanted: (name: string) => boolean): Promise<void> => {
      for (;;) {
        const next = (await orm.migrator.getPending()).find(({ name }) => isWanted(name))
        if (!next) break
        options.onProgress?.(next.name)
        await migratePatiently(orm, 'up', { ...patience, what: next.name }).catch(async (error: unknown) => {
          throw await explainExtensions(client, error)
        })
        done.push(next.name)
      }
    }
    if (await isBehind(client, options.own)) {
      const orm = await options.orm()
      await apply(orm, (name) => !isOwn(name))
      if (done.length > 0) await options.onMigrated?.()
      await apply(orm, isOwn)
    }
    await patiently({ ...patience, what: 'Preparing the tables' }, (begin) =>
      prepare(connection, begin, options.embedding, options.own.entities),
    )
    return done
  })
}

/** Asks what the migrator would, without the ORM. */
async function isBehind(client: pg.Client, own: OwnSchema): Promise<boolean> {
  const made = await client.query<{ name: string | null }>(`select to_regclass('mikro_orm_migrations')::text as name`)
  if (made.rows[0]?.name == null) return true
  const { rows } = await client.query<{ name: string }>('select name from mikro_orm_migrations')
  const executed = new Set(rows.map(({ name }) => parse(name).name))
  return (await migrationNames(own)).some((name) => !executed.has(name))
}

export async function rollbackOne(
  orm: MikroORM,
  connection: pg.ClientConfig,
  own: OwnSchema,
): Promise<string | undefined> {
  return alone(connection, undefined, async (client) => {
    const newest = (await orm.migrator.getExecuted()).at(-1)
    if (!newest) return undefined
    if (!(await migrationNames(own)).includes(newest.name)) {
      throw new TideError('invalid_schema', `Migration ${newest.name} is in the database, and not known here.`, {
        remedy:
          'Name the application that has it (--app FILE or TIDEWIRE_APP), or use the version of Tidewire that has it.',
      })
    }
    await migratePatiently(orm, 'down', { what: newest.name, beside: besideOf(connection, client) })
    return newest.name
  })
}

/**
 * The embedded database has one backend: a question beside its transaction would wait for that to end, and nobody else
 * holds a lock.
 */
function besideOf({ connectionString }: pg.ClientConfig, client: pg.Client): pg.Client | undefined {
  return connectionString === undefined ? undefined : client
}

/**
 * Runs one migration. A migration that asks to run outside of any transaction does, and waits as it was written to. On
 * the embedded database the migrator makes the transaction itself: it looks at its tables before, on another
 * connection, for which it would wait.
 */
async function migratePatiently(
  { em, migrator }: MikroORM,
  direction: 'up' | 'down',
  patience: LockPatience,
): Promise<void> {
  const migrations = [patience.what]
  if (!patience.beside) return void (await migrator[direction]({ migrations }))
  const connection = em.getConnection()
  await patiently(patience, (begin) =>
    connection.transactional(async (transaction: Transaction) => {
      await begin((text) => connection.execute<{ pid: number }[]>(text, [], 'all', transaction))
      await migrator[direction]({ migrations, transaction })
    }),
  )
}

/** Runs with the migration lock held. A session lock: a crash frees it. */
async function alone<T>(
  connection: pg.ClientConfig,
  onWait: ((text: string) => void) | undefined,
  run: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client(connection)
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [migrationLock])
    if (rows[0]?.mine !== true) {
      onWait?.('Another process applies migrations; waiting for it')
      await client.query('select pg_advisory_lock($1)', [migrationLock])
    }
    return await run(client)
  } finally {
    await client.query('select pg_advisory_unlock($1)', [migrationLock]).catch(() => undefined)
    await client.end()
  }
}
