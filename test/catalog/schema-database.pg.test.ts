import { describeSchemaPage } from './schema-database-contract.ts'

describeSchemaPage('postgres')
