// A replica at a hub that holds the tasks of a project as it is told, and holds each state against what the writers
// committed.
import { blocksOf } from '../../protocol/block-frame.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import { parseDown } from '../../protocol/parse.ts'
import { packedToRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Cursor, Seq } from '../../protocol/seq.ts'
import type { Catalog } from '../../server/catalog/catalog.ts'
import type { Hub, HubSession } from '../../server/hub/hub.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { CommitCheck } from './commit-check.ts'
import type { CommitWriter, Rows } from './commit-writer.ts'

export interface HubFollowerOptions {
  readonly catalog: Catalog
  readonly principal: DevicePrincipal
  readonly projectId: string
  readonly writers: readonly CommitWriter[]
}

export class HubFollower {
  readonly #options: HubFollowerOptions
  readonly #check: CommitCheck
  #session: HubSession | undefined
  #rows = new Map<string, string>()
  #cursor: Cursor | null = null
  #parts: { readonly message: DownOf<'batch'>; readonly blocks: readonly PackedBlock[] }[] = []
  #page = Promise.withResolvers<DownOf<'page'>>()
  /** What was thrown while it was told something: the hub would take it for a broken socket. */
  #failure: Error | undefined
  batches = 0

  constructor(options: HubFollowerOptions) {
    this.#options = options
    this.#check = new CommitCheck(options.writers)
  }

  /** Throws what was wrong with anything it was told. */
  get rows(): Rows {
    if (this.#failure !== undefined) throw this.#failure
    return this.#rows
  }

  /** Comes with its cursor; the first time it loads its rows. Not to be resumed would be an error. */
  async goOn(hub: Hub): Promise<void> {
    const { principal, projectId } = this.#options
    this.#parts = []
    const session = await hub.open({
      principal,
      cursor: this.#cursor,
      send: (frame) => {
        if (session !== this.#session) return
        try {
          this.#hear(frame)
        } catch (error) {
          this.#failure ??= error instanceof Error ? error : new Error(String(error))
        }
      },
      ended: () => undefined,
    })
    if (this.#cursor !== null && !session.resume) throw new Error('A cursor of this history was not resumed.')
    this.#session = session
    const subscription = { id: 's', channel: `project/${projectId}`, tables: ['tasks'], embeddings: false }
    await session.subscribe([{ ...subscription, held: session.resume }])
    if (!session.resume) await this.#load(session)
  }

  close(): void {
    this.#session?.close()
  }

  async #load(session: HubSession): Promise<void> {
    let [after, from]: [string | null, Seq | undefined] = [null, undefined]
    do {
      this.#page = Promise.withResolvers()
      await session.page('s', after)
      const page = await this.#page.promise
      from ??= page.from as Seq
      after = page.next
    } while (after !== null)
    session.activate('s', from)
  }

  #hear(frame: Uint8Array): void {
    const { message, sections } = parseDown(frame)
    if (message.type === 'page') {
      this.#put(blocksOf(message.blocks, sections))
      this.#page.resolve(message)
    }
    if (message.type !== 'batch') return
    this.#parts.push({ message, blocks: blocksOf(message.blocks, sections) })
    if (message.more) return
    const parts = this.#parts
    this.#parts = []
    const seq = message.to as Seq
    if (seq < (this.#cursor?.seq ?? 0)) throw new Error(`The cursor went back to ${seq}.`)
    this.#cursor = { epoch: this.#session?.epoch ?? '', seq }
    for (const { message: part } of parts)
      for (const { table, ids } of part.deletes) if (table === 'tasks') for (const id of ids) this.#rows.delete(id)
    for (const { blocks } of parts) this.#put(blocks)
    this.batches++
    this.#check.see(this.#rows)
    this.#session?.ack(seq)
  }

  #put(blocks: readonly PackedBlock[]): void {
    const tasks = this.#options.catalog.synced.get('tasks')?.descriptor
    for (const block of blocks)
      if (tasks && block.block.table === 'tasks')
        for (const row of packedToRows(tasks, block)) this.#rows.set(String(row['id']), String(row['title']))
  }
}
