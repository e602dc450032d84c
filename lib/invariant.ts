/** A bug in Tidewire itself, never a mistake of the caller. Its code on the wire is `internal`. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Throws `InvariantError` when a condition that the code guarantees does not hold. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new InvariantError(`Invariant broken: ${what}. This is a bug in Tidewire; please report it.`)
}

/** Ends an exhaustive `switch`: compiles only while every case is handled. */
export function unreachable(value: never): never {
  throw new InvariantError(`Unreachable case ${JSON.stringify(value)}. This is a bug in Tidewire; please report it.`)
}
