import { seededRandom, type Random } from '../../lib/random.ts'

/** What a run picks, from one source of randomness. */
export class Dice {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** A number in [0, 1). */
  next(): number {
    return this.#random.next()
  }

  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(items.length)]
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }
}

/**
 * Randomness by name. Each name has a sequence of its own, so more draws under one name move nothing under another. A
 * saved plan therefore replays nearly the same history after the code has changed.
 */
export class Fates {
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  of(...name: readonly (string | number)[]): Random {
    return seededRandom(hash(`${this.#seed}/${name.join('/')}`))
  }

  dice(...name: readonly (string | number)[]): Dice {
    return new Dice(this.of(...name))
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}
