import { Top } from './top.ts'

interface Hit {
  readonly id: string
  readonly score: number
}

const firstCapacity = 16

/** The vectors of one column of one table, one after the other in a single array, with their norms; search is exact. */
export class VectorColumn {
  readonly dimension: number
  #data: Float32Array
  #norms: Float64Array
  readonly #ids: string[] = []
  readonly #slots = new Map<string, number>()

  constructor(dimension: number) {
    this.dimension = dimension
    this.#data = new Float32Array(firstCapacity * dimension)
    this.#norms = new Float64Array(firstCapacity)
  }

  set(id: string, vector: Float32Array): void {
    let slot = this.#slots.get(id)
    if (slot === undefined) {
      slot = this.#ids.push(id) - 1
      this.#slots.set(id, slot)
      if (slot >= this.#norms.length) this.#grow()
    }
    this.#data.set(vector, slot * this.dimension)
    this.#norms[slot] = norm(vector)
  }

  /** A copy; undefined where the row has none. */
  get(id: string): Float32Array | undefined {
    const slot = this.#slots.get(id)
    return slot === undefined ? undefined : this.#data.slice(slot * this.dimension, (slot + 1) * this.dimension)
  }

  delete(id: string): void {
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    this.#slots.delete(id)
    const last = this.#ids.length - 1
    const moved = this.#ids.pop()
    if (slot === last || moved === undefined) return
    this.#ids[slot] = moved
    this.#slots.set(moved, slot)
    this.#data.copyWithin(slot * this.dimension, last * this.dimension, (last + 1) * this.dimension)
    this.#norms[slot] = this.#norms[last] ?? 0
  }

  clear(): void {
    this.#ids.length = 0
    this.#slots.clear()
    this.#data = new Float32Array(firstCapacity * this.dimension)
    this.#norms = new Float64Array(firstCapacity)
  }

  /** The accepted ids of the highest cosine similarity. Vectors of length 0 have none and are left out. */
  nearest(query: Float32Array, limit: number, accept: (id: string) => boolean): readonly Hit[] {
    const queryNorm = norm(query)
    const top = new Top<Hit>(limit, (a, b) => b.score - a.score || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
    if (queryNorm === 0 || limit <= 0) return []
    this.#ids.forEach((id, slot) => {
      const length = this.#norms[slot] ?? 0
      if (length === 0) return
      const score = this.#dot(query, slot * this.dimension) / (length * queryNorm)
      const worst = top.worst
      // The filter costs more than the product of two vectors, so it is asked only of those that would be kept.
      if ((worst === undefined || score >= worst.score) && accept(id)) top.add({ id, score })
    })
    return top.toSorted()
  }

  #dot(query: Float32Array, offset: number): number {
    const data = this.#data
    let sum = 0
    for (let index = 0; index < query.length; index++) sum += (query[index] ?? 0) * (data[offset + index] ?? 0)
    return sum
  }

  #grow(): void {
    const data = new Float32Array(this.#data.length * 2)
    data.set(this.#data)
    this.#data = data
    const norms = new Float64Array(this.#norms.length * 2)
    norms.set(this.#norms)
    this.#norms = norms
  }
}

function norm(vector: Float32Array): number {
  let sum = 0
  for (const value of vector) sum += value * value
  return Math.sqrt(sum)
}
