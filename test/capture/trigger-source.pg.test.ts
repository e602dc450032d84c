import { systemClock } from '../../lib/clock.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { changeSourceContract } from './change-source-contract.ts'

changeSourceContract('postgres', ({ database }) =>
  createTriggerSource({ database, clock: systemClock, log: silentLog }),
)
