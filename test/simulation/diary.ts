import type { Client } from '../../client-sdk/client.ts'
import type { Journal } from './journal.ts'
import type { SimClient } from './sim-client.ts'
import type { World } from './world.ts'

/**
 * Promise 3: what a device wrote it reads back at once, and it stays, through acknowledgement, settlement, lost
 * connections and crashes. Each device keeps one row that nobody else changes, with a number that only grows; it must
 * never see a smaller one.
 */
export class Diary {
  readonly #world: World
  readonly #device: SimClient
  readonly #journal: Journal
  #id: string | null = null
  /** The last entry that is durable on this device. */
  #written = 0

  constructor(world: World, device: SimClient, journal: Journal) {
    this.#world = world
    this.#device = device
    this.#journal = journal
  }

  /** Watches with a live query for the rest of this life of the client. */
  watch(tide: Client): void {
    if (this.#id === null) return
    tide.memories.live({ where: { id: this.#id } }, ([row]) => {
      if (this.#device.tide === tide) this.#check('a live query shows', row?.summary ?? null)
    })
  }

  async write(tide: Client): Promise<void> {
    if (this.#device.wasRevoked) return
    if (this.#id === null) {
      const row = await tide.memories.insert({
        content: `Diary of ${this.#device.name}`,
        summary: '1',
        scope: 'project',
        projectId: this.#world.projects.open,
      })
      this.#id = row.id
      this.#written = 1
      return this.watch(tide)
    }
    const next = this.#written + 1
    await tide.memories.update(this.#id, { summary: String(next) })
    this.#written = next
    this.#check('after a write, a read shows', (await tide.memories.get(this.#id))?.summary ?? null)
  }

  #check(what: string, summary: string | null): void {
    if (!this.#device.wasRevoked && Number(summary ?? 0) < this.#written)
      this.#journal.problems.push(
        `${this.#device.name}: ${what} entry ${summary ?? 'nothing'} of its diary, which is at ${this.#written}`,
      )
  }
}
