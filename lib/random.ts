/** Randomness as a seam: a number in [0, 1), and fresh bytes. A simulation hands in a seeded one. */
export interface Random {
  next(): number
  bytes(length: number): Uint8Array
}

/** The machine's own randomness, fit for keys and ids. */
export const systemRandom: Random = {
  next() {
    const [word = 0] = crypto.getRandomValues(new Uint32Array(1))
    return word / 2 ** 32
  },
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
}

/**
 * A repeatable sequence from one 32-bit seed (mulberry32, public domain, Tommy Ettinger). For simulations and tests
 * only: it can be predicted.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
  }
}
