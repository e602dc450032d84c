import { seededRandom } from '../../lib/random.ts'
import { frameOf } from '../../protocol/block-frame.ts'
import { messageFrame, parseUp } from '../../protocol/parse.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import type { Up, UpOf } from '../../protocol/messages/up.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { Connection } from '../../client-sdk/connection/connection.ts'
import type { Transport, TransportListener } from '../../client-sdk/connection/transport.ts'
import { settled } from '../support/manual-clock.ts'
import { openReplica, welcome, type Opened } from '../replica/open-replica.ts'
import { channel } from '../replica/replica-schema.ts'

/** The server's side of the wire, said word by word by the test. */
export class ScriptedServer implements Transport {
  #listener: TransportListener | null = null
  #heard: Up[] = []
  opens = 0

  open(listener: TransportListener): { send(frame: Uint8Array): void; close(): void } {
    this.opens += 1
    this.#listener = listener
    return {
      send: (frame) => {
        if (this.#listener === listener) this.#heard.push(parseUp(frame).message)
      },
      close: () => {
        if (this.#listener === listener) this.#listener = null
      },
    }
  }

  get isOpen(): boolean {
    return this.#listener !== null
  }

  async accept(): Promise<void> {
    await settled()
    this.#listener?.opened()
    await settled()
  }

  async say(message: Down, blocks: readonly PackedBlock[] = []): Promise<void> {
    this.#listener?.received('blocks' in message ? frameOf(message, blocks) : messageFrame(message))
    await settled()
  }

  async raw(frame: Uint8Array): Promise<void> {
    this.#listener?.received(frame)
    await settled()
  }

  async cut(): Promise<void> {
    const listener = this.#listener
    this.#listener = null
    listener?.closed('cut')
    await settled()
  }

  /** What was heard since the last call. */
  async heard(): Promise<readonly Up[]> {
    await settled()
    const heard = this.#heard
    this.#heard = []
    return heard
  }

  async heardOf<T extends Up['type']>(type: T): Promise<readonly UpOf<T>[]> {
    return (await this.heard()).filter((message): message is UpOf<T> => message.type === type)
  }
}

export interface Connected extends Opened {
  readonly server: ScriptedServer
  readonly connection: Connection
}

/** A connection over a fresh replica; nothing has been said yet. */
export async function connectionOf(
  token: string | (() => Promise<string>) = async () => 'token',
  opened?: Opened,
): Promise<Connected> {
  const { replica, store, clock } = opened ?? (await openReplica())
  const server = new ScriptedServer()
  const connection = new Connection({
    replica,
    transport: server,
    clock,
    random: seededRandom(3),
    token,
    device: { name: 'test', kind: 'cli' },
    backoff: { minMs: 100, maxMs: 10_000 },
  })
  return { replica, store, clock, server, connection }
}

export function batchMessage(to: number, values: Partial<DownOf<'batch'>> = {}): DownOf<'batch'> {
  return {
    type: 'batch',
    to,
    at: to,
    more: false,
    blocks: [],
    deletes: [],
    leaves: [],
    settled: [],
    activated: [],
    resets: [],
    ...values,
  }
}

/** Goes live with a server that knows `values` of this device. */
export async function goLive(
  { server, connection }: Connected,
  values: Partial<DownOf<'welcome'>> = {},
): Promise<readonly Up[]> {
  if (!server.isOpen) connection.connect()
  await server.accept()
  await server.say(welcome(values))
  return server.heard()
}

/** Live, and following the project with its state held as of position 1. */
export async function liveAndHeld(token?: () => Promise<string>): Promise<Connected> {
  const connected = await connectionOf(token)
  const { server, replica } = connected
  await goLive(connected, { resume: false })
  await replica.addSubscription({ id: 'project', channel, embeddings: false })
  await server.say({ type: 'subscribed', id: 'project' })
  await server.say({ type: 'page', subscription: 'project', from: 1, next: null, blocks: [] })
  await server.say(batchMessage(1, { activated: ['project'] }))
  await server.heard()
  return connected
}
