import pg from 'pg'
import type { Clock } from '../../../lib/clock.ts'
import { TideError } from '../../../protocol/error.ts'
import { patiently, withSetupLock } from './setup-lock.ts'

const slotInUse = '55006'
const slotTries = 20
const slotRetryMs = 250

/**
 * Brings a database that is captured from the WAL back to triggers: drops the slot, then lets the triggers of one table
 * after the other write again (all in one transaction would deadlock with writers), then mints a new epoch, since what
 * was committed meanwhile is in no log. Throws `capture_unavailable` while a server reads the slot.
 */
export function endWalCapture(connection: pg.ClientConfig, clock: Clock): Promise<void> {
  return withSetupLock(connection, async (client) => {
    const { rows: slots } = await client.query<{ name: string }>(
      'select s.slot_name::text as name from sync_capture c join pg_replication_slots s on s.slot_name = c.slot_name',
    )
    for (const { name } of slots) await dropSlot(client, name, clock)
    const { rows: tables } = await client.query<{ name: string }>(
      `select name from sync.captured_tables('') where not listens`,
    )
    for (const { name } of tables) await patiently(() => client.query('select sync.listen_again($1)', [name]))
    await patiently(() => client.query('select sync.capture_by_trigger()'))
  })
}

/** A slot is in use for a moment after its reader has gone. */
async function dropSlot(client: pg.Client, name: string, clock: Clock): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query('select pg_drop_replication_slot($1)', [name])
      return
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== slotInUse) throw error
      if (attempt === slotTries) throw refused(error)
      await new Promise<void>((resolve) => void clock.after(slotRetryMs, resolve))
    }
  }
}

function refused(cause: pg.DatabaseError): TideError {
  return new TideError(
    'capture_unavailable',
    `CAPTURE is trigger, but another server captures from the WAL: ${cause.message}.`,
    { remedy: 'Stop the servers that run with CAPTURE=wal first, or start this one with CAPTURE=wal.', cause },
  )
}
