// A replica in its simplest form: it holds the tasks of a project as the feed says, and holds each state against what
// the writers know to have committed, and when.
import { zeroSeq, type Seq } from '../../protocol/seq.ts'
import { valueOf } from '../../server/db/row-bytes.ts'
import type { Catalog } from '../../server/catalog/catalog.ts'
import type { Feed, Step } from '../../server/hub/feed.ts'
import { CommitCheck } from './commit-check.ts'
import type { CommitWriter, Rows, Tick } from './commit-writer.ts'
import { rowsOfBlocks } from '../support/page-rows.ts'

export interface FollowerOptions {
  readonly feed: Feed
  readonly catalog: Catalog
  readonly organizationId: string
  readonly projectId: string
  readonly writers: readonly CommitWriter[]
  readonly tick: Tick
  /** Reads as the live loop does: steps may end before a commit of which it has not heard yet. */
  readonly live?: boolean
}

export class FeedFollower {
  readonly #options: FollowerOptions
  #feed: Feed
  readonly #rows = new Map<string, string>()
  readonly #check: CommitCheck
  seq: Seq
  /**
   * Steps that were read without waiting for the log: they say nothing newer about the time as of which all was seen.
   */
  quickSteps = 0
  #at = 0
  /** No live loop begins where pages end: a session reads for itself until it has what they showed. */
  #isWhole = true

  constructor(options: FollowerOptions, seq = zeroSeq) {
    this.#options = options
    this.#check = new CommitCheck(options.writers)
    this.#feed = options.feed
    this.seq = seq
  }

  /** At another server, as a session that comes back with its cursor; not to be resumed would be an error. */
  async goOn(feed: Feed): Promise<void> {
    const { head } = await feed.state(this.seq)
    if (head < this.seq) throw new Error(`A cursor at ${this.seq} is called ahead of the log, which is at ${head}.`)
    this.#feed = feed
  }

  get rows(): Rows {
    return this.#rows
  }

  /** Reads a page of the first state. `between` is called after each. */
  async load(between: () => Promise<void>): Promise<void> {
    const { catalog, organizationId, projectId } = this.#options
    const selection = {
      organizationId,
      channel: `project/${projectId}`,
      tables: ['tasks'],
      where: {},
      embeddings: false,
    }
    this.#isWhole = false
    let [after, from]: [string | null, Seq | undefined] = [null, undefined]
    do {
      const page = await this.#feed.page({ selection, after, maxRows: 3, maxBytes: 1_000_000 })
      from ??= page.from
      for (const { row } of rowsOfBlocks(catalog, page.blocks)) this.#rows.set(String(row['id']), String(row['title']))
      after = page.next
      await between()
    } while (after !== null)
    this.seq = from ?? this.seq
  }

  /** One read from where it stands; the state after it must be one that was. */
  async advance(): Promise<Step> {
    const live = this.#options.live === true && this.#isWhole
    const { organizationId, projectId, tick, writers } = this.#options
    const startedAt = tick()
    const quiet = !live && writers.every(({ commits }) => commits.every(({ ackedAt }) => ackedAt < startedAt))
    const step = await this.#feed.advance(this.seq, {
      organizations: new Set([organizationId]),
      follows: (channel) => channel === `project/${projectId}`,
      watchAccess: live,
      embeddings: false,
      principals: () => [],
    })
    if (step.kind === 'too_far') throw new Error('The follower fell behind what the log holds.')
    if (step.kind === 'step' && step.at === this.#at) this.quickSteps++
    this.#at = step.at
    // Pages may show more than their position: they are completed by a read that has all that they showed.
    if (step.kind === 'step' && step.torn) return step
    this.#isWhole = true
    if (step.to < this.seq) throw new Error(`The cursor went back from ${this.seq} to ${step.to}.`)
    for (const { table, id, row } of step.changes) {
      if (table !== 'tasks') continue
      if (row === null) this.#rows.delete(id)
      else this.#rows.set(id, String(valueOf(row, 'title')))
    }
    this.seq = step.to
    this.#check.see(this.#rows, quiet ? startedAt : Number.NEGATIVE_INFINITY)
    return step
  }
}
