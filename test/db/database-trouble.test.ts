import pg from 'pg'
import { expect, test } from 'vitest'
import { databaseTrouble } from '../../server/db/database-trouble.ts'

/** As the driver makes it of what Postgres sends. */
function sent(severity: string, code: string, message: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), { severity, code })
}

test('a panic is about the database, though its code is that of an internal error', () => {
  const words = 'could not write to log file "000000010000000000000002" at offset 12582912: File too large'
  expect(databaseTrouble(sent('PANIC', 'XX000', words))).toMatchObject({ code: 'database_unreachable' })
  expect(databaseTrouble(sent('ERROR', 'XX000', words))).toBeUndefined()
})
