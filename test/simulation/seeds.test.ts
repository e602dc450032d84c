import { describe, expect, test } from 'vitest'
import { seedsOf } from './seeds.ts'

describe('the seeds to run', () => {
  test('are the usual ones, one, so many, or a range', () => {
    expect(seedsOf({}, 3)).toEqual([1, 2, 3])
    expect(seedsOf({ SEED: '17' }, 3)).toEqual([17])
    expect(seedsOf({ SEEDS: '2' }, 3)).toEqual([1, 2])
    expect(seedsOf({ SEEDS: '8-10' }, 3)).toEqual([8, 9, 10])
  })

  test.each(['', ' ', '0', '-5', '1.5', 'many', '1e3', '5-', '9-3', '12345678'])(
    'are never guessed from SEEDS="%s"',
    (text) => {
      expect(() => seedsOf({ SEEDS: text }, 3)).toThrow(/SEEDS is/u)
    },
  )

  test('are not one and many at once', () => {
    expect(() => seedsOf({ SEED: '1', SEEDS: '2' }, 3)).toThrow('both set')
    expect(() => seedsOf({ SEED: '' }, 3)).toThrow('SEED is ""')
  })
})
