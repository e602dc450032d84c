import { systemClock } from '../../lib/clock.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { changeSourceContract } from './change-source-contract.ts'

changeSourceContract({
  kind: 'embedded',
  make: ({ database }) => createTriggerSource({ database, clock: systemClock, log: silentLog }),
  differs: {
    logsFirstSilentUpdate: false,
    refusesNamelessWriter: true,
    waitsForPrepared: true,
    capturesWithoutTriggers: false,
  },
})
