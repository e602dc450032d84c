import type { Client } from '../../client-sdk/client.ts'
import { TideError } from '../../protocol/error.ts'
import type { Journal } from './journal.ts'
import type { SimClient } from './sim-client.ts'
import type { World } from './world.ts'

/**
 * Promises 3 and 4 as a user sees them. What a device wrote it reads back at once, and it stays, through
 * acknowledgement, settlement, lost connections and crashes; and it counts once. Each device keeps one row that nobody
 * else changes, with a number that only grows: it must never see a smaller one. A second number counts every third
 * entry, in a browser each, by increments.
 */
export class Diary {
  readonly #world: World
  readonly #device: SimClient
  readonly #journal: Journal
  #id: string | null = null
  /** The last entry that is durable on this device. */
  #written = 0
  /**
   * The entry below which a client never shows the diary: all that was durable when it opened, and what it showed
   * since.
   */
  readonly #floors = new WeakMap<Client, number>()
  /** What live queries showed last. */
  readonly #shown = new WeakMap<Client, number>()
  /** Another version of the app fetches everything anew; the row may be missing until it has come. */
  #schema: SimClient['schema']
  #counted = 0
  /** Asked for, without an answer: they may have been counted or not. */
  #unanswered = 0
  #isBusy = false

  constructor(world: World, device: SimClient, journal: Journal) {
    this.#world = world
    this.#device = device
    this.#journal = journal
    this.#schema = device.schema
  }

  /** Watches with a live query for the rest of this life of the client. */
  watch(tide: Client): void {
    this.#isBusy = false
    this.#floors.set(tide, Math.max(this.#floors.get(tide) ?? 0, this.#written))
    if (this.#id === null) return
    tide.memories.live({ where: { id: this.#id } }, ([row]) => {
      if (!this.#device.tides.includes(tide)) return
      this.#shown.set(tide, Number(row?.summary ?? 0))
      this.#check(tide, 'a live query shows', row?.summary ?? null)
    })
  }

  async write(tide: Client): Promise<void> {
    // One at a time: of two tabs that write the same column at once either may be the last.
    if (this.#device.wasRevoked || this.#isBusy) return
    this.#isBusy = true
    try {
      await (this.#id === null ? this.#begin(tide) : this.#add(tide, this.#id))
    } catch (error) {
      // The tab was closed meanwhile.
      if (!(error instanceof TideError) || error.code !== 'closed') throw error
    }
    this.#isBusy = false
  }

  /** What every client of the device shows once nothing waits, and what was counted. */
  differencesAtRest(): readonly string[] {
    const { name, tides, wasRevoked } = this.#device
    if (this.#id === null || wasRevoked) return []
    const counted = Number(this.#world.database.rows.get('memories', this.#id)?.['accessCount'] ?? 0)
    const problems = tides.flatMap((tide, index) => {
      const shown = this.#shown.get(tide) ?? 0
      return shown < this.#written
        ? [`${name}: the live query of client ${index} stays at ${shown} of ${this.#written}`]
        : []
    })
    if (counted < this.#counted || counted > this.#counted + this.#unanswered)
      problems.push(
        `${name}: its diary counts ${counted}, ${this.#counted} were asked for (and ${this.#unanswered} without answer)`,
      )
    return problems
  }

  async #begin(tide: Client): Promise<void> {
    const row = await tide.memories.insert({
      content: `Diary of ${this.#device.name}`,
      summary: '1',
      scope: 'project',
      projectId: this.#world.projects.open,
    })
    this.#id = row.id
    this.#written = 1
    for (const each of this.#device.tides) this.watch(each)
    this.#floors.set(tide, 1)
  }

  async #add(tide: Client, id: string): Promise<void> {
    if (this.#isLoadedAnew && (await tide.memories.get(id)) === undefined) return
    const next = this.#written + 1
    await tide.memories.update(id, { summary: String(next) })
    this.#written = next
    this.#floors.set(tide, next)
    this.#check(tide, 'after a write, a read shows', (await tide.memories.get(id))?.summary ?? null)
    if (next % (this.#device.isBrowser ? 1 : 3) !== 0) return
    this.#unanswered += 1
    await tide.memories.increment(id, { accessCount: 1 })
    this.#unanswered -= 1
    this.#counted += 1
  }

  get #isLoadedAnew(): boolean {
    return this.#schema !== this.#device.schema
  }

  #check(tide: Client, what: string, summary: string | null): void {
    if (this.#device.wasRevoked) return
    if (summary === null && this.#isLoadedAnew) return
    this.#schema = this.#device.schema
    const floor = this.#floors.get(tide) ?? 0
    if (Number(summary ?? 0) < floor)
      this.#journal.problems.push(
        `${this.#device.name}: ${what} entry ${summary ?? 'nothing'} of its diary, which was at ${floor}`,
      )
    else this.#floors.set(tide, Number(summary ?? 0))
  }
}
