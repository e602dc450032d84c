import pg from 'pg'
import type { Clock } from '../../../lib/clock.ts'
import { createBulkSocket, messageKind, tapMessages } from '../../db/message-tap.ts'
import { ReadPace } from './read-pace.ts'

export interface ReplicationOptions {
  readonly connection: pg.ClientConfig
  readonly clock: Clock
  readonly slot: string
  readonly publication: string
  /** One message of the output plugin. The bytes are only good during the call. An error ends the stream with it. */
  readonly onMessage: (bytes: Buffer) => void
  /** The server has sent everything up to here. */
  readonly onPosition: (lsn: number) => void
}

/** An open stream of logical replication. */
export interface Replication {
  /** Of Postgres, by the time of its start: places in the WAL are those of this run. */
  readonly run: string
  /** The process of Postgres that sends. */
  readonly pid: number
  /** Milliseconds since anything came; 0 while it is paused. */
  silentMs(): number
  /** All up to here is durable elsewhere: the server may forget it. Told soon. */
  confirm(lsn: number): void
  /** Stops and resumes reading; what the server sends meanwhile waits in the socket. Keepalives go on. */
  pause(): void
  resume(): void
  /** Resolves when the stream has ended, with the reason. */
  readonly ended: Promise<Error>
  close(): Promise<void>
}

/** What the slot sends cannot be read, and will not be at the next try either. */
export class UnreadableStreamError extends Error {
  override readonly name = 'UnreadableStreamError'
  /** SQLSTATE, where Postgres itself could not go on. */
  readonly code: string | undefined

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.code = cause instanceof pg.DatabaseError ? cause.code : undefined
  }
}

/** Of connections, resources and operators: the stream may be fine. 55006: somebody else reads it. */
const passing = /^(08|53|57|55006)/

/** What pg's types leave out: the protocol level of a connection. */
interface ProtocolConnection {
  readonly stream: { pause(): void; resume(): void; destroy(): void }
  once(event: 'replicationStart', listener: () => void): void
  sendCopyFromChunk(chunk: Buffer): void
}

/**
 * Postgres sends an open transaction as soon as its changes take more than this, in one block that all other commits
 * wait for: of its default of 64 MB, some 150,000 rows. The least there is allows is 64 kB.
 */
const blockMemory = '4MB'
/** Each status asks for an answer, so that a Postgres which is gone without a word is noticed. */
const statusEveryMs = 5000
const startMs = 15_000
const endMs = 1000
/** Those who follow the log without Redis read there how far it is. */
const confirmEveryMs = 5
/** What pg's types leave out: a limit for one query. */
const asks: pg.QueryConfig & { readonly query_timeout: number } = {
  text: `select sync.postgres_run() as run, pg_backend_pid() as pid, setting::integer as "timeoutMs" from pg_settings where name = 'wal_sender_timeout'`,
  query_timeout: startMs,
}
const data = 0x77
const keepalive = 0x6b

/**
 * Reads a slot. Rejects when the server refuses, with its error: 55006 while another connection reads it. A status goes
 * out every 5 s and whenever the server asks, so that a stream where nothing happens stays open, and one whose server
 * is gone ends.
 */
export async function openReplication(options: ReplicationOptions): Promise<Replication> {
  const { clock, slot, publication } = options
  const config: pg.ClientConfig & { readonly replication: 'database' } = {
    ...options.connection,
    stream: createBulkSocket,
    replication: 'database',
    application_name: 'tidewire capture',
    options: `-c logical_decoding_work_mem=${blockMemory}`,
  }
  const client = new pg.Client(config)
  const ended = Promise.withResolvers<Error>()
  client.on('error', (error) => ended.resolve(error))
  client.on('end', () => ended.resolve(new Error('The replication connection was closed.')))
  await client.connect()
  const { connection } = client as unknown as { readonly connection: ProtocolConnection }
  const end = async (): Promise<void> => {
    // The server may be in the middle of a big transaction and not listen: it notices a closed socket at its next
    // write.
    const cancel = clock.after(endMs, () => connection.stream.destroy())
    await client.end().catch(() => undefined)
    cancel()
  }
  const about = await client
    .query<{ run: string; pid: number; timeoutMs: number }>(asks)
    .catch(async (error: unknown) => {
      await end()
      throw error
    })
  const { run = '', pid = 0, timeoutMs = 0 } = about.rows[0] ?? {}
  // In the middle of a transaction that sends nothing, it answers only when half its own limit has passed.
  const silentMs = timeoutMs === 0 ? 600_000 : Math.max(15_000, timeoutMs * 1.25)
  let [received, confirmed] = [0, 0]
  let [failed, paused, resting] = [false, false, false]
  let heardAt = clock.monotonic()
  const pace = new ReadPace()

  const sendStatus = (wantsAnswer = false): void => {
    const status = Buffer.alloc(34)
    status[0] = 0x72
    writeLsn(status, received, 1)
    writeLsn(status, confirmed, 9)
    writeLsn(status, confirmed, 17)
    status.writeBigInt64BE(BigInt(Math.round(clock.now()) - 946_684_800_000) * 1000n, 25)
    status[33] = wantsAnswer ? 1 : 0
    connection.sendCopyFromChunk(status)
  }
  const hear = (bytes: Buffer, at: number, messageEnd: number): void => {
    if (failed) return
    heardAt = clock.monotonic()
    try {
      if (bytes[at] === data) {
        received = Math.max(received, readLsn(bytes, at + 1))
        options.onMessage(bytes.subarray(at + 25, messageEnd))
      } else if (bytes[at] === keepalive) {
        received = Math.max(received, readLsn(bytes, at + 1))
        options.onPosition(readLsn(bytes, at + 1))
        if (bytes[at + 17] === 1) sendStatus()
      }
    } catch (error) {
      failed = true
      ended.resolve(new UnreadableStreamError(error))
    }
  }
  /** What comes next may wait in the socket for a moment. */
  const rest = (bytes: number): void => {
    const ms = pace.rest(clock.monotonic(), bytes)
    if (ms === 0 || resting) return
    resting = true
    connection.stream.pause()
    clock.after(ms, () => {
      resting = false
      if (!paused) connection.stream.resume()
    })
  }
  tapMessages(client, messageKind.copyData, hear, rest)
  const started = new Promise<void>((resolve) => connection.once('replicationStart', resolve))
  const running = client
    .query(
      `START_REPLICATION SLOT ${pg.escapeIdentifier(slot)} LOGICAL 0/0 (proto_version '2', publication_names ${pg.escapeLiteral(pg.escapeIdentifier(publication))}, binary 'true', streaming 'on', messages 'true')`,
    )
    .then(() => Promise.reject(new Error('The server ended the replication.')))
  running.catch((error: unknown) => ended.resolve(toReason(error)))
  const late = Promise.withResolvers<never>()
  const cancelLate = clock.after(startMs, () => late.reject(new Error('Postgres does not begin to send.')))
  try {
    await Promise.race([started, running, late.promise])
  } catch (error) {
    await end()
    throw toReason(error)
  } finally {
    cancelLate()
  }
  let closed = false
  let telling = false
  const beat = (): void => {
    if (closed) return
    if (!paused && clock.monotonic() - heardAt > silentMs)
      ended.resolve(new Error(`Postgres has not answered for ${silentMs / 1000} s.`))
    sendStatus(true)
    clock.after(statusEveryMs, beat)
  }
  clock.after(statusEveryMs, beat)
  void ended.promise.then(() => {
    closed = true
  })
  return {
    run,
    pid,
    silentMs: () => (paused ? 0 : clock.monotonic() - heardAt),
    confirm(lsn) {
      if (lsn <= confirmed) return
      confirmed = lsn
      if (telling) return
      telling = true
      clock.after(confirmEveryMs, () => {
        telling = false
        if (!closed) sendStatus()
      })
    },
    pause() {
      paused = true
      connection.stream.pause()
    },
    resume() {
      paused = false
      heardAt = clock.monotonic()
      if (!resting) connection.stream.resume()
    },
    ended: ended.promise,
    async close() {
      if (!closed) sendStatus()
      closed = true
      paused = false
      connection.stream.resume()
      await end()
    },
  }
}

function toReason(error: unknown): Error {
  if (error instanceof pg.DatabaseError && !passing.test(error.code ?? '08')) return new UnreadableStreamError(error)
  return error instanceof Error ? error : new Error(String(error))
}

function readLsn(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}

function writeLsn(bytes: Buffer, lsn: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(lsn / 2 ** 32), at)
  bytes.writeUInt32BE(lsn % 2 ** 32, at + 4)
}
