import { describeHealth } from './health-contract.ts'

describeHealth('postgres')
