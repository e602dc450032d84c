// Holds the states of one replica against what the writers know to have committed, and when.
import type { CommitWriter, Rows } from './commit-writer.ts'

export class CommitCheck {
  readonly #writers: readonly CommitWriter[]
  /** How many commits of each writer the replica has seen. */
  readonly #seen = new Map<CommitWriter, number>()

  constructor(writers: readonly CommitWriter[]) {
    this.#writers = writers
  }

  /**
   * Throws when this is no state that was, or not one after the last. `acked`: what was confirmed before then must be
   * there.
   */
  see(all: Rows, acked = Number.NEGATIVE_INFINITY): void {
    const seen = this.#writers.map((writer) => {
      const rows = new Map([...all].filter(([, title]) => title.startsWith(`${writer.name}/`)))
      const index = writer.find(rows)
      if (index < 0) throw new Error(`${JSON.stringify([...rows])} is after no commit of writer ${writer.name}.`)
      if (index < (this.#seen.get(writer) ?? 0)) throw new Error(`Writer ${writer.name} went back.`)
      this.#seen.set(writer, index)
      return index
    })
    const issued = this.#writers.map(({ commits }, index) => commits[seen[index] ?? 0]?.issuedAt ?? -1)
    const newest = Math.max(acked, ...issued)
    for (const [index, { name, commits }] of this.#writers.entries()) {
      const next = commits[(seen[index] ?? 0) + 1]
      if (next && next.ackedAt < newest) throw new Error(`A commit of writer ${name} was left out.`)
    }
  }
}
