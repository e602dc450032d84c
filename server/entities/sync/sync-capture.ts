import { bigint, integer, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** One row per slot: fencing and position of the log writer. */
export const syncCapture = defineTable({
  table: 'sync_capture',
  module: 'sync',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    slotName: text(),
    systemIdentifier: text(),
    timeline: integer(),
    lastSeq: bigint().default(0),
    term: bigint().default(0),
    holder: text().nullable(),
    heartbeatAt: timestamp().nullable(),
    /** Everything before this place in the WAL is in the log. */
    capturedThrough: bigint().nullable(),
  },
  indexes: [unique(['slotName'])],
})
