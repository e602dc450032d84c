/** What must happen at least once over the default seeds: a simulation in which nothing happens proves nothing. */
export const mustHappen = [
  // Ends of writes.
  'write applied',
  'write merged',
  'write without effect',
  'write in conflict',
  'write rejected',
  'write answered again',
  'group applied',
  'group refused',
  'insert applied',
  'patch applied',
  'increment applied',
  'delete applied',
  'restore applied',
  'conflict settled',
  'write made offline',
  // The network.
  'partition',
  'connection broken',
  'frame repeated',
  'frame overtaken',
  // Ends of processes.
  'client crashed',
  'client crashed with writes',
  'server crashed',
  'server died before a commit',
  'server died after a commit',
  'database restarted',
  'database restored',
  // What devices are told.
  'bootstrap',
  'bootstrap interrupted',
  'catch-up',
  'replica not resumed',
  'access revoked',
  'access given back',
  'verified',
  // What else happens to servers and devices.
  'log pruned',
  'too far behind',
  'server clock jumped',
  'token expired',
  'token renewed',
  'device revoked',
  'app of an older version',
  'app updated with writes',
  'app updated while loading',
  // Tabs of a browser.
  'tabs of a browser',
  'tab closed',
  'tab crashed',
  'tab that leads went away',
  'tab died before a commit',
  'tab died after a commit',
  'write made in a tab that follows',
] as const

export type Happening = (typeof mustHappen)[number]

/** Counts what happened in one run or in many. */
export class Tally {
  readonly #counts = new Map<string, number>()

  /** Codes of refusals are counted beside what must happen. */
  add(what: Happening | `rejected: ${string}`, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times)
  }

  include(other: Tally): void {
    for (const [what, times] of other.#counts) this.#counts.set(what, (this.#counts.get(what) ?? 0) + times)
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0
  }

  get missing(): readonly string[] {
    return mustHappen.filter((what) => this.of(what) === 0)
  }

  toString(): string {
    return [...this.#counts]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, times]) => `${String(times).padStart(7)}  ${what}`)
      .join('\n')
  }
}
