import { describeSchemaWatch } from './schema-watch-contract.ts'

describeSchemaWatch('postgres')
