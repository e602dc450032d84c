// The middle of the bare chain, in a process of its own as our server is: reads commits from a slot, asks for the row
// of each by its key, and sends it to whoever is connected. Made and ended by its parent; see chain.ts.
import { once } from 'node:events'
import { createServer } from 'node:http'
import pg from 'pg'
import { WebSocketServer } from 'ws'
import { systemClock } from '../../lib/clock.ts'
import { PgoutputDecoder } from '../../server/capture/wal/pgoutput-decoder.ts'
import { openReplication } from '../../server/capture/wal/replication-client.ts'
import type { ChainReady } from './chain.ts'
import type { SlotOrder } from './slot-reader.ts'

const [order] = (await once(process, 'message')) as [SlotOrder]
const connection = { connectionString: order.connectionString }
const http = createServer()
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false })
const reader = new pg.Client(connection)
await reader.connect()

const decoder = new PgoutputDecoder()
let changed: string[] = []
let asked: Promise<void> = Promise.resolve()
await openReplication({
  connection,
  clock: systemClock,
  slot: order.slot,
  publication: order.publication,
  onMessage(bytes) {
    const message = decoder.decode(bytes)
    if (message.kind === 'row' && message.table === 'tasks' && message.row?.id !== undefined)
      changed.push(message.row.id)
    if (message.kind !== 'commit') return
    // One after the other, as pg wants it: at an even pace none waits for another.
    for (const id of changed) asked = asked.then(() => tell(id))
    changed = []
  },
  onPosition: () => undefined,
})
http.listen(0, '127.0.0.1')
await once(http, 'listening')
const address = http.address()
const ready: ChainReady = { port: typeof address === 'object' && address ? address.port : 0 }
process.send?.(ready)

async function tell(id: string): Promise<void> {
  const { rows } = await reader.query<object>({
    name: 'chain',
    text: 'select * from tasks where id = $1',
    values: [id],
  })
  const text = JSON.stringify(rows[0])
  for (const socket of sockets.clients) socket.send(text)
}
