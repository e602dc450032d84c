import pg from 'pg'
import type { Clock } from '../../../lib/clock.ts'
import type { Seq } from '../../../protocol/seq.ts'
import { TideError } from '../../../protocol/error.ts'
import { CommitAssembler, type ForeignReason } from './commit-assembler.ts'
import type { RecentCommit } from '../change-source.ts'
import { LogQueue, type Work } from './log-queue.ts'
import { LogTail } from './log-tail.ts'
import { LogWriter } from './log-writer.ts'
import { PgoutputDecoder } from './pgoutput-decoder.ts'
import { openReplication, type Replication } from './replication-client.ts'
import type { SetupWatch } from './setup-watch.ts'
import { SilenceWatch } from './silence-watch.ts'
import type { CaptureNames } from './wal-setup.ts'
import { WritePace } from './write-pace.ts'

export interface LogStreamOptions {
  readonly connection: pg.ClientConfig
  readonly clock: Clock
  readonly names: CaptureNames
  readonly holder: string
  /** Who is in the way of the writer's beginning is told of. */
  readonly watch: Pick<SetupWatch, 'begin'>
  /** Which run of Postgres it reads: told before all else. */
  readonly onRun: (run: string) => void
  /** Everything that ends before this place in the WAL of a run is in the log, durably. */
  readonly onPosition: (end: number, run: string) => void
  /** Keys of open transactions that are held in memory. */
  readonly openKeys: number
  /** A message in the WAL was passed over. */
  readonly onForeign: (reason: ForeignReason) => void
  /** A commit with keys can be had from `recent`; it is not in the log yet. */
  readonly onCommit: (seq: Seq) => void
  /** Commits with keys were logged. */
  readonly onLogged: (newest: Seq) => void
}

export interface LogStream {
  /** Of Postgres, which writes the log. */
  readonly pid: number
  /**
   * Resolves when it has ended, with the reason; nothing is written after. A `timeout`: the writer may be waiting for
   * somebody.
   */
  readonly ended: Promise<Error>
  /** See `ChangeSource.recent`. */
  recent(from: Seq, epoch: string): readonly RecentCommit[] | undefined
  close(): Promise<void>
}

const batchKeys = 20_000
const queuedKeys = 20_000
/** With so many keys waiting a write begins at once. */
const muchKeys = 500
/** Of the newest commits; who is further behind reads the log. A key takes about 300 bytes. */
const tailKeys = 15_000
/** Well below the age at which others take the slot away (`slot-watch.ts`). */
const beatMs = 1000
/** How long the writer's connection may leave a beat without an answer, unless a big commit is before it. */
const answerMs = 10_000
const closeMs = 5000

/**
 * The slot's reader and the log's writer in one: what arrives is decoded and assembled at once and queued; one loop
 * writes the queue, as many commits as there are in one transaction, and confirms to the slot what is durable. When
 * more keys are queued than one transaction takes, the socket waits. Rejects when the slot is in use (55006) or gone.
 */
export async function openLogStream(options: LogStreamOptions): Promise<LogStream> {
  const { connection, clock, names, holder, openKeys, onForeign } = options
  const decoder = new PgoutputDecoder()
  const assembler = new CommitAssembler({ openKeys, onForeign })
  const ended = Promise.withResolvers<Error>()
  const queue = new LogQueue(batchKeys)
  let paused = false
  let closing = false
  let writer: LogWriter | undefined
  const tail = new LogTail(tailKeys)
  let epoch: string | undefined
  let learning = false
  let running: Promise<void> | undefined
  const pace = new WritePace()
  let endPause = (): void => undefined
  let isBig = false
  let through = 0

  const push = (work: Work): void => {
    queue.push(work)
    remember(work)
    if (queue.weight > queuedKeys && !paused) {
      paused = true
      stream?.pause()
    }
    if (queue.weight >= muchKeys) endPause()
    if (writer && !running) running = run(writer)
  }

  function remember(work: Work): void {
    if (work.kind === 'commit_spilled') tail.restart(work.point.seq)
    if (work.kind !== 'commit' || work.keys.length === 0) return
    tail.add(work)
    if (writer) options.onCommit(work.point.seq)
  }

  let stream: Replication | undefined = undefined
  const replication = await openReplication({
    connection,
    clock,
    ...names,
    onMessage: (bytes) => {
      for (const action of assembler.accept(decoder.decode(bytes))) push(action)
    },
    onPosition: (end) => {
      // What was taken from the queue and could not be written is before it.
      if (closing) return
      // Nothing is on its way: said at once, so that the answer to the server already confirms it.
      if (queue.isEmpty && !running && writer) reached(end)
      else push({ kind: 'position', end })
    },
  })
  stream = replication
  if (paused) replication.pause()
  void replication.ended.then((error) => ended.resolve(error))

  function reached(end: number): void {
    through = end
    replication.confirm(end)
    options.onPosition(end, replication.run)
  }

  async function run(log: LogWriter): Promise<void> {
    try {
      while (!queue.isEmpty && !closing) {
        await gather()
        const work = queue.take()
        if (paused && queue.weight <= queuedKeys / 2) {
          paused = false
          replication.resume()
        }
        await write(log, work)
      }
    } catch (error) {
      closing = true
      ended.resolve(error instanceof Error ? error : new Error(String(error)))
    } finally {
      running = undefined
    }
  }

  /**
   * Epochs are minted while the stream goes on, where rows may have changed unseen: what comes after it belongs to the
   * new one.
   */
  async function learnEpoch(log: LogWriter): Promise<void> {
    learning = true
    // A failure shows at the next write.
    const begun = await log.begin().catch(() => undefined)
    learning = false
    if (!begun || begun.epoch === epoch) return
    ;({ epoch } = begun)
    tail.forget()
  }

  async function gather(): Promise<void> {
    if (!queue.beginsWithCommit) return
    if (queue.weight < muchKeys)
      await new Promise<void>((resolve) => {
        endPause = resolve
        clock.after(pace.wait(clock.monotonic()), resolve)
      })
    pace.begin(clock.monotonic())
  }

  async function write(log: LogWriter, work: ReturnType<LogQueue['take']>): Promise<void> {
    if (work?.kind === 'position') reached(work.end)
    else if (work?.kind === 'spill') await log.spill(work.xid, work.keys)
    else if (work?.kind === 'forget') await log.forget(work.xid, work.subxid)
    else if (work?.kind === 'commit_spilled') {
      isBig = true
      await log.logBig(work.point)
      isBig = false
      reached(work.point.end)
      options.onLogged(work.point.seq)
    } else if (work) {
      const worthy = work.commits.filter(({ keys, told }) => keys.length > 0 || told)
      if (worthy.length > 0) await log.log(worthy)
      pace.wrote(worthy.length)
      reached(work.end)
      const newest = worthy.findLast(({ keys }) => keys.length > 0)
      if (newest) options.onLogged(newest.point.seq)
    }
  }

  const client = new pg.Client({
    ...connection,
    application_name: 'tidewire log writer',
    // Durable here before it is confirmed; a standby that lags must not hold up the log. Who waits and is given up must
    // not go on waiting, with a lock.
    options: '-c synchronous_commit=local -c client_connection_check_interval=5s',
  })
  client.on('error', (error) => ended.resolve(error))
  let pid = 0
  let claimEnded = (): void => undefined
  try {
    await client.connect()
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    pid = rows[0]?.pid ?? 0
    claimEnded = options.watch.begin(pid)
    const claimed = await LogWriter.claim(client, names.slot, holder)
    if (claimed.run !== replication.run) throw new Error('Postgres was started anew while its slot was being taken.')
    const begun = await claimed.begin()
    options.onRun(claimed.run)
    tail.begin(begun.newest)
    epoch = begun.epoch
    writer = claimed
    const silence = new SilenceWatch({
      silentMs: () => replication.silentMs(),
      mark: () => claimed.mark(),
      sent: () => claimed.sent(replication.pid),
    })
    /** Waits its turn on the connection; a failure shows at the next write. */
    const isWell = async (): Promise<boolean> => {
      await claimed.beat(through)
      return !(await silence.isCut())
    }
    const beat = (): void => {
      if (closing) return
      let cancelLate = clock.after(answerMs, late)
      function late(): void {
        if (isBig) cancelLate = clock.after(answerMs, late)
        else
          ended.resolve(
            new TideError('timeout', `Postgres has not answered the writer of the log for ${answerMs / 1000} s.`),
          )
      }
      void isWell()
        .catch(() => true)
        .then((well) => {
          cancelLate()
          if (!well) ended.resolve(new Error('Postgres sends, and nothing arrives: the connection is cut off.'))
          clock.after(beatMs, beat)
        })
    }
    clock.after(beatMs, beat)
    if (!queue.isEmpty) running = run(claimed)
  } catch (error) {
    await Promise.all([replication.close(), client.end().catch(() => undefined)])
    throw error
  } finally {
    claimEnded()
  }

  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    closing = true
    // A Postgres that is gone without a word answers neither the last statement nor the goodbye.
    const cancel = clock.after(closeMs, () => cutOff(client))
    await running
    await replication.close()
    await client.end().catch(() => undefined)
    cancel()
  }
  return {
    pid,
    ended: ended.promise,
    recent(from, ofEpoch) {
      if (ofEpoch === epoch) return tail.after(from)
      if (writer && !learning && !closing) void learnEpoch(writer)
      return undefined
    },
    close: () => (closed ??= close()),
  }
}

function cutOff(client: pg.Client): void {
  const { connection } = client as unknown as { readonly connection: { readonly stream: { destroy(): void } } }
  connection.stream.destroy()
}
