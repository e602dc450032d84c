import { describePartitions } from './partitions-contract.ts'

describePartitions('postgres')
