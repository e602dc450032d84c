/**
 * Capture: how a commit becomes known. Whoever writes, by SDK, psql or another service, the change log gets the keys of what
 * was changed, in commit order; `ChangeSource` (change-source.ts) is what the readers of the log see of it.
 *
 *     commit ──▶ triggers ──▶ sync_changes ──▶ hub.advance
 *                    └ wake-up: NOTIFY (embedded) or a look at the log every 3 to 100 ms
 *     commit ──▶ WAL ──▶ slot ──▶ log writer ──▶ sync_changes     (Postgres with CAPTURE=wal; docs/capture.md)
 */
export { readSlotFigures } from './slot-figures.ts'
export { createTriggerSource } from './trigger-source.ts'
export { createWalSource } from './wal/wal-source.ts'
