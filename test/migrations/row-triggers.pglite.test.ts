import { rowTriggerContract } from './row-triggers-contract.ts'

rowTriggerContract('embedded')
