// Feed and hub over real Postgres, woken by looking at the log.
import { describe } from 'vitest'
import { feedContract } from './feed-contract.ts'
import { hubContract } from './hub-contract.ts'

describe('feed', () => {
  feedContract('postgres')
})
describe('hub', () => {
  hubContract('postgres')
})
