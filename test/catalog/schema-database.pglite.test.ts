import { describeSchemaPage } from './schema-database-contract.ts'

describeSchemaPage('embedded')
