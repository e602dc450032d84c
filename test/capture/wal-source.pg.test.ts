import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createWalSource } from '../../server/capture/capture.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { changeSourceContract } from './change-source-contract.ts'

changeSourceContract({
  kind: 'postgres',
  make: ({ database }) => createWalSource({ database, clock: systemClock, random: systemRandom, log: silentLog }),
  differs: {
    logsFirstSilentUpdate: true,
    refusesNamelessWriter: false,
    waitsForPrepared: false,
    capturesWithoutTriggers: true,
  },
})
