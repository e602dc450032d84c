/**
 * Capture: how a commit becomes known. Whoever writes, by SDK, psql or another service, the change log gets the keys of
 * what was changed, in commit order; `ChangeSource` (change-source.ts) is what the readers of the log see of it.
 *
 *     commit ──▶ WAL ──▶ slot ──▶ log writer ──▶ sync_changes ──▶ hub.advance     (Postgres; docs/capture.md)
 *     commit ──▶ triggers ──▶ sync_changes     (embedded, and Postgres with CAPTURE=trigger)
 *                    └ wake-up: NOTIFY (embedded) or a look at the log every 3 to 100 ms
 */
export { readSlotFigures } from './slot-figures.ts'
export { createTriggerSource } from './trigger-source.ts'
export { createWalSource } from './wal/wal-source.ts'
export { walRequirements, type WalFinding } from './wal/wal-requirements.ts'
