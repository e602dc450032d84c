import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { makeBackup, restoreBackup, testRestore, type BackupOptions } from '../../server/backup/backup.ts'
import { openDatabase } from '../../server/db/db.ts'
import { postgresPrograms } from '../../scripts/services.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type SqlRow, type World } from '../migrations/rows.ts'

const words = 'Nobody may read this in a backup.'
const keys = [{ id: 'k1', key: new Uint8Array(randomBytes(32)) }]

/** `freshSettings`: of a database of the same kind that is not there yet. */
export function describeBackups(
  kind: 'embedded' | 'postgres',
  freshSettings: (db: TestDatabase) => Promise<BackupOptions['settings']>,
): void {
  describe(`backups, ${kind}`, () => {
    let db: TestDatabase
    let world: World
    let dir: string
    let options: BackupOptions
    beforeAll(async () => {
      db = await createTestDatabase({ kind })
      dir = await mkdtemp(join(tmpdir(), 'tidewire-backup-'))
      world = await createWorld(db.database.pool)
      await db.database.pool.query('select sync.ensure_epoch(), sync.ensure_partitions(0)')
      for (let n = 0; n < 20; n++) await task(`${words} ${n}`)
      await insert(db.database.pool, 'token_usages', {
        organization_id: world.organization,
        model: 'm',
        input_tokens: 1,
        output_tokens: 2,
      })
      options = {
        database: db.database,
        settings: db.config,
        dir,
        keys,
        encrypt: true,
        programs: { bin: kind === 'postgres' ? postgresPrograms() : undefined, environment: process.env },
        clock: systemClock,
        random: systemRandom,
      }
    })
    afterAll(async () => {
      await db.close()
      await rm(dir, { recursive: true, force: true })
    })

    const query = async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
      (await db.database.pool.query(text, [...values])).rows
    const task = (title: string) =>
      insert(db.database.pool, 'tasks', { organization_id: world.organization, project_id: world.project, title })
    const made = async (more: Partial<BackupOptions> = {}) => {
      const backup = await makeBackup({ ...options, ...more })
      if (!backup) throw new Error('Somebody else is at it.')
      return backup
    }

    test('are one encrypted file, and come back whole into a database of their own', async () => {
      const backup = await made()
      expect(backup.rowCounts).toMatchObject({ tasks: 20, token_usages: 1, 'sync.settings': 1 })
      const bytes = await readFile(backup.location)
      expect(bytes.length).toBe(backup.sizeBytes)
      expect(bytes.includes(words)).toBe(false)
      // What comes later is not in it.
      await task('Later')
      const tried = await testRestore(options)
      expect(tried).toMatchObject({
        location: backup.location,
        differences: [],
        problems: 0,
        rowCounts: backup.rowCounts,
      })
      expect(
        await query(
          `select kind, status, location, is_encrypted, key_id, error_message, tested_backup_id, row_counts->'tasks' as tasks,
             sha256 = $1 as same, expires_at - started_at = interval '30 days' as month from backup_runs order by started_at`,
          [backup.sha256],
        ),
      ).toMatchObject([
        {
          kind: 'full',
          status: 'completed',
          location: backup.location,
          is_encrypted: true,
          key_id: 'k1',
          tasks: 20,
          same: true,
          month: true,
        },
        { kind: 'restore_test', status: 'completed', tested_backup_id: backup.id, error_message: null, tasks: 20 },
      ])
      expect((await readdir(dir)).filter((name) => !name.endsWith('.backup'))).toEqual([])
    })

    test('that are damaged, or whose key is gone, do not come back, and the test says so', async () => {
      const { location } = await made({ encrypt: false })
      const bytes = await readFile(location)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff
      await writeFile(location, bytes)
      await expect(testRestore(options)).rejects.toMatchObject({ code: 'backup_unreadable' })
      expect(await query(`select status, error_message from backup_runs order by started_at desc limit 1`)).toEqual([
        { status: 'failed', error_message: expect.stringContaining('checksum') as string },
      ])
      const sealed = await made()
      await expect(testRestore({ ...options, keys: [] })).rejects.toMatchObject({ code: 'secret_unreadable' })
      const other = [{ id: 'k1', key: new Uint8Array(randomBytes(32)) }]
      await expect(testRestore({ ...options, keys: other }, sealed.location)).rejects.toMatchObject({
        code: 'backup_unreadable',
      })
      await writeFile(join(dir, 'no.backup'), 'hello')
      await expect(testRestore(options, join(dir, 'no.backup'))).rejects.toMatchObject({ code: 'backup_unreadable' })
      await expect(makeBackup({ ...options, keys: [] })).rejects.toMatchObject({ code: 'encryption_unavailable' })
    })

    test('that are cancelled leave no file, and a row that says so', async () => {
      const before = await readdir(dir)
      const ending = new AbortController()
      const cancelled = makeBackup({
        ...options,
        signal: ending.signal,
        onProgress: () => ending.abort(new Error('Enough.')),
      })
      await expect(cancelled).rejects.toThrow('Enough.')
      expect((await readdir(dir)).toSorted()).toEqual(before.toSorted())
      expect(await query(`select status, error_message from backup_runs order by started_at desc limit 1`)).toEqual([
        { status: 'failed', error_message: 'It was cancelled.' },
      ])
    })

    test('of more than 30 days ago are removed, but never the newest', async () => {
      await query(
        `update backup_runs set started_at = started_at - interval '31 days', expires_at = expires_at - interval '31 days'`,
      )
      const [newest] = await query(
        `select location from backup_runs where kind = 'full' and status = 'completed' order by started_at desc limit 1`,
      )
      const { location, removed } = await made()
      expect(removed).toBe(3)
      expect((await readdir(dir)).filter((name) => name.startsWith('tidewire-'))).toEqual([
        location.slice(dir.length + 1),
      ])
      expect(
        await query('select deleted_at is not null as gone from backup_runs where location = $1 and kind = $2', [
          newest?.['location'],
          'full',
        ]),
      ).toEqual([{ gone: true }])
    })

    test('take the place of a database, which is kept, and begin another epoch', async () => {
      const backup = await made()
      const settings = await freshSettings(db)
      const given = { keys, programs: options.programs, replace: false, stamp: '20260101t000000' }
      expect(await restoreBackup(backup.location, settings, given)).toEqual({ rowCounts: backup.rowCounts, kept: null })
      await expect(restoreBackup(backup.location, settings, given)).rejects.toMatchObject({
        code: 'backup_failed',
        message: expect.stringMatching(/not empty|There is a database/) as string,
      })
      const replaced = await restoreBackup(backup.location, settings, { ...given, replace: true })
      expect(replaced.kept).toMatch(/before.20260101t000000$/)
      const restored = await openDatabase({ database: settings })
      try {
        await expect(restoreBackup(backup.location, settings, { ...given, replace: true })).rejects.toMatchObject({
          code: 'backup_failed',
          remedy: expect.stringContaining('Stop every server') as string,
        })
        const titles = await restored.pool.query('select title from tasks order by title')
        expect(titles.rows).toEqual(await query('select title from tasks order by title'))
        const epoch = 'select epoch from sync_heads'
        expect((await restored.pool.query(epoch)).rows).not.toEqual(await query(epoch))
        // Of its log nobody has a cursor, and its transactions are of the cluster that it comes from.
        const log = 'select (select count(*)::integer from sync_changes) as entries, restored from sync.settings'
        expect((await restored.pool.query(log)).rows).toEqual([{ entries: 0, restored: true }])
        // It is a living database: triggers and sequences work.
        const { rows } = await restored.pool.query(
          `update tasks set title = 'Changed' where title like '% 7' returning version`,
        )
        expect(rows).toEqual([{ version: 2 }])
      } finally {
        await restored.close()
      }
    })
  })
}
