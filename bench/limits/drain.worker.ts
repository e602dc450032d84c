// Reads a slot and throws everything away, in a process of its own as our server is: what a walsender, and whoever it
// sends to, cost at least. Made and ended by its parent; see slot-reader.ts.
import { once } from 'node:events'
import { systemClock } from '../../lib/clock.ts'
import { openReplication } from '../../server/capture/wal/replication-client.ts'
import type { SlotOrder } from './slot-reader.ts'

const [{ connectionString, slot, publication }] = (await once(process, 'message')) as [SlotOrder]
// A socket that rests does not keep the process alive; its parent does.
process.once('message', () => undefined)
await openReplication({
  connection: { connectionString },
  clock: systemClock,
  slot,
  publication,
  onMessage: () => undefined,
  onPosition: () => undefined,
})
process.send?.('reads')
