/**
 * Which seeds to run: `SEED` one, `SEEDS` so many or a range, both from the environment. Throws an error that says what
 * is wrong.
 */
export function seedsOf(
  { SEED, SEEDS }: Readonly<Record<string, string | undefined>>,
  usual: number,
): readonly number[] {
  if (SEED !== undefined && SEEDS !== undefined)
    throw new Error('SEED and SEEDS are both set. Set SEED to replay one run, or SEEDS to make many.')
  if (SEED !== undefined) return [numberOf('SEED', SEED)]
  if (SEEDS === undefined) return range(1, usual)
  const [, first, last] = /^(\d+)-(\d+)$/u.exec(SEEDS) ?? []
  if (first === undefined || last === undefined) return range(1, numberOf('SEEDS', SEEDS))
  const [from, to] = [numberOf('SEEDS', first), numberOf('SEEDS', last)]
  if (from > to)
    throw new Error(`SEEDS is "${SEEDS}", a range that ends before it begins. Write the smaller seed first.`)
  return range(from, to)
}

const most = 1_000_000

function numberOf(name: string, text: string): number {
  const value = Number(text)
  if (/^\d+$/u.test(text) && value >= 1 && value <= most) return value
  throw new Error(
    `${name} is "${text}"; it is a whole number from 1 to ${most}${name === 'SEEDS' ? ' (so many seeds), or a range of two such as 201-400' : ''}.`,
  )
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}
