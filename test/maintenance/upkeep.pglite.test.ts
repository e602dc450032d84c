import { describeUpkeep } from './upkeep-contract.ts'

describeUpkeep('embedded')
