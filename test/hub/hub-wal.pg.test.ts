// Feed and hub over real Postgres, the log written from the WAL after the commits.
import { describe } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { feedContract, type MakeSource } from './feed-contract.ts'
import { hubContract } from './hub-contract.ts'

const byWal: MakeSource = ({ database }) =>
  createWalSource({ database, clock: systemClock, random: systemRandom, log: silentLog })

describe('feed', () => {
  feedContract('postgres', byWal)
})
describe('hub', () => {
  hubContract('postgres', byWal)
})
