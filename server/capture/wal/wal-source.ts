import { backoffDelay, type BackoffPolicy } from '../../../lib/backoff.ts'
import type { CancelTimer, Clock } from '../../../lib/clock.ts'
import type { Random } from '../../../lib/random.ts'
import { TideError } from '../../../protocol/error.ts'
import { toSeq, zeroSeq, type Seq } from '../../../protocol/seq.ts'
import type { SqlQuery } from '../../scope/sql-query.ts'
import { createSurvivingPool, type Database } from '../../db/db.ts'
import { errorText, Troubles, type Log } from '../../telemetry/telemetry.ts'
import type { ChangeSource, LogNews, WalPlace } from '../change-source.ts'
import { messagePrefix } from './commit-assembler.ts'
import { formatHint, parseHint, type LogHint } from './log-hint.ts'
import { openLogStream, type LogStream } from './log-stream.ts'
import { Places } from './places.ts'
import { UnreadableStream } from './unreadable-stream.ts'
import { SlotWatch } from './slot-watch.ts'
import { SetupWatch } from './setup-watch.ts'
import { setUpCapture, type GapCause } from './wal-setup.ts'
import { requireWal, toTrouble } from './wal-requirements.ts'

export interface WalSourceOptions {
  readonly database: Database
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly news?: LogNews | undefined
  readonly troubles?: Troubles
  /** Keys of open transactions that are held in memory; a commit that had to give some away is logged as one entry. */
  readonly openKeys?: number
  /** Changes were missed, and replicas start over. */
  readonly onGap?: (cause: GapCause) => void
}

interface LogState {
  readonly head: string
  readonly upto: string
  readonly run: string
}

const notifyChannel = 'tidewire_log'
const retry: BackoffPolicy = { minMs: 100, maxMs: 5000 }
/** How often a server that does not read the slot looks whether it may. Spread, so that not all ask at the same moment. */
const watchMs = 500
const lookMs = 1000
/** How long a commit that is visible may take to be logged before a reader gives up, to try again with a new snapshot. */
const settleMs = 10_000
/** How long to wait for others to flush the WAL before a commit of our own does: longer than the log's writer gathers commits. */
const flushMs = 15
const followMs = 20
/** How often, and in which steps of time, a server without news asks what the writer has confirmed, before it commits a marker. */
const [confirmedAsks, confirmedMs] = [8, 4]
/** The writer tells news at most once in this time, and at every beat; when they are silent for longer than that they are not waited for. */
const newsMs = 1
const silentNewsMs = 3000
/** So often the first start is told that it waits for somebody, every 5 s, before the server listens all the same. */
const startLooks = 3
const slotInUse = '55006'
/** On the channel of news: the writer of the log goes in order, and the slot is free. */
const slotFree = 'free'

const placeSql = `select (pg_current_wal_flush_lsn() - '0/0')::text as flushed, (pg_current_wal_insert_lsn() - '0/0')::text as inserted,
  sync.postgres_run() as run`
const markerSql = `select (pg_logical_emit_message(true, $1, '') - '0/0')::text as place`
/** Tables that are not published as they were when capture was set up; one that is gone altogether is not capture's to mend. */
const distortedSql = `
with now as materialized (select sync.publication_state($1) as state)
select from sync.settings, now, jsonb_each_text(published) as known(name, state)
where now.state ->> known.name is distinct from known.state
  and exists (select from sync.captured_tables($1) c where c.name = known.name)`
const logStateSql = `
select coalesce((select max(seq) from sync_changes), 0)::text as head, coalesce((select max(last_seq) from sync_capture), 0)::text as upto,
  sync.postgres_run() as run`

/**
 * The log as logical replication writes it, after the commits. Of all servers on a database one reads the slot and writes
 * the log; the others follow it, and take the slot when its reader is gone. Readers see a log that is newer than their
 * snapshot in parts and older in others: `settle` waits until it holds everything that the snapshot sees.
 */
export function createWalSource({
  database,
  clock,
  random,
  log,
  news,
  troubles = new Troubles(clock, log),
  openKeys = 10_000,
  onGap = () => undefined,
}: WalSourceOptions): ChangeSource {
  const holder = Buffer.from(random.bytes(8)).toString('hex')
  /** Everything that was committed before these places in the WAL is in the log. */
  const captured = new Places(clock)
  const pool = createSurvivingPool({
    ...database.connection,
    max: 3,
    query_timeout: settleMs,
    application_name: 'tidewire capture',
    options: '-c synchronous_commit=local',
  })
  let onCommits: (newest?: Seq) => void = () => undefined
  let stream: LogStream | undefined
  let stopped = false
  let told = zeroSeq
  let running: Promise<void> | undefined
  let endPause: () => void = () => undefined
  let cancelLook: CancelTimer = () => undefined
  let stopListening: () => void = () => undefined
  let stopNews: () => void = () => undefined
  let telling = false
  let heardNewsAt = Number.NEGATIVE_INFINITY
  let following = false
  let retired = false
  const slot = new SlotWatch(pool, log)
  const setup = new SetupWatch({ pool, clock, onBlocked: blocked })
  let publication = ''
  const unreadable = new UnreadableStream()

  /** Which run of Postgres this is: what was known of the one before says nothing, for it may have begun with a backup. */
  function runs(run: string): void {
    if (!captured.enter(run)) return
    told = zeroSeq
    onCommits()
  }

  function logged(newest: Seq): void {
    if (stopped || newest <= told) return
    told = newest
    tellNews()
    onCommits(newest)
  }

  function reached(end: number, run: string): void {
    captured.pass(end, run)
    tellNews()
  }

  function tellNews(): void {
    if (!news || !stream || telling) return
    telling = true
    clock.after(newsMs, () => {
      telling = false
      if (stream) news.tell(formatHint({ head: told, upto: captured.value, run: captured.run }))
    })
  }

  /** One time at the slot: until the stream ends, or at once when another server reads it. Returns how long to wait. */
  async function serve(attempt: number): Promise<number> {
    const names = await setUpCapture(database.connection, log, setup, { unreadable: unreadable.verdict(), onGap })
    publication = names.publication
    const opened = await openLogStream({
      connection: database.connection,
      clock,
      names,
      holder,
      onRun: runs,
      openKeys,
      onPosition: reached,
      onCommit: (seq) => {
        if (!stopped) onCommits(seq)
      },
      onLogged: logged,
    })
    if (stopped || retired) {
      await opened.close()
      return 0
    }
    stream = opened
    following = false
    ready.resolve()
    troubles.report('capture', undefined)
    log.info('Writing the change log', { slot: names.slot })
    // The epoch may be another one.
    onCommits()
    const reason = await opened.ended
    await opened.close()
    stream = undefined
    unreadable.saw(reason, captured.value)
    if (!stopped && !retired) log.error('The stream of changes ended; opening it again', { error: errorText(reason) })
    return backoffDelay(retry, attempt, random)
  }

  /** The first start waits a while, for it may be over soon; then the server listens, so that it can be asked what it waits for. */
  function blocked(trouble: TideError, looks: number): void {
    if (stopped || retired) return
    troubles.report('capture', trouble)
    if (looks >= startLooks) ready.resolve()
  }

  async function run(): Promise<void> {
    for (let attempt = 0; !stopped;) {
      if (following || retired) await untilMine()
      if (stopped) return
      const since = clock.monotonic()
      const wait = await serve(attempt).catch((error: unknown) => failed(error, attempt))
      attempt = clock.monotonic() - since > retry.maxMs ? 0 : attempt + 1
      if (!stopped) await pause(wait)
    }
  }

  /** Until the slot is free, or its reader has hung and was cut off. */
  async function untilMine(): Promise<void> {
    while (!stopped) {
      await pause(watchMs * (0.5 + random.next()))
      if (stopped || (!retired && (await slot.mayBeTaken().catch(() => false)))) return
    }
  }

  function failed(error: unknown, attempt: number): number {
    stream = undefined
    if (codeOf(error) === slotInUse) {
      if (!following) log.info('Another server writes the change log; following it')
      following = true
      troubles.report('capture', undefined)
      ready.resolve()
      return 0
    }
    ready.reject(error)
    unreadable.saw(error, captured.value)
    if (!stopped && !retired) troubles.report('capture', toTrouble(error))
    return backoffDelay(retry, attempt, random)
  }

  async function pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, resolve)
      endPause = () => {
        cancel()
        resolve()
      }
    })
  }

  /** The log as others wrote it. */
  async function look(): Promise<void> {
    const { rows } = await pool.query<LogState>({ name: 'log_state', text: logStateSql })
    const { head = '0', upto = '0', run = '' } = rows[0] ?? {}
    runs(run)
    captured.pass(Number(upto), run)
    logged(toSeq(head))
  }

  /** Notifications may be lost with their connection. */
  function lookAgain(): void {
    cancelLook = clock.after(lookMs, () => {
      void (stream ? Promise.resolve() : look().catch(() => undefined)).then(() => {
        if (!stopped) lookAgain()
      })
    })
  }

  /** Whoever logs in to the database can NOTIFY: what it says is a reason to look, and no position is believed. */
  function hearDatabase(payload: string): void {
    if (stream) return
    if (payload !== slotFree) hearHead(payload)
    else if (following) endPause()
  }

  /** From another server over Redis, where nobody but servers may write. */
  function hearServer(text: string): void {
    heardNewsAt = clock.monotonic()
    if (stream) return
    const hint = hearHead(text)
    if (hint) captured.pass(hint.upto, hint.run)
  }

  function hearHead(text: string): LogHint | undefined {
    const hint = parseHint(text)
    if (hint && hint.head > told) onCommits()
    return hint
  }

  let marking: Promise<void> | undefined
  /** Commits something of our own, so that all before it is flushed, and followers hear how far the log is. */
  async function mark(): Promise<void> {
    const prefix = stream ? 'tidewire.flush' : messagePrefix.tell
    marking ??= pool.query(markerSql, [prefix]).then(
      () => {
        marking = undefined
      },
      (error: unknown) => {
        marking = undefined
        throw error
      },
    )
    await marking
  }

  /** Asks the slot a few times: the writer says there how far it is, a moment after each commit. */
  async function isConfirmed(inserted: number): Promise<boolean> {
    for (let asked = 0; asked < confirmedAsks && !stopped; asked++) {
      const confirmed = await slot.confirmed()
      if (confirmed) captured.pass(confirmed.place, confirmed.run)
      if (await captured.reaches(inserted, confirmedMs)) return true
    }
    return false
  }

  async function reach({ flushed, inserted, run }: WalPlace): Promise<void> {
    const deadline = clock.monotonic() + settleMs
    runs(run)
    if (captured.value >= inserted) return
    // Positions come by themselves, also to those who follow as long as news come: no load for the database.
    const comes = stream !== undefined || clock.monotonic() - heardNewsAt < silentNewsMs
    if (comes && (await captured.reaches(inserted, inserted > flushed ? flushMs : 50))) return
    if (!stream && (await isConfirmed(inserted))) return
    while (clock.monotonic() < deadline && !stopped) {
      await mark()
      // Followers hear of it by notification; should that be late, they look.
      if (await captured.reaches(inserted, stream ? 50 : followMs)) return
      if (!stream) await look()
    }
    throw new TideError(
      'timeout',
      `The change log is behind: it has not reached WAL position ${inserted} in ${settleMs / 1000} s.`,
    )
  }

  const logQuery: SqlQuery = async <R extends object>({ text, values, name }: Parameters<SqlQuery>[0]) => {
    const { rows } = await pool.query<R>({ text, values: [...(values ?? [])], ...(name === undefined ? {} : { name }) })
    return rows
  }

  const ready = Promise.withResolvers<void>()
  ready.promise.catch(() => undefined)

  return {
    logsAfterCommit: true,
    async start(listener) {
      onCommits = listener
      await pool.query('select sync.ensure_epoch()')
      await requireWal(pool)
      stopListening = database.onNotify(({ channel, payload }) => {
        if (channel === notifyChannel) hearDatabase(payload)
      })
      if (news) stopNews = news.hear(hearServer)
      await database.listen(notifyChannel)
      running = run()
      try {
        await ready.promise
      } catch (error) {
        stopped = true
        endPause()
        throw error
      }
      lookAgain()
    },
    wake() {
      // Who reads the WAL hears of it within the millisecond, and knows then what it is.
      if (!stopped && !stream) onCommits()
    },
    async inspect() {
      if (!stream) return
      const { rowCount } = await pool.query({ name: 'distorted', text: distortedSql, values: [publication] })
      if (rowCount) await stream.close()
    },
    get role() {
      return stream ? 'writer' : 'follower'
    },
    async retire() {
      retired = true
      await setup.cancel()
      const last = stream
      if (!last) return
      await last.close()
      stream = undefined
      await pool.query('select pg_notify($1, $2)', [notifyChannel, slotFree])
    },
    async settle(_snapshot, place) {
      await reach(place)
      return logQuery
    },
    recent: (from, epoch) => stream?.recent(from, epoch),
    async head() {
      const [place] = await logQuery<{ flushed: string; inserted: string; run: string }>({
        name: 'wal_place',
        text: placeSql,
      })
      await reach({ flushed: Number(place?.flushed), inserted: Number(place?.inserted), run: place?.run ?? '' })
      const [row] = await logQuery<{ head: string }>({ name: 'log_state', text: logStateSql })
      return toSeq(row?.head ?? 0)
    },
    async stop() {
      if (pool.ending) return
      stopped = true
      stopListening()
      stopNews()
      cancelLook()
      endPause()
      await setup.cancel()
      await stream?.close()
      await running
      await pool.end()
    },
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
