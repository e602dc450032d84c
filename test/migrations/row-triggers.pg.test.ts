import { rowTriggerContract } from './row-triggers-contract.ts'

rowTriggerContract('postgres')
