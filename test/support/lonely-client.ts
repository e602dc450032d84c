import { createClient, type Client } from '../../client-sdk/client.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { ReplicaStore } from '../../client-sdk/store/store.ts'
import { seededRandom } from '../../lib/random.ts'
import { ManualClock } from './manual-clock.ts'

/** A client whose server never answers, unless a transport is handed in; hand in a store to look into it. */
export function lonelyClient(
  store: ReplicaStore = createMemoryStore(shippedSchema),
  transport: Transport = { open: () => ({ send: () => undefined, close: () => undefined }) },
  clock = new ManualClock(),
): Promise<Client> {
  return createClient<typeof shippedSchema>({
    schema: shippedSchema,
    store,
    clock,
    random: seededRandom(1),
    transport,
    token: () => Promise.resolve('token'),
    device: { name: 'lonely', kind: 'cli' },
  })
}
