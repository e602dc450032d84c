import { Fates } from './dice.ts'
import type { NetworkWeather } from './sim-network.ts'
import { actNames } from './acts.ts'
import { disturbanceNames, tabDisturbanceNames } from './disturbances.ts'

/** What is done, when (virtual milliseconds), by which device or to the world, and the seed of what it picks. */
export type Step = readonly [at: number, who: string, what: string, seed: number]

/**
 * All that is decided before a run. It is data, so a failing run can be made smaller, kept in a file, and replayed
 * after the workload has changed.
 */
export interface Plan {
  /** Of what is decided during the run, each by a name: the fate of frames, deaths at commits, ids, latencies. */
  readonly seed: number
  /** Virtual milliseconds until the weather clears. */
  readonly stormMs: number
  readonly weather: NetworkWeather
  /** Chance that the server dies at a commit. */
  readonly deathChance: number
  /** The device whose app is of the version before: it knows fewer columns and tables. */
  readonly olderApp?: string
  /** The device that is a browser, of which several tabs share one replica. */
  readonly browser?: string
  readonly steps: readonly Step[]
}

export const deviceNames = ['ada-desk', 'ada-phone', 'ben-desk', 'scout'] as const

const storm: NetworkWeather = { minDelay: 1, maxDelay: 60, breakChance: 0.01, repeatChance: 0.03, swapChance: 0.02 }
const stormMs = 20_000

/** The plan of a seed: what devices do, and what goes wrong around them. */
export function planOf(seed: number): Plan {
  const fates = new Fates(seed)
  const steps: Step[] = []
  const repeat = (who: string, everyMs: number, names: readonly string[], kind: string): void => {
    const dice = fates.dice('plan', who, kind)
    for (let at = dice.next() * everyMs; at < stormMs; at += dice.next() * everyMs)
      steps.push([Math.floor(at), who, dice.pick(names) ?? '', dice.below(2 ** 31)])
  }
  for (const name of deviceNames) {
    repeat(name, 650, actNames, 'act')
    repeat(name, 2000, ['writeDiary'], 'diary')
  }
  repeat('world', 2500, disturbanceNames, 'disturb')
  repeat('world', 3000, ['backUp'], 'backUp')
  const olderApp = fates.dice('plan', 'older app').pick([...deviceNames, '', '', '', ''])
  if (olderApp !== undefined && olderApp !== '') {
    const dice = fates.dice('plan', 'update')
    steps.push([dice.below(stormMs * 1.2), 'world', 'updateApp', dice.below(2 ** 31)])
  }
  const browser = fates.dice('plan', 'browser').pick([...deviceNames, '', '', '', '', '', '', ''])
  if (browser !== undefined && browser !== '') repeat('world', 1500, tabDisturbanceNames, 'tabs')
  return {
    seed,
    stormMs,
    weather: storm,
    deathChance: 0.01,
    ...(olderApp === undefined || olderApp === '' ? {} : { olderApp }),
    ...(browser === undefined || browser === '' ? {} : { browser }),
    steps: steps.toSorted(([a], [b]) => a - b),
  }
}
