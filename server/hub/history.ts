import { Batcher } from '../../lib/batcher.ts'
import { BoundedMap } from '../../lib/bounded-map.ts'
import { zeroSeq, type Cursor, type Seq } from '../../protocol/seq.ts'
import type { Feed, FeedState } from './feed.ts'
import type { Beginning } from './hub-session.ts'

/**
 * How the history that was followed ended, when the database is found to have another one. `goes on`: the new one holds
 * all that was told. `went back`: it goes on from an earlier position of it. `is another`: nothing is known to be of
 * both.
 */
export type Ending = 'goes on' | 'went back' | 'is another'

export interface HistoryHost {
  /** Of the live loop: everything up to it may have been told. */
  readonly position: () => Seq
  /** The database has another history than the one that was followed. */
  readonly adopt: (state: FeedState, ending: Ending) => void
}

const maxRefused = 10_000

/**
 * Which history the database has, by its epochs, and which cursors are of it. Looks are taken one after the other, so
 * that the answer of an earlier one is never adopted after a later one; who asks while one is under way shares the
 * next.
 */
export class History {
  readonly #feed: Feed
  readonly #host: HistoryHost
  /** Answers as a function, so that one failure is told to all who share it instead of being repeated for each. */
  readonly #looks = new Batcher<Seq, () => FeedState>((sought) => this.#lookFor(sought), Number.POSITIVE_INFINITY)
  /**
   * Where sessions stood that were too far behind, by device: its next hello must bootstrap. Its cursor may be an
   * earlier one, for what was sent last may not have reached it.
   */
  readonly #refused = new BoundedMap<string, Seq>(maxRefused)
  #epoch = ''
  /** Where the epochs before ended. */
  #former: ReadonlyMap<string, Seq> = new Map()
  #prunedThrough = zeroSeq

  constructor(feed: Feed, host: HistoryHost) {
    this.#feed = feed
    this.#host = host
  }

  get epoch(): string {
    return this.#epoch
  }

  /** Answers the position to begin at. */
  async begin(): Promise<Seq> {
    const state = await this.#feed.state()
    this.#take(state)
    return state.head
  }

  /**
   * Asks the database where it stands, and adopts its history when it is another one. `sought`: that commit was told to
   * somebody, by this server or another one, perhaps before it was in the log.
   */
  async look(sought: Seq = zeroSeq): Promise<FeedState> {
    return (await this.#looks.ask(sought))()
  }

  /**
   * Where a session begins: at its cursor, when that is of this history, not ahead, and not behind what the log still
   * holds. Looks at the database when the cursor says something that this server does not know yet: another one may
   * have been faster.
   */
  async beginning(deviceId: string, cursor: Cursor | null): Promise<Beginning> {
    const refused = this.#refused.get(deviceId)
    this.#refused.delete(deviceId)
    let head = this.#host.position()
    const isBeyond = ({ epoch, seq }: Cursor): boolean => seq > Math.min(this.#endOf(epoch) ?? -1, head)
    if (cursor !== null && this.#endOf(cursor.epoch) === undefined) await this.look()
    if (cursor !== null && this.#endOf(cursor.epoch) !== undefined && isBeyond(cursor)) {
      const state = await this.look(cursor.seq)
      if (state.epoch === this.#epoch) ({ head } = state)
    }
    head = Math.max(head, this.#host.position()) as Seq
    const resume =
      cursor !== null &&
      !isBeyond(cursor) &&
      (refused === undefined || cursor.seq > refused) &&
      cursor.seq >= this.#prunedThrough
    return { epoch: this.#epoch, resume, seq: resume ? cursor.seq : this.#host.position() }
  }

  /** A session of this device is too far behind to go on from there. */
  refuse(deviceId: string, seq: Seq): void {
    this.#refused.set(deviceId, seq)
  }

  /** Where an epoch of this history ended; undefined: it is of another one. */
  #endOf(epoch: string): number | undefined {
    return epoch === this.#epoch ? Number.POSITIVE_INFINITY : this.#former.get(epoch)
  }

  async #lookFor(sought: readonly Seq[]): Promise<readonly (() => FeedState)[]> {
    try {
      const position = this.#host.position()
      const state = await this.#feed.state(sought.reduce((most, seq) => (seq > most ? seq : most), position))
      const end = state.former.get(this.#epoch)
      const isAnother = state.epoch !== this.#epoch || state.head < position
      const ending = end === undefined ? 'is another' : this.#host.position() <= end ? 'goes on' : 'went back'
      this.#take(state)
      if (isAnother) this.#host.adopt(state, ending)
      return sought.map(() => () => state)
    } catch (error) {
      return sought.map(() => () => {
        throw error
      })
    }
  }

  #take({ epoch, former, prunedThrough }: FeedState): void {
    this.#epoch = epoch
    this.#former = former
    this.#prunedThrough = prunedThrough
  }
}
