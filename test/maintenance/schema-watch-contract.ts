// What the watch of the schema makes of triggers, where these write the log; where changes come from the WAL see
// test/failure/schema-changed.
import { Migration } from '@mikro-orm/migrations'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import { createSchemaWatch } from '../../server/maintenance/schema-watch.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

class TouchPlansAgain extends Migration {
  override up(): void {
    this.addSql(`select sync.install_touch('plans', '{project_id}', '{}')`)
    this.addSql(`select sync.install_channel('plans', $$'project/' || new.project_id$$)`)
    this.addSql(`select sync.install_capture('plans')`)
  }
}

class FillPlansUnseen extends Migration {
  override up(): void {
    this.addSql('alter table plans disable trigger b_touch')
    this.addSql(`update plans set description = 'filled'`)
    this.addSql('alter table plans enable always trigger b_touch')
    this.addSql(`select sync.distrust_shape('{plans}')`)
  }
}

const tellingTriggers = [
  'a_channel',
  'b_touch',
  'capture_insert',
  'capture_update',
  'capture_delete',
  'capture_truncate',
]

export function describeSchemaWatch(kind: 'embedded' | 'postgres'): void {
  describe(`the schema watch, ${kind}`, () => {
    let db: TestDatabase
    let own: Database
    let look: ReturnType<typeof createSchemaWatch>
    let epoch: string
    const changed: string[] = []

    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      await db.database.close()
      own = await openDatabase({ database: db.config }, { own: { migrations: [TouchPlansAgain] } })
      await query('select sync.ensure_epoch()')
      const log = {
        ...silentLog,
        error: (_: string, details?: { readonly tables?: readonly string[] }) =>
          void changed.push(...(details?.tables ?? [])),
      }
      look = createSchemaWatch({ pool: own.pool, catalog: loadCatalog(), log })
    })
    afterAll(async () => {
      await own.close()
      await db.close()
    })
    beforeEach(async () => {
      expect(await look()).toBeUndefined()
      changed.length = 0
      epoch = await readEpoch()
    })

    const query = async (text: string) => (await own.pool.query(text)).rows
    const readEpoch = async (): Promise<string> => (await query('select epoch from sync_heads'))[0].epoch

    /**
     * What the next look finds: tables whose rows may have changed unseen, and whether another epoch has begun. The one
     * after it finds no more.
     */
    async function found(): Promise<{ readonly changed: readonly string[]; readonly startsOver: boolean }> {
      expect(await look()).toBeUndefined()
      const answer = { changed: [...changed], startsOver: (await readEpoch()) !== epoch }
      expect(await look()).toBeUndefined()
      expect(changed).toHaveLength(answer.changed.length)
      return answer
    }

    test('thinks nothing of triggers that a migration makes again', async () => {
      expect(await own.migrate()).toEqual(['TouchPlansAgain'])
      expect(await found()).toEqual({ changed: [], startsOver: false })
    })

    test('believes a migration that says that it changed rows without them', async () => {
      const more = await openDatabase(
        { database: db.config },
        { mode: 'either', own: { migrations: [TouchPlansAgain, FillPlansUnseen] } },
      )
      expect(await more.migrate()).toEqual(['FillPlansUnseen'])
      await more.close()
      expect(await found()).toEqual({ changed: ['plans'], startsOver: true })
    })

    test.for(tellingTriggers)('sees that %s was disabled and enabled between two looks', async (name) => {
      await query(`alter table plans disable trigger ${name}; alter table plans enable always trigger ${name}`)
      expect(await found()).toEqual({ changed: ['plans'], startsOver: true })
    })

    test('sees that one was dropped and made again between two looks', async () => {
      await query(
        `do $$ declare made text := (select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'plans'::regclass and tgname = 'b_touch');
         begin
           drop trigger b_touch on plans;
           execute made;
           alter table plans enable always trigger b_touch;
         end $$`,
      )
      expect(await found()).toEqual({ changed: ['plans'], startsOver: true })
    })

    test.for([
      ['project_members', 'log_grant_delete'],
      ['access_tokens', 'capture_update'],
    ] as const)('sees it of triggers that tell who may see what: %s, %s', async ([table, name]) => {
      await query(`alter table ${table} disable trigger ${name}; alter table ${table} enable always trigger ${name}`)
      expect(await found()).toEqual({ changed: [table], startsOver: true })
    })

    test('says of triggers that do not fire for a session that plays a replica what is wrong, until they do', async () => {
      await query('alter table plans disable trigger user; alter table plans enable trigger user')
      const what = `plans lacks its triggers, or they do not fire always: ${tellingTriggers.join(', ')}`
      expect(await look()).toMatchObject({ code: 'schema_mismatch', message: expect.stringContaining(what) as string })
      await query(`alter table plans ${tellingTriggers.map((name) => `enable always trigger ${name}`).join(', ')}`)
      expect(await found()).toEqual({ changed: ['plans'], startsOver: true })
    })
  })
}
