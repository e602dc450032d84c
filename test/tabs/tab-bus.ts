import type { Tabs } from '../../client-sdk/tabs/shared-engine.ts'
import type { TabMessage } from '../../client-sdk/tabs/tab-messages.ts'

interface Member {
  readonly id: string
  readonly hear: ((message: TabMessage) => void)[]
  isGone: boolean
  readonly ended: PromiseWithResolvers<void>
}

interface Candidate {
  readonly member: Member
  readonly elected: () => void
  readonly refused: (error: Error) => void
}

/**
 * The tabs of a browser without one: what is said is cloned and heard in order, one message a turn; one leads at a
 * time. `deliver` runs what it is given later, in the order of each sender; by default in the next turn.
 */
export class TabBus {
  readonly #deliver: (from: string, run: () => void) => void
  readonly #members = new Map<string, Member>()
  readonly #candidates: Candidate[] = []
  #holder: Member | null = null
  /** Everything that was said. */
  readonly said: TabMessage[] = []

  constructor(deliver: (from: string, run: () => void) => void = (_from, run) => void setImmediate(run)) {
    this.#deliver = deliver
  }

  /** The tab that leads, or is about to. */
  get leader(): string | null {
    return this.#holder?.id ?? null
  }

  open(id: string): Tabs & { crash(): void } {
    const member: Member = { id, hear: [], isGone: false, ended: Promise.withResolvers() }
    this.#members.set(id, member)
    const leave = (): void => {
      member.isGone = true
      member.ended.resolve()
      this.#members.delete(id)
      for (const one of this.#candidates.filter((candidate) => candidate.member === member)) {
        this.#candidates.splice(this.#candidates.indexOf(one), 1)
        one.refused(new Error('The tab is gone.'))
      }
      this.#release(member)
    }
    return {
      id,
      post: (message) => {
        if (member.isGone) return
        const copy = structuredClone(message)
        this.said.push(copy)
        for (const [other, { hear }] of this.#members) {
          if (other === id) continue
          this.#deliver(id, () => {
            if (this.#members.has(other)) for (const listener of hear) listener(structuredClone(copy))
          })
        }
      },
      listen: (hear) => void member.hear.push(hear),
      elect: () =>
        new Promise((elected, refused) => {
          this.#candidates.push({ member, elected, refused })
          this.#elect()
        }),
      ended: (tab) => this.#members.get(tab)?.ended.promise ?? Promise.resolve(),
      resign: () => this.#release(member),
      close: leave,
      crash: leave,
    }
  }

  #release(member: Member): void {
    if (this.#holder !== member) return
    this.#holder = null
    this.#elect()
  }

  #elect(): void {
    if (this.#holder !== null) return
    const next = this.#candidates.shift()
    if (next === undefined) return
    this.#holder = next.member
    next.elected()
  }
}
